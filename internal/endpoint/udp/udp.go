// Package udp is the end for UDP and RTP datagrams, multicast first.
//
// The way of a datagram:
//
//  1. recvmmsg puts a batch straight into the channel's open segment, one slot of
//     `stride` bytes each; the stride is the longest datagram of the batch before, so
//     that a steady stream fills the segment without a gap.
//  2. Datagrams for another destination or interface are dropped and counted.
//  3. RTP headers are cut off (detected by themselves, see rtp.Detect), and rtp.Sorter
//     decides what becomes of the packet.
//  4. What is in order, which is nearly all, moves together over the gaps that 2 and 3
//     left. Where a packet that had to wait goes in between, the rest of the batch is set
//     aside and copied behind it; so is a batch with a datagram longer than the stride,
//     so that nothing is ever truncated.
//
// A source has one leg or two, each a socket. Two are merged packet by packet by the
// Sorter. That needs RTP on both: without it the second leg is dropped as soon as both
// deliver. A leg that is dropped is still received and its datagrams are counted; why it
// was dropped stands in the report. One leg that cannot be joined does not fail the
// source: Rejoin tries again.
package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/logs"
	"sluice/internal/media/rtp"
	"sluice/internal/netx"
)

const (
	batchSize   = 64      // datagrams a system call
	drainBytes  = 1 << 20 // a Drain returns after about so much
	firstStride = 2048    // before anything is known of the sizes
)

// Opener opens UDP sources. The zero value receives on the interface that the
// system's routes choose, with the receive buffer of netx.
type Opener struct {
	Interface     string        // name; if empty, the system's choice
	ReceiveBuffer int           // bytes; if zero, netx.DefaultReceiveBuffer
	Hold          time.Duration // how long an RTP packet waits for those before it; if zero, rtp.DefaultHold
	Log           *slog.Logger  // if nil, nothing is logged

	once     sync.Once
	small    sync.Once // the receive buffer is complained about once
	renewal  sync.Once // opens the reporter
	reporter *netx.Reporter

	// Shared by all sources: they are drained one at a time.
	batch  *netx.Batch
	aside  []byte // the rest of a batch, while something is put before it
	joined []byte // a datagram longer than its slot
}

// Open joins the groups (or binds the local addresses) that from names. With two legs,
// one that can be had is enough.
func (o *Opener) Open(_ context.Context, want endpoint.Want) (endpoint.Source, error) {
	from := want.Source
	o.once.Do(func() { o.batch = netx.NewBatch(batchSize) })
	s := &source{
		opener: o, from: from, legs: make([]leg, len(from)),
		sorter: rtp.Sorter{Legs: len(from), Hold: o.Hold},
	}
	var failed []error
	for i, end := range from {
		l := &s.legs[i]
		*l = leg{index: i, end: end, stride: firstStride}
		if err := s.openLeg(l); err != nil {
			failed = append(failed, err)
			continue
		}
		s.fds = append(s.fds, l.sock.FD())
	}
	if len(s.fds) == 0 {
		return nil, errors.Join(failed...)
	}
	for _, err := range failed {
		o.warn("one leg cannot be received, the other one is", logs.Channel, from.Tag(), logs.Error, err)
	}
	return s, nil
}

// Close frees what the sources share. They are to be closed before.
func (o *Opener) Close() error {
	var reports, batch error
	if o.reporter != nil {
		reports = o.reporter.Close()
	}
	if o.batch != nil {
		batch = o.batch.Close()
	}
	return errors.Join(reports, batch)
}

// openLeg opens the socket of a leg; an error stays noted there.
func (s *source) openLeg(l *leg) error {
	o := s.opener
	want := o.ReceiveBuffer
	if want == 0 {
		want = netx.DefaultReceiveBuffer
	}
	sock, err := netx.OpenUDP(netx.UDPConfig{
		Addr: l.end.Addr, Source: l.end.Source, Interface: o.Interface, ReceiveBuffer: want,
	})
	if err != nil {
		l.failed = fmt.Errorf("%s: %w", l.end.Tag(), err)
		return l.failed
	}
	l.sock, l.failed = sock, nil
	if granted := sock.Granted(); granted < want {
		o.small.Do(func() {
			o.warn("receive buffer smaller than asked for: bursts may be lost",
				logs.Channel, s.from.Tag(), "asked", want, "granted", granted,
				"hint", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", want))
		})
	}
	return nil
}

func (o *Opener) warn(what string, facts ...any) {
	if o.Log != nil {
		o.Log.Warn(what, facts...)
	}
}
