package loop

import "time"

// hiccup is how late the loop may be without a word.
const hiccup = 250 * time.Millisecond

// clock is the loop's time: since the loop was made, without the times for which the
// process was not run at all, on a machine that was suspended or had too much to do.
// Nobody could send or take anything then, so nobody is to be called silent or stuck for
// it: otherwise all channels of an engine would end at once when it goes on.
type clock struct {
	began   time.Time
	real    time.Duration // at the last tick
	skipped time.Duration
}

// tick returns the time. allowed is how long the loop has slept at most since the last
// tick, negative for as long as it likes; skipped is by how much it was late, 0 when that
// is less than hiccup.
func (c *clock) tick(allowed time.Duration) (now, skipped time.Duration) {
	return c.tickAt(time.Since(c.began), allowed)
}

func (c *clock) tickAt(real, allowed time.Duration) (now, skipped time.Duration) {
	if late := real - c.real - allowed; allowed >= 0 && late > hiccup {
		skipped = late
	}
	c.real = real
	c.skipped += skipped
	return real - c.skipped, skipped
}
