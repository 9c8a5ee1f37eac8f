package relay

import (
	"testing"

	"sluice/internal/flow"
)

// visitor is a session at a gate.
func visitor() *flow.Session { return &flow.Session{Keep: new(session)} }

func state(s *flow.Session) *session { return s.Keep.(*session) }

func TestGateQueues(t *testing.T) {
	var g gate
	g.set(&Config{MaxSessions: 2})
	a, b, c, d := visitor(), visitor(), visitor(), visitor()
	for _, x := range []struct {
		s      *flow.Session
		want   place
		change bool
	}{{a, inside, false}, {b, inside, true}, {c, queued, false}, {d, queued, false}} {
		if got, ch := g.enter(x.s, state(x.s)); got != x.want || ch != x.change {
			t.Errorf("place %d, change %v, want %d, %v", got, ch, x.want, x.change)
		}
	}
	if v := g.view(); !v.full {
		t.Error("the gate is not full")
	}
	next, _ := g.leave(a, state(a))
	if next != c || !g.entered(state(c)) || g.entered(state(d)) {
		t.Error("the first who waits has not got the place")
	}
	if next, _ := g.leave(d, state(d)); next != nil {
		t.Error("who leaves the queue leaves a place")
	}
	next, ch := g.leave(b, state(b))
	if next != nil || !ch || g.view().full || g.count() != 1 {
		t.Errorf("next %v, change %v, view %+v, count %d", next, ch, g.view(), g.count())
	}
}

func TestGateCloses(t *testing.T) {
	for _, way := range []Overload{Close, Reset} {
		var g gate
		g.set(&Config{MaxSessions: 1, Overload: way})
		a, b := visitor(), visitor()
		g.enter(a, state(a))
		if got, _ := g.enter(b, state(b)); got != outside || !g.view().full {
			t.Errorf("way %d: place %d, view %+v", way, got, g.view())
		}
		g.leave(b, state(b))
		if _, ch := g.leave(a, state(a)); !ch || g.count() != 0 || g.view().full {
			t.Errorf("way %d: count %d", way, g.count())
		}
	}
}

func TestGateWithOtherLimits(t *testing.T) {
	var g gate
	g.set(&Config{MaxSessions: 1})
	all := []*flow.Session{visitor(), visitor(), visitor(), visitor()}
	for _, s := range all {
		g.enter(s, state(s))
	}
	if woken := g.set(&Config{MaxSessions: 3}); len(woken) != 2 || woken[0] != all[1] || !g.view().full {
		t.Errorf("%d are woken, %+v", len(woken), g.view())
	}
	if woken := g.set(&Config{}); len(woken) != 1 || g.view().full {
		t.Errorf("%d are woken, %+v", len(woken), g.view())
	}
	for _, s := range all {
		g.leave(s, state(s))
	}
	if g.count() != 0 {
		t.Errorf("count is %d", g.count())
	}
}

func TestGateRetires(t *testing.T) {
	var g gate
	g.set(&Config{Retire: 2})
	a, b := visitor(), visitor()
	if _, ch := g.enter(a, state(a)); ch || g.view().retired {
		t.Error("retired with the first")
	}
	if _, ch := g.enter(b, state(b)); !ch || !g.view().retired {
		t.Error("not retired with the second")
	}
	g.close()
	if _, ch := g.leave(a, state(a)); ch {
		t.Error("the keeper is told though one is left")
	}
	if _, ch := g.leave(b, state(b)); !ch {
		t.Error("the keeper is not told of the last")
	}
}
