package ts

import "time"

// maxPaceStep is the longest step between two ticks that is taken at its word. A longer one,
// and one back, is a splice: the pace before it goes on.
const maxPaceStep = 5 * ClockRate

// paceStrays is after how many ticks of another PID, and none of its own between them, a Pace
// goes on by that one: in a stream of several programs the next of the own comes much sooner.
const paceStrays = 10

// Pace is the time that a stream tells as it passes: that of the first PID with a PCR, until
// it has no more and another has. It goes on over splices, and never back. The zero Pace has
// not begun.
type Pace struct {
	known bool
	pid   uint16
	last  int64 // PCR
	step  int64 // the last that was taken at its word, in ticks of 27 MHz
	now   int64 // ticks since the first PCR
	gap   bool  // something is missing before the next

	other      uint16 // the PID that ticked first since the last of pid
	strays     int    // how often it has
	otherFirst int64  // its PCR then
}

// Tick takes the next packet and returns when it is due, counted from the first PCR of the
// stream; it is not ok for a packet that does not tell the time.
func (c *Pace) Tick(p Packet) (due time.Duration, ok bool) {
	pcr, ok := p.PCR()
	if !ok || p.TransportError() {
		return 0, false
	}
	pid := p.PID()
	switch {
	case !c.known:
	case pid == c.pid:
		step := mod(pcr-c.last, wrapPCR)
		if step > maxPaceStep || p.Discontinuity() || c.gap {
			step = c.step
		}
		c.step = step
		c.now += step
	case !c.follow(pid, pcr):
		return 0, false
	}
	c.known, c.pid, c.last, c.strays, c.gap = true, pid, pcr, 0, false
	return time.Duration(c.now/ClockRate)*time.Second + time.Duration(c.now%ClockRate*1000/27), true
}

// follow notes a tick of another PID and says whether it is the clock from now on.
func (c *Pace) follow(pid uint16, pcr int64) bool {
	if c.strays == 0 {
		c.other, c.otherFirst = pid, pcr
	}
	if pid == c.other {
		c.strays++
	}
	if c.strays < paceStrays {
		return false
	}
	c.now += c.step
	if passed := mod(pcr-c.otherFirst, wrapPCR); passed <= maxPaceStep {
		c.now += passed
	}
	return true
}

// Gap says that something may be missing before the next packet: the next tick is a splice.
func (c *Pace) Gap() { c.gap = true }

// Steady says that the pace is known: the time has gone on between two ticks.
func (c *Pace) Steady() bool { return c.step > 0 }
