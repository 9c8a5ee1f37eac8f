package relay

import (
	"container/list"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/flow"
)

// maxSources bounds the addresses whose rate a listener remembers; the least recent go.
const maxSources = 1 << 16

// tally is what the clients of one listener add up to. It outlives reloads.
type tally struct {
	accepted atomic.Uint64
	refused  [flow.CauseError + 1]atomic.Uint64 // by flow.Cause

	mu       sync.Mutex // guards what follows
	sessions int        // that were let in
	sources  map[netip.Prefix]int
	rate     bucket
	rates    sourceRates
}

// enter lets a session in, unless the listener has all it may have.
func (t *tally) enter(c *Listener, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.Max > 0 && t.sessions >= c.Max {
		return false
	}
	if c.Rate > 0 && !t.rate.take(now, c.Rate) {
		return false
	}
	t.sessions++
	return true
}

// enterSource counts a session of that address in, unless the address has all it may have.
// counted is what leave wants to have back.
func (t *tally) enterSource(c *Listener, a netip.Addr, now time.Time) (counted netip.Prefix, ok bool) {
	source := sourceOf(a)
	if !source.IsValid() || (c.PerSource <= 0 && c.RatePerSource <= 0) {
		return netip.Prefix{}, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.PerSource > 0 && t.sources[source] >= c.PerSource {
		return netip.Prefix{}, false
	}
	if c.RatePerSource > 0 && !t.rates.take(source, now, c.RatePerSource) {
		return netip.Prefix{}, false
	}
	if c.PerSource <= 0 {
		return netip.Prefix{}, true
	}
	if t.sources == nil {
		t.sources = make(map[netip.Prefix]int)
	}
	t.sources[source]++
	return source, true
}

// leave counts a session out that enter has let in, and its source unless that is invalid.
func (t *tally) leave(source netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions--
	if !source.IsValid() {
		return
	}
	if t.sources[source] > 1 {
		t.sources[source]--
	} else {
		delete(t.sources, source)
	}
}

func (t *tally) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions
}

// sourceOf is what counts as one source: in IPv6 the /64 that one household has. It is
// invalid for a client without an address, which no limit counts.
func sourceOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// bucket lets so many sessions begin a second, and what a second brings at once, one at
// least. The zero bucket is full.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(now time.Time, rate float64) bool {
	most := max(rate, 1)
	switch {
	case b.at.IsZero():
		b.tokens, b.at = most, now
	case now.After(b.at):
		b.tokens, b.at = min(most, b.tokens+rate*now.Sub(b.at).Seconds()), now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// sourceRates is a bucket for each source. The zero value is empty.
type sourceRates struct {
	known  map[netip.Prefix]*list.Element
	recent list.List // of *sourceRate, the most recent first
}

type sourceRate struct {
	source netip.Prefix
	bucket bucket
}

func (r *sourceRates) take(source netip.Prefix, now time.Time, rate float64) bool {
	e := r.known[source]
	if e == nil {
		if r.known == nil {
			r.known = make(map[netip.Prefix]*list.Element)
		}
		if len(r.known) >= maxSources {
			oldest := r.recent.Back()
			r.recent.Remove(oldest)
			delete(r.known, oldest.Value.(*sourceRate).source)
		}
		e = r.recent.PushFront(&sourceRate{source: source})
		r.known[source] = e
	}
	r.recent.MoveToFront(e)
	return e.Value.(*sourceRate).bucket.take(now, rate)
}

// bare is the address of a client as networks contain it: none contains one with a zone.
func bare(a flow.Addr) netip.Addr { return a.IP.Addr().Unmap().WithZone("") }

// permitted says whether the rules let a client in. UNIX sockets have no addresses: who may
// connect there is a matter of the file's mode, and no rule is about them.
func permitted(rules []Rule, a flow.Addr) bool {
	if len(rules) == 0 || a.Network == flow.Unix {
		return true
	}
	ip := bare(a)
	for _, r := range rules {
		if r.Prefix.Contains(ip) != r.Not {
			return !r.Deny
		}
	}
	return false
}
