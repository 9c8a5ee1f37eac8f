package udp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/media/rtp"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

const (
	// hops is the TTL of what is sent to a group.
	hops = 16
	// sinkChunk is how much is taken from the loop at a time, in bytes.
	sinkChunk = 16 << 10
	// fullPause is the wait for a network interface that has no room for a datagram.
	fullPause = time.Millisecond
)

// SinkOpener opens targets of datagrams: a group, or an address. The zero value opens only
// those of the operator, and sends on the interface that the system's routes choose.
type SinkOpener struct {
	Interface string         // where groups are sent to; if empty, the system's choice
	Allow     []netip.Prefix // networks that a target may be in which is not trusted
}

// OpenSink opens the socket. A stream is sent in datagrams of seven packets, as its clock,
// or the bit rate of to, says (see pacer); to an end of the scheme rtp with RTP headers. Of
// an end with a source, that is the address to send from. Nobody has to listen.
func (o *SinkOpener) OpenSink(_ context.Context, to endpoint.Target) (endpoint.Sink, error) {
	if err := (netx.Dialer{Allow: o.Allow, Any: to.Trusted}).Permits(to.End.Addr.Addr()); err != nil {
		return nil, &endpoint.Refusal{Status: http.StatusForbidden, Err: fmt.Errorf("%s: %w", to.End.Tag(), err)}
	}
	where := netx.SendConfig{Addr: to.End.Addr, Source: to.End.Source, Interface: o.Interface}
	if to.End.Addr.Addr().IsMulticast() {
		where.TTL = hops
	}
	conn, err := netx.DialUDP(where)
	if err != nil {
		return nil, &endpoint.Refusal{Status: http.StatusServiceUnavailable, Err: fmt.Errorf("%s: %w", to.End.Tag(), err)}
	}
	s := newSender(conn, to)
	sink, err := pipe.NewSink(func(ctx context.Context, from *net.UnixConn) error {
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // an interface may stand still
		if err := s.deliver(ctx, from); err != nil {
			return fmt.Errorf("%s: %w", to.End.Tag(), err)
		}
		return nil
	})
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", to.End.Tag(), err)
	}
	return sink, nil
}

// sender puts a stream into datagrams.
type sender struct {
	conn   *net.UDPConn
	pacer  pacer
	header rtp.Header
	rtp    bool
	buf    []byte // a datagram
	clock  uint32 // of the RTP time stamp at the beginning, in ticks of 90 kHz
}

func newSender(conn *net.UDPConn, to endpoint.Target) *sender {
	return &sender{
		conn: conn, pacer: pacer{bitrate: to.Bitrate}, rtp: to.End.Scheme == uri.RTP,
		header: rtp.Header{PayloadType: rtp.PayloadTypeMP2T, Sequence: uint16(rand.Uint32()), SSRC: rand.Uint32()},
		clock:  rand.Uint32(),
	}
}

// deliver is a pipe.Delivery.
func (s *sender) deliver(ctx context.Context, from *net.UnixConn) error {
	began := time.Now()
	chunk := make([]byte, sinkChunk)
	for {
		now := time.Since(began)
		b, wait, err := s.pacer.next(now)
		switch {
		case err != nil:
			return err
		case b != nil:
			err = s.send(ctx, b, now)
		case s.pacer.done():
			return nil
		case s.pacer.takes():
			err = s.receive(from, chunk, wait, began)
		default:
			pause(ctx, wait)
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// receive takes what the loop has written, and waits for it no longer than wait.
func (s *sender) receive(from *net.UnixConn, chunk []byte, wait time.Duration, began time.Time) error {
	var until time.Time // none
	if wait < forEver {
		until = time.Now().Add(wait)
	}
	if err := from.SetReadDeadline(until); err != nil {
		return err
	}
	n, err := from.Read(chunk)
	s.pacer.add(chunk[:n], time.Since(began))
	switch {
	case errors.Is(err, io.EOF):
		s.pacer.end()
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	return nil
}

// send sends the datagram b. An address at which nobody listens is no error, and an
// interface without room is asked again: somebody may listen later, there may be room soon.
func (s *sender) send(ctx context.Context, b []byte, now time.Duration) error {
	if s.rtp {
		s.header.Timestamp = s.clock + uint32(now.Microseconds()*9/100)
		s.buf = append(s.header.Append(s.buf[:0]), b...)
		s.header.Sequence++
		b = s.buf
	}
	_, err := s.conn.Write(b)
	for errors.Is(err, syscall.ENOBUFS) && ctx.Err() == nil {
		pause(ctx, fullPause)
		_, err = s.conn.Write(b)
	}
	if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno // the tag says where
	}
	return fmt.Errorf("send: %w", err)
}

// pause waits, no longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
