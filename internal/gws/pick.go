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

// pick decides which engine gets a client. A channel is received once: the engine that
// carries it gets the client, unless split is set. Else spread decides, and among equals
// the next from turn on in a circle. It returns -1 when all were tried.
func pick(list []candidate, turn int, spread Spread, split bool) int {
	best := -1
	for k := range list {
		i := (turn + k) % len(list)
		switch c := list[i]; {
		case c.tried:
		case best < 0, c.before(list[best], spread, split):
			best = i
		}
	}
	return best
}

// before reports whether c is a better choice than d.
func (c candidate) before(d candidate, spread Spread, split bool) bool {
	if !split && c.carries != d.carries {
		return c.carries
	}
	switch spread {
	case MinChannels:
		return c.channelsThen() < d.channelsThen()
	case MinClients:
		return c.clients < d.clients
	}
	return false
}

// channelsThen is how many channels it would have with this one.
func (c candidate) channelsThen() int {
	if c.carries {
		return c.channels
	}
	return c.channels + 1
}
