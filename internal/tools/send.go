package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

// SendOptions say where and how a stream is sent. Only To is needed.
type SendOptions struct {
	// To is the receiver: a group or an address. The scheme rtp puts an RTP header
	// before the packets (RFC 2250). A source, as in udp://10.0.0.7@239.1.1.1:5000,
	// is the address of this machine to send from.
	To uri.End
	// Interface is where a group is sent to. If "", the system chooses.
	Interface string
	// Loop begins again at the end, without a seam: all times and continuity counters
	// go on. The file must be seekable.
	Loop bool
	// Bitrate, in bits a second, replaces the pace of the stream's own clock (PCR). If
	// zero, the clock decides.
	Bitrate int64
	// TTL is the number of hops, 0 to 255. If zero, 1 for a group.
	TTL int
	// Faults are what is broken on purpose.
	Faults
	// Progress is a terminal that shows one line, renewed every second and cleared in
	// the end. If nil, nothing is shown.
	Progress io.Writer
}

// maxBitrate keeps the arithmetic of the pacer within 64 bits.
const maxBitrate = 8_000_000_000

// Validate says what is wrong with the options, in the words of the command line.
func (o SendOptions) Validate() error {
	switch {
	case !o.To.Addr.IsValid() || (o.To.Scheme != uri.UDP && o.To.Scheme != uri.RTP):
		return errors.New("--to: want udp://ADDRESS:PORT or rtp://ADDRESS:PORT")
	case o.Bitrate < 0 || o.Bitrate > maxBitrate:
		return fmt.Errorf("--bitrate %d: want 1 to 8G bits a second", o.Bitrate)
	case o.TTL < 0 || o.TTL > 255:
		return fmt.Errorf("--ttl %d: want 1 to 255", o.TTL)
	}
	return o.validate(o.To.Scheme == uri.RTP)
}

// ParseBitrate reads bits a second as people write them: 8000000, 8M, 2.5M, 500k, 1G.
func ParseBitrate(s string) (int64, error) {
	number, unit := s, 1.0
	if i := strings.IndexAny(s, "kKmMgG"); i >= 0 && i == len(s)-1 {
		number = s[:i]
		unit = map[byte]float64{'k': 1e3, 'm': 1e6, 'g': 1e9}[s[i]|0x20]
	}
	v, err := strconv.ParseFloat(number, 64)
	if v *= unit; err != nil || !(v >= 1 && v <= maxBitrate) {
		return 0, fmt.Errorf("bad bit rate %q: want bits a second, such as 8M or 500k, up to 8G", s)
	}
	return int64(v), nil
}

// SendStats count what Send did.
type SendStats struct {
	Datagrams uint64 // sent, copies included
	Bytes     uint64 // in them, RTP headers included
	Rounds    uint64 // of the file, begun
	Skipped   uint64 // bytes of the file that were no packets
	Pauses    uint64 // times this machine or the file kept Send waiting for over a second
	Refused   uint64 // datagrams that the receiving machine refused: nobody listens there
	Elapsed   time.Duration
	FaultStats
}

// statRow is a count and what was counted.
type statRow struct {
	count uint64
	what  string
}

// String is one line for people.
func (s SendStats) String() string {
	var b strings.Builder
	rate := 0.0
	if s.Elapsed > 0 {
		rate = float64(s.Bytes) * 8 / s.Elapsed.Seconds()
	}
	fmt.Fprintf(&b, "%d datagrams, %s in %s, %s", s.Datagrams, bytesText(s.Bytes), s.Elapsed.Round(100*time.Millisecond), rateText(rate))
	rows := append(s.rows(),
		statRow{s.Refused, "refused by the receiver"},
		statRow{s.Pauses, "pauses"},
		statRow{s.Skipped, "bytes of the file skipped"})
	for _, r := range rows {
		if r.count > 0 {
			fmt.Fprintf(&b, ", %d %s", r.count, r.what)
		}
	}
	return b.String()
}

// Send sends the transport stream in src until its end, or until ctx is done, which is
// no error. It keeps the pace of the stream; after a pause of more than a second it does
// not catch up but goes on from there.
//
// src need not be seekable unless it loops. Send looks at ctx between reads: a src
// that blocks, such as a pipe, ends with its writer.
func Send(ctx context.Context, src io.ReadSeeker, o SendOptions) (SendStats, error) {
	if err := o.Validate(); err != nil {
		return SendStats{}, err
	}
	if o.Loop {
		if _, err := src.Seek(0, io.SeekStart); err != nil {
			return SendStats{}, fmt.Errorf("loop: the stream has no beginning to go back to: %w", err)
		}
	}
	conn, err := netx.DialUDP(netx.SendConfig{
		Addr: o.To.Addr, Source: o.To.Source, Interface: o.Interface, TTL: o.TTL,
	})
	if err != nil {
		return SendStats{}, err
	}
	defer conn.Close()
	s := newSender(src, conn, o)
	err = s.run(ctx)
	return s.result(), err
}

