package gws

import "fmt"

// Spread says which engine gets a channel that none has yet; with Config.Split, which
// gets a client.
type Spread uint8

// The policies.
const (
	RoundRobin  Spread = iota // the next in a circle
	MinChannels               // the one that has the fewest channels
	MinClients                // the one that has the fewest clients
)

// String is what ParseSpread reads.
func (s Spread) String() string {
	switch s {
	case MinChannels:
		return "min-channels"
	case MinClients:
		return "min-clients"
	}
	return "round-robin"
}

// ParseSpread reads a policy.
func ParseSpread(s string) (Spread, error) {
	for _, p := range []Spread{RoundRobin, MinChannels, MinClients} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("bad spread %q: want round-robin, min-channels or min-clients", s)
}

// candidate is an engine as pick sees it.
type candidate struct {
	carries  bool // the channel runs there, or a client for it is on its way there
	tried    bool // asked for this client before, and gone; or not to be asked
	channels int  // it has, or will have soon
	clients  int  // likewise
}

// pick decides which engine gets a client. A channel is received once: the first that
// carries it gets the client, unless split is set. Else spread decides, and among equals
// the next from turn on in a circle. It returns -1 when all were tried.
func pick(list []candidate, turn int, spread Spread, split bool) int {
	for i, c := range list {
		if c.carries && !c.tried && !split {
			return i
		}
	}
	best := -1
	for k := range list {
		i := (turn + k) % len(list)
		if !list[i].tried && (best < 0 || list[i].load(spread) < list[best].load(spread)) {
			best = i
		}
	}
	return best
}

// load is what spread has as little of as it can. A channel that c would get counts as
// one that it has.
func (c candidate) load(spread Spread) int {
	switch {
	case spread == MinClients:
		return c.clients
	case spread == MinChannels && c.carries:
		return c.channels
	case spread == MinChannels:
		return c.channels + 1
	}
	return 0
}
