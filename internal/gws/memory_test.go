package gws

import "testing"

// TestBurst: a burst is told to be over once, when nobody waits any more.
func TestBurst(t *testing.T) {
	var s Server
	pending := func(n int) {
		s.tally.pending = n
		s.mostPending = max(s.mostPending, n)
	}
	for _, step := range []struct {
		pending int
		over    bool
	}{
		{0, false},
		{burst - 1, false},
		{0, false}, // not enough for a burst
		{burst, false},
		{1, false},
		{0, true},
		{0, false},
		{burst + 1, false},
		{0, true},
		{0, false},
	} {
		pending(step.pending)
		if got := s.burstIsOver(); got != step.over {
			t.Errorf("%+v: %v", step, got)
		}
	}
}