// sender is the loop that waits and writes.
type sender struct {
	packer  *packer
	breaker breaker
	conn    io.Writer
	meter   progress
	stats   SendStats
	began   time.Time
	anchor  time.Time // when what is due at zero is sent
}

func newSender(src io.ReadSeeker, conn io.Writer, o SendOptions) *sender {
	return &sender{
		packer:  newPacker(newSource(src, o.Loop), o),
		breaker: breaker{faults: o.Faults},
		conn:    conn,
		meter:   progress{to: o.Progress},
	}
}

func (s *sender) run(ctx context.Context) error {
	s.began = time.Now()
	defer s.meter.clear()
	for {
		d, due, err := s.packer.next(&s.breaker)
		if errors.Is(err, io.EOF) {
			return s.breaker.flush(s.write)
		}
		if err != nil {
			return err
		}
		if !s.wait(ctx, due) {
			return nil
		}
		if err := s.breaker.datagram(d, due, s.packer.header, s.write); err != nil {
			return err
		}
		s.meter.show(func() string { return s.result().String() })
	}
}

// maxLate is how far the sender catches up: longer pauses are let go.
const maxLate = time.Second

// wait waits until something is due, and not at all when that is past already. It
// returns false when ctx is done.
func (s *sender) wait(ctx context.Context, due time.Duration) bool {
	now := time.Now()
	if s.anchor.IsZero() {
		s.anchor = now
	}
	early := s.anchor.Add(due).Sub(now)
	if early < -maxLate {
		s.anchor = s.anchor.Add(-early)
		s.stats.Pauses++
	}
	if early <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// write sends one datagram. A receiver that is not there yet is no reason to stop: the
// refusal of an earlier datagram comes back in place of sending this one.
func (s *sender) write(d []byte) error {
	_, err := s.conn.Write(d)
	if errors.Is(err, syscall.ECONNREFUSED) {
		s.stats.Refused++
		_, err = s.conn.Write(d)
	}
	if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("send datagram %d: %w", s.stats.Datagrams+1, err)
	}
	s.stats.Datagrams++
	s.stats.Bytes += uint64(len(d))
	return nil
}

func (s *sender) result() SendStats {
	r := s.stats
	r.FaultStats = s.breaker.stats
	r.Rounds = s.packer.source.looper.round + 1
	r.Skipped = s.packer.source.skipped
	r.Elapsed = time.Since(s.began)
	return r
}

// perDatagram is how many packets fit into an Ethernet frame.
const perDatagram = 7

// packer makes datagrams of a source's packets.
type packer struct {
	source *source
	pacer  pacer
	ended  bool
	header int // bytes before the first packet: those of RTP, or 0
	buf    []byte

	rtp   rtp.Header // of the next datagram
	clock uint32     // RTP timestamp of what is due at zero
}

func newPacker(src *source, o SendOptions) *packer {
	p := &packer{source: src, pacer: &clockPacer{}}
	src.clocked = o.Bitrate == 0
	if o.Bitrate > 0 {
		p.pacer = &ratePacer{bitrate: o.Bitrate}
	}
	if o.To.Scheme == uri.RTP {
		p.header = rtp.HeaderSize
		p.clock = rand.Uint32()
		p.rtp = rtp.Header{PayloadType: rtp.PayloadTypeMP2T, Sequence: uint16(rand.Uint32()), SSRC: rand.Uint32()}
	}
	return p
}

// next returns the next datagram, valid until the next call, and when its first packet
// is due. The last one may be short; then comes io.EOF.
func (p *packer) next(b *breaker) ([]byte, time.Duration, error) {
	p.buf = append(p.buf[:0], make([]byte, p.header)...)
	var first time.Duration
	for count := range perDatagram {
		packet, due, err := p.packet()
		if errors.Is(err, io.EOF) && count > 0 {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		if count == 0 {
			first = due
		}
		b.packet(packet, due)
		p.buf = append(p.buf, packet...)
	}
	if p.header > 0 {
		p.rtp.Timestamp = p.clock + uint32(first.Microseconds()*9/100) // 90 kHz
		p.rtp.Append(p.buf[:0])
		p.rtp.Sequence++
	}
	return p.buf, first, nil
}

// packet returns the next packet with a known time.
func (p *packer) packet() (ts.Packet, time.Duration, error) {
	for {
		if packet, due, ok := p.pacer.next(); ok {
			return packet, due, nil
		}
		if p.ended {
			return nil, 0, io.EOF
		}
		packet, err := p.source.next()
		switch {
		case errors.Is(err, io.EOF):
			p.ended = true
			err = p.pacer.end()
		case err == nil:
			err = p.pacer.add(packet)
		}
		if err != nil {
			return nil, 0, err
		}
	}
}
