package relay

import "time"

// restAfter is how long no session has to begin or end before memory is given back.
const restAfter = 5 * time.Second

// settling decides when memory is given back to the system: once after a time of coming and
// going, which leaves garbage that is of the size of what lives.
type settling struct {
	turns uint64    // begins and ends of sessions that were seen
	since time.Time // when they were seen first
	given uint64    // turns when memory was given back
}

// due says whether it is time, with so many turns so far.
func (q *settling) due(now time.Time, turns uint64) bool {
	if turns != q.turns {
		q.turns, q.since = turns, now
	}
	if turns == q.given || now.Sub(q.since) < restAfter {
		return false
	}
	q.given = turns
	return true
}
