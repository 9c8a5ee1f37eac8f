package relay

import (
	"testing"
	"time"
)

// TestSettling: memory is given back once after sessions came or went, and not while they do.
func TestSettling(t *testing.T) {
	var q settling
	start := time.Now()
	for _, step := range []struct {
		at    time.Duration
		turns uint64
		want  bool
	}{
		{0, 0, false},
		{restAfter * 2, 0, false},
		{restAfter * 3, 10, false},
		{restAfter*4 - 1, 10, false},
		{restAfter*4 - 1, 11, false},
		{restAfter * 4, 11, false},
		{restAfter * 5, 11, true},
		{restAfter * 6, 11, false},
		{restAfter * 7, 12, false},
		{restAfter * 8, 12, true},
	} {
		if got := q.due(start.Add(step.at), step.turns); got != step.want {
			t.Errorf("after %v with %d turns: %v", step.at, step.turns, got)
		}
	}
}
