// Package udp is the end for UDP and RTP datagrams, multicast first.
//
// The way of a datagram:
//
//  1. recvmmsg puts a batch straight into the channel's open segment, one slot of
//     `stride` bytes each; the stride is the longest datagram of the batch before, so
//     that a steady stream fills the segment without a gap.
//  2. Datagrams for another destination or interface are dropped and counted.
//  3. RTP headers are cut off (detected by themselves, see rtp.Detect).
//  4. What is left moves together over the gaps that 2 and 3 left; a batch with a
//     datagram longer than the stride goes through a scratch buffer instead, so that
//     nothing is ever truncated.
package udp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/logs"
	"sluice/internal/media/rtp"
	"sluice/internal/media/ts"
	"sluice/internal/netx"
	"sluice/internal/report"
	"sluice/internal/uri"
)

const (
	batchSize   = 64      // datagrams a system call
	drainBytes  = 1 << 20 // a Drain returns after about so much
	firstStride = 2048    // before anything is known of the sizes
)

// Opener opens UDP sources. The zero value receives on the interface that the
// system's routes choose, with the receive buffer of netx.
type Opener struct {
	Interface     string // name; if empty, the system's choice
	ReceiveBuffer int    // bytes; if zero, netx.DefaultReceiveBuffer
	Log           *slog.Logger

	once  sync.Once
	batch *netx.Batch // shared by all sources: they are drained one at a time
	small sync.Once   // the receive buffer is complained about once
}

// Open joins the group (or binds the local address) that end names.
func (o *Opener) Open(from uri.Source) (endpoint.Source, error) {
	end := from[0]
	o.once.Do(func() { o.batch = netx.NewBatch(batchSize) })
	want := o.ReceiveBuffer
	if want == 0 {
		want = netx.DefaultReceiveBuffer
	}
	sock, err := netx.OpenUDP(netx.UDPConfig{
		Addr: end.Addr, Source: end.Source, Interface: o.Interface, ReceiveBuffer: want,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", end.Tag(), err)
	}
	if granted := sock.Granted(); granted < want && o.Log != nil {
		o.small.Do(func() {
			o.Log.Warn("receive buffer smaller than asked for: bursts may be lost",
				logs.Channel, end.Tag(), "asked", want, "granted", granted,
				"hint", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", want))
		})
	}
	return &source{sock: sock, batch: o.batch, end: end, stride: firstStride}, nil
}

// source is one socket.
type source struct {
	sock   *netx.UDP
	batch  *netx.Batch
	end    uri.End
	stride int

	count   report.Leg
	isRTP   bool
	dropped uint32 // the kernel's count as of the last batch
	rtp     rtp.Counter
	scratch []byte // of batches with datagrams longer than the stride
}

func (s *source) FDs() []int    { return []int{s.sock.FD()} }
func (s *source) Holding() bool { return false }
func (s *source) Close() error  { return s.sock.Close() }

// Drain implements endpoint.Source.
func (s *source) Drain(_ time.Duration, w endpoint.Writer) error {
	for moved := 0; moved < drainBytes; {
		space := w.Reserve(s.stride)
		n, err := s.batch.Receive(s.sock.FD(), space, s.stride)
		if err != nil {
			return fmt.Errorf("%s: receive: %w", s.end.Tag(), err)
		}
		if n == 0 {
			return nil
		}
		slots := min(batchSize, len(space)/s.stride)
		moved += s.take(w, space, n)
		if n < slots {
			return nil
		}
	}
	return nil
}

// take moves the payload of the n datagrams in space into w and returns its length.
func (s *source) take(w endpoint.Writer, space []byte, n int) int {
	stride, longest, over := s.stride, 0, false
	for i := range n {
		d := s.batch.Datagram(i)
		longest = max(longest, d.Len)
		over = over || d.Overflow != nil
	}
	s.count.Datagrams += uint64(n)
	dropped := s.batch.Datagram(n - 1).Dropped // counts modulo 2³²
	s.count.KernelLost += uint64(dropped - s.dropped)
	s.dropped = dropped
	s.stride = min(max(longest, ts.PacketSize), endpoint.MaxDatagram)
	if over {
		return s.takeLong(w, space, n, stride)
	}
	used := 0
	for i := range n {
		d := s.batch.Datagram(i)
		payload := s.payload(&d, space[i*stride:i*stride+d.Len])
		if len(payload) > 0 && &payload[0] != &space[used] {
			copy(space[used:], payload)
		}
		used += len(payload)
	}
	w.Commit(used)
	return used
}

// takeLong is take for a batch in which a datagram is longer than its slot.
func (s *source) takeLong(w endpoint.Writer, space []byte, n, stride int) int {
	s.scratch = s.scratch[:0]
	for i := range n {
		d := s.batch.Datagram(i)
		start := len(s.scratch)
		s.scratch = append(s.scratch, space[i*stride:i*stride+min(d.Len, stride)]...)
		s.scratch = append(s.scratch, d.Overflow...)
		payload := s.payload(&d, s.scratch[start:])
		s.scratch = append(s.scratch[:start], payload...)
	}
	for rest := s.scratch; len(rest) > 0; {
		k := copy(w.Reserve(1), rest)
		w.Commit(k)
		rest = rest[k:]
	}
	return len(s.scratch)
}

// payload is the part of a datagram that belongs to the channel; empty when none does.
func (s *source) payload(d *netx.Datagram, b []byte) []byte {
	if !s.wanted(d) {
		s.count.Foreign++
		return nil
	}
	if d.Truncated {
		s.count.Truncated++
		return nil
	}
	if len(b) == 0 || b[0] == ts.SyncByte {
		return b
	}
	if !s.isRTP {
		if !rtp.Detect(b) {
			return b
		}
		s.isRTP = true
	}
	h, payload, err := rtp.Parse(b)
	if err != nil {
		s.count.Malformed++
		return nil
	}
	s.rtp.Add(h.Sequence, h.SSRC)
	return payload
}

// wanted says whether a datagram is one that the end names. The kernel has filtered
// already; this is what keeps two groups on one port apart should it not have.
func (s *source) wanted(d *netx.Datagram) bool {
	if d.HasDst {
		if d.Dst != s.end.Addr.Addr() {
			return false
		}
		if want := s.sock.Interface(); want != 0 && d.IfIndex != want {
			return false
		}
	}
	return !s.end.Source.IsValid() || sameHost(d.Src.Addr(), s.end.Source)
}

func sameHost(a, b netip.Addr) bool { return a.Unmap().WithZone("") == b }

// Counters implements endpoint.Source.
func (s *source) Counters() report.Source {
	leg := s.count
	leg.Tag = s.end.Tag()
	return report.Source{Tag: leg.Tag, Legs: []report.Leg{leg}, RTP: s.isRTP, RTPLost: s.rtp.Lost}
}
