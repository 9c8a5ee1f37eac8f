package ts

import "time"

// maxPaceStep is the longest step between two ticks that is taken at its word. A longer one,
// and one back, is a splice: the pace before it goes on.
const maxPaceStep = 5 * ClockRate

// Pace is the time that a stream tells as it passes: that of the first PID with a PCR. It
// goes on over splices, and never back. The zero Pace has not begun.
type Pace struct {
	known bool
	pid   uint16
	last  int64 // PCR
	step  int64 // the last that was taken at its word, in ticks of 27 MHz
	now   int64 // ticks since the first PCR
}

// Tick takes the next packet and returns when it is due, counted from the first PCR of the
// stream; it is not ok for a packet that does not tell the time.
func (c *Pace) Tick(p Packet) (due time.Duration, ok bool) {
	pcr, ok := p.PCR()
	if !ok || p.TransportError() || c.known && p.PID() != c.pid {
		return 0, false
	}
	if c.known {
		step := mod(pcr-c.last, wrapPCR)
		if step > maxPaceStep || p.Discontinuity() {
			step = c.step
		}
		c.step = step
		c.now += step
	}
	c.known, c.pid, c.last = true, p.PID(), pcr
	return time.Duration(c.now/ClockRate)*time.Second + time.Duration(c.now%ClockRate*1000/27), true
}

// Steady says that the pace is known: the time has gone on between two ticks.
func (c *Pace) Steady() bool { return c.step > 0 }
