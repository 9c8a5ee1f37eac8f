package process

import "time"

// The steps of a Backoff.
const (
	backoffFirst = 250 * time.Millisecond // delay of the second start in a row
	backoffMax   = 10 * time.Second
	backoffReset = 30 * time.Second // who lived so long starts from the beginning
)

// Backoff decides how long to wait before something that ended is started again:
// not at all the first time, then 250 ms, doubled each time up to 10 s. Who lived
// for 30 s has been well, and the count begins anew. The zero Backoff is ready.
type Backoff struct {
	failures int // ends in a row, each within backoffReset
}

// Next returns the delay after an end. livedFor is how long it ran; random, from
// 0 to 1, is the jitter: up to a quarter is added, so that processes which ended
// together do not start together.
func (b *Backoff) Next(livedFor time.Duration, random float64) time.Duration {
	if livedFor >= backoffReset {
		b.failures = 0
	}
	b.failures++
	if b.failures == 1 {
		return 0
	}
	delay := backoffFirst
	for range b.failures - 2 {
		if delay *= 2; delay >= backoffMax {
			delay = backoffMax
			break
		}
	}
	return delay + time.Duration(random*float64(delay)/4)
}
