package relay

import (
	"slices"
	"sync"

	"sluice/internal/flow"
)

// gate counts all sessions and keeps to Config.MaxSessions. Its methods never wait for
// anything but its mutex, which is held for moments only.
type gate struct {
	mu      sync.Mutex // guards what follows
	max     int        // 0 = no limit
	way     Overload
	retire  int // 0 = never
	inside  int
	begun   int
	waiting []*flow.Session // with Queue: what the threads had accepted before they stopped; in order
	full    bool            // there is no room, and somebody came or may come
	closing bool            // nobody comes any more
}

// place is where a session stands with the gate. The gate's mutex guards it.
type place uint8

const (
	outside place = iota
	queued
	inside
)

// enter lets a session in (inside), has it wait, or does not (outside). changed says that
// Run is to look at the gate.
func (g *gate) enter(s *flow.Session, st *session) (_ place, changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.max > 0 && g.inside >= g.max {
		was := g.full
		g.full = true
		if g.way == Queue {
			st.place = queued
			g.waiting = append(g.waiting, s)
		}
		return st.place, !was
	}
	return inside, g.letInLocked(st)
}

func (g *gate) letInLocked(st *session) bool {
	st.place = inside
	g.inside++
	g.begun++
	was := g.full
	g.full = g.full || g.fullLocked()
	return g.full != was || g.begun == g.retire
}

// fullLocked says whether nobody more is to be accepted. With Close there is no such time: who is
// beyond the limit must be accepted to be closed.
func (g *gate) fullLocked() bool { return g.max > 0 && g.inside >= g.max && g.way != Close }

// entered says whether a session that waited has been let in.
func (g *gate) entered(st *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return st.place == inside
}

// leave counts a session out, wherever it stands. next, unless it is nil, has its place
// then, and is to be woken.
func (g *gate) leave(s *flow.Session, st *session) (next *flow.Session, changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch st.place {
	case queued:
		g.waiting = slices.DeleteFunc(g.waiting, func(w *flow.Session) bool { return w == s })
	case inside:
		g.inside--
		next, changed = g.roomLocked()
	}
	st.place = outside
	return next, changed || g.closing && g.inside == 0
}

// roomLocked gives one free place away.
func (g *gate) roomLocked() (next *flow.Session, changed bool) {
	if g.max > 0 && g.inside >= g.max {
		return nil, false
	}
	if len(g.waiting) > 0 {
		next, g.waiting = g.waiting[0], g.waiting[1:]
		return next, g.letInLocked(next.Keep.(*session))
	}
	was := g.full
	g.full = false
	return nil, was
}

// close has the keeper told when the last session has left.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
}

// set changes the limits; those who may come in now are to be woken.
func (g *gate) set(c *Config) (woken []*flow.Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max, g.way, g.retire = c.MaxSessions, c.Overload, c.Retire
	g.full = false
	for len(g.waiting) > 0 {
		next, _ := g.roomLocked()
		if next == nil {
			break
		}
		woken = append(woken, next)
	}
	g.full = g.fullLocked()
	return woken
}

// gateView is what the keeper goes by.
type gateView struct {
	full    bool
	max     int
	way     Overload
	retired bool
}

func (g *gate) view() gateView {
	g.mu.Lock()
	defer g.mu.Unlock()
	return gateView{full: g.full, max: g.max, way: g.way, retired: g.retire > 0 && g.begun >= g.retire}
}

// count says how many sessions there are, those that wait included.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside + len(g.waiting)
}
