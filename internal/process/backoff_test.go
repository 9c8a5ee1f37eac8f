package process

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	var b Backoff
	steps := []struct {
		lived  time.Duration
		random float64
		want   time.Duration
	}{
		{0, 0.9, 0}, // the first time at once
		{0, 0, 250 * ms},
		{0, 0, 500 * ms},
		{0, 1, 1250 * ms}, // a quarter of jitter at most
		{29 * time.Second, 0, 2000 * ms},
		{0, 0, 4000 * ms},
		{0, 0.5, 9000 * ms},
		{0, 0, 10000 * ms},
		{0, 1, 12500 * ms},
		{30 * time.Second, 0, 0}, // it was well: from the beginning
		{0, 0, 250 * ms},
	}
	for i, s := range steps {
		if got := b.Next(s.lived, s.random); got != s.want {
			t.Errorf("step %d: delay %v, want %v", i, got, s.want)
		}
	}
	b = Backoff{failures: 1 << 30}
	if got := b.Next(0, 0); got != backoffMax {
		t.Errorf("after very many failures: %v, want %v", got, backoffMax)
	}
}
