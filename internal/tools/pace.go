package tools

import (
	"errors"
	"fmt"
	"time"

	"sluice/internal/media/ts"
)

// ErrNoClock says that a stream cannot be sent at its own pace.
var ErrNoClock = errors.New("no clock (PCR) in the stream: give its rate, as in --bitrate 8M")

// pacer says when each packet of a stream is due, counted from the first. It keeps a
// copy of what it does not know yet.
type pacer interface {
	// add takes the next packet.
	add(p ts.Packet) error
	// end says that there are no more.
	end() error
	// next returns the oldest packet with a known time, which belongs to the caller
	// until the next add; it is not ok when there is none.
	next() (p ts.Packet, due time.Duration, ok bool)
}

// ratePacer sends at a constant rate.
type ratePacer struct {
	bitrate int64 // bits a second
	held    []byte
	sent    int64 // packets
}

func (r *ratePacer) add(p ts.Packet) error {
	r.held = append(r.held[:0], p...)
	return nil
}

func (r *ratePacer) end() error { return nil }

func (r *ratePacer) next() (ts.Packet, time.Duration, bool) {
	if len(r.held) == 0 {
		return nil, 0, false
	}
	p := ts.Packet(r.held)
	r.held = r.held[:0]
	bits := r.sent * ts.PacketSize * 8
	r.sent++
	second := int64(time.Second)
	return p, time.Duration(bits/r.bitrate*second + bits%r.bitrate*second/r.bitrate), true
}

const (
	// maxHeld bounds the packets between two PCRs: 12 MB.
	maxHeld = 1 << 16
	// maxClockStep is the longest step between two PCRs that is taken at its word.
	// A longer one, and one back, is a splice: the pace before it is kept.
	maxClockStep = 5 * ts.ClockRate
)

// clockPacer sends at the pace of the PCR: packets between two are spread evenly
// (ISO/IEC 13818-1, 2.4.2.2). The clock is that of the first PID that has one.
type clockPacer struct {
	held  []byte // since the latest PCR; before the second, since the beginning
	lead  int    // packets held before the first PCR
	known bool   // there was a PCR
	pid   uint16
	pcr   int64 // the latest

	ready segment
	at    int   // next packet of ready
	now   int64 // when held begins, in ticks of 27 MHz
}

// segment is packets whose times are known.
type segment struct {
	packets []byte
	start   int64 // in ticks
	step    int64 // ticks of count packets
	count   int64
}

func (s *segment) due(i int) int64 { return s.start + s.step*int64(i)/s.count }

func (c *clockPacer) add(p ts.Packet) error {
	if pcr, ok := p.PCR(); ok && !p.TransportError() && (!c.known || p.PID() == c.pid) {
		c.tick(p, pcr)
	}
	if len(c.held) >= maxHeld*ts.PacketSize {
		return fmt.Errorf("nothing told the time for %d packets: %w", maxHeld, ErrNoClock)
	}
	c.held = append(c.held, p...)
	return nil
}

// tick gives what is held its times: p, with a PCR, follows it.
func (c *clockPacer) tick(p ts.Packet, pcr int64) {
	held := len(c.held) / ts.PacketSize
	if !c.known {
		c.known, c.pid, c.pcr, c.lead = true, p.PID(), pcr, held
		return
	}
	step, count := mod(pcr-c.pcr, wrapPCR), int64(held-c.lead)
	c.pcr = pcr
	if p.Discontinuity() || step == 0 || step > maxClockStep {
		step, count = c.ready.step, c.ready.count // of the segment before
	}
	if count == 0 { // there was none: the pace is still to be learned
		c.lead = held
		return
	}
	c.lead = 0
	c.release(step, count)
}

// release makes held ready, at a pace of step ticks for count packets.
func (c *clockPacer) release(step, count int64) {
	c.ready.packets, c.held = c.held, c.ready.packets[:0]
	c.ready.start, c.ready.step, c.ready.count = c.now, step, count
	c.at = 0
	c.now = c.ready.due(len(c.ready.packets) / ts.PacketSize)
}

func (c *clockPacer) end() error {
	if c.ready.count == 0 {
		return ErrNoClock
	}
	c.release(c.ready.step, c.ready.count)
	return nil
}

func (c *clockPacer) next() (ts.Packet, time.Duration, bool) {
	i := c.at * ts.PacketSize
	if i >= len(c.ready.packets) {
		return nil, 0, false
	}
	due := c.ready.due(c.at)
	c.at++
	return ts.Packet(c.ready.packets[i : i+ts.PacketSize]), ticks(due), true
}

// ticks converts a time of 27 MHz.
func ticks(t int64) time.Duration {
	return time.Duration(t/ts.ClockRate)*time.Second + time.Duration(t%ts.ClockRate*1000/27)
}
