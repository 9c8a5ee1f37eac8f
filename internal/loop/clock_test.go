package loop

import (
	"testing"
	"time"
)

// TestClock: time for which the loop was not run is left out; what it slept on purpose,
// and small delays, are not.
func TestClock(t *testing.T) {
	const ms = time.Millisecond
	var c clock
	for _, tt := range []struct{ real, allowed, now, skipped time.Duration }{
		{5 * ms, 5 * ms, 5 * ms, 0},
		{205 * ms, 5 * ms, 205 * ms, 0},              // a little late
		{6205 * ms, 5 * ms, 210 * ms, 5995 * ms},     // suspended in its sleep
		{6210 * ms, 5 * ms, 215 * ms, 0},             // and on
		{9210 * ms, -1, 3215 * ms, 0},                // slept for as long as it liked
		{12_210 * ms, 0, 3215 * ms, 3000 * ms},       // suspended at work
		{12_310 * ms, 100 * ms, 3315 * ms, 0},        // housekeeping
		{12_310*ms + hiccup, 0, 3315*ms + hiccup, 0}, // just not too late
	} {
		now, skipped := c.tickAt(tt.real, tt.allowed)
		if now != tt.now || skipped != tt.skipped {
			t.Errorf("at %v: %v, %v left out; want %v, %v", tt.real, now, skipped, tt.now, tt.skipped)
		}
	}
}
