package iothread

import (
	"math/rand/v2"
	"testing"
)

// TestWheel has many sessions wait for times near and far, moves some of them while they
// wait, and lets time pass in small steps and large ones: each fires in the first step
// that reaches its time, and not before.
func TestWheel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var w wheel
	sessions := make([]session, 2000)
	due := make(map[*session]int64)
	set := func(s *session) {
		due[s] = w.now + 1 + r.Int64N(1<<(1+r.IntN(26)))
		w.set(s, due[s])
	}
	for i := range sessions {
		set(&sessions[i])
	}
	for len(due) > 0 {
		if at, ok := w.upcoming(); !ok || at <= w.now {
			t.Fatalf("%d sessions wait, but the next is to fire at %d, %t; it is %d", len(due), at, ok, w.now)
		}
		to := w.now + 1 + r.Int64N(1<<r.IntN(22))
		w.advance(to, func(s *session) {
			if at := due[s]; at > to {
				w.set(s, at) // lazily, as threads do
				return
			}
			delete(due, s)
		})
		if w.now != to {
			t.Fatalf("it is %d, not %d", w.now, to)
		}
		for s, at := range due {
			if at <= to {
				t.Fatalf("at %d one that was due at %d had not fired", to, at)
			}
			switch r.IntN(200) {
			case 0: // sooner or later
				set(s)
			case 1:
				w.remove(s)
				delete(due, s)
			}
		}
	}
	if _, ok := w.upcoming(); ok {
		t.Error("nobody waits, but somebody is to fire")
	}
	for i := range w.heads {
		if w.heads[i] != nil {
			t.Errorf("bucket %d is not empty", i)
		}
	}
}

// TestWheelLazy: a time that moves back is not touched, one that moves forward is.
func TestWheelLazy(t *testing.T) {
	var w wheel
	var s session
	w.set(&s, 50)
	w.set(&s, 500)
	if at, _ := w.upcoming(); at != 50 {
		t.Errorf("fires at %d, want 50: it was there already", at)
	}
	w.set(&s, 20)
	if at, _ := w.upcoming(); at != 20 {
		t.Errorf("fires at %d, want 20", at)
	}
	w.remove(&s)
	w.remove(&s)
	if _, ok := w.upcoming(); ok {
		t.Error("fires, though it was removed")
	}
}
