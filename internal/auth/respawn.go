package auth

import (
	"context"
	"time"
)

const (
	respawnFirst = 100 * time.Millisecond
	respawnMax   = 10 * time.Second
	respawnReset = time.Minute // a helper that lived so long was well
)

// respawn decides how long to wait before a helper that ended is replaced: not at all the
// first time, then 100 ms, doubled each time up to 10 s. The zero value is ready.
type respawn struct{ delay time.Duration }

func (r *respawn) next(lived time.Duration) (delay time.Duration) {
	if lived >= respawnReset {
		r.delay = 0
	}
	delay = r.delay
	r.delay = min(max(2*delay, respawnFirst), respawnMax)
	return delay
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
