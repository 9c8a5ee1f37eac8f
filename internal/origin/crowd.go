package origin

import (
	"net/netip"
	"sync"
)

// pass is how a connection was let in.
type pass uint8

const (
	uncounted pass = iota // of a local door, or not yet
	entered
	late // beyond a limit: its first request is answered with 503, and that is all
	shut // closed at once
)

// maxLate is how many connections beyond the limits are told so at the same time; any more are closed at once.
const maxLate = 64

// crowd counts the connections of all doors that are not local.
type crowd struct {
	mu      sync.Mutex // guards what follows
	all     int        // that have entered
	peers   map[netip.Prefix]int
	late    int
	refused uint64 // so far: late and shut
}

func newCrowd() *crowd { return &crowd{peers: make(map[netip.Prefix]int)} }

// enter decides about a connection of a peer; an invalid one is under no limit of its own. What does not enter is beyond a
// limit, by the name of its setting.
func (c *crowd) enter(peer netip.Prefix, conf *Config) (p pass, beyond string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case conf.MaxConns > 0 && c.all >= conf.MaxConns:
		beyond = "maxc"
	case conf.MaxPerPeer > 0 && peer.IsValid() && c.peers[peer] >= conf.MaxPerPeer:
		beyond = "maxp"
	}
	switch {
	case beyond == "":
		c.all++
		if peer.IsValid() {
			c.peers[peer]++
		}
		return entered, ""
	case conf.CloseLimit || c.late >= maxLate:
		c.refused++
		return shut, beyond
	}
	c.refused++
	c.late++
	return late, beyond
}

// leave takes back what enter has said.
func (c *crowd) leave(peer netip.Prefix, p pass) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch p {
	case entered:
		c.all--
		if c.peers[peer] > 1 {
			c.peers[peer]--
		} else {
			delete(c.peers, peer)
		}
	case late:
		c.late--
	case uncounted, shut:
	}
}

// count is how many there are, and how many were refused so far.
func (c *crowd) count() (now int, refused uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all, c.refused
}
