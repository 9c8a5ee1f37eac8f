package pool

import "math/rand/v2"

// The ways of balancing. Each chooses one of the remotes of open, which is not empty, by
// their weights of this moment (remote.now).

// least is the remote with the fewest sessions for its weight, the first of equals.
func least(open []*remote) *remote {
	best, load := open[0], open[0].load()
	for _, r := range open[1:] {
		if l := r.load(); l < load {
			best, load = r, l
		}
	}
	return best
}

// inTurn is smooth weighted round robin: each gets its weight, and who has the most is next and pays for
// all. With weights 5, 1, 1 that is AABACAA.
func inTurn(open []*remote) *remote {
	best := open[0]
	for _, r := range open {
		r.turn += r.now
		if r.turn > best.turn {
			best = r
		}
	}
	best.turn -= weightOf(open)
	return best
}

// twoChoices draws two remotes and takes the one with fewer sessions for its weight, the
// first of equals.
func twoChoices(open []*remote, chance *rand.Rand) *remote {
	a := byChance(open, chance)
	if len(open) == 1 {
		return a
	}
	weight := a.now
	a.now = 0 // so that it is not drawn twice
	b := byChance(open, chance)
	a.now = weight
	if b.load() < a.load() {
		return b
	}
	return a
}

// byChance draws a remote.
func byChance(open []*remote, chance *rand.Rand) *remote {
	return at(open, chance.Int64N(weightOf(open)))
}

// at is the remote at a place from 0 to below the sum of the weights.
func at(open []*remote, place int64) *remote {
	for _, r := range open {
		if place < r.now {
			return r
		}
		place -= r.now
	}
	return open[len(open)-1]
}

// weightOf is the sum of the weights.
func weightOf(open []*remote) int64 {
	sum := int64(0)
	for _, r := range open {
		sum += r.now
	}
	return sum
}
