package pool_test

import (
	"testing"
	"time"

	"sluice/internal/pool"
)

// room makes remotes A and so on that take so many sessions.
func room(places ...int) []pool.Remote {
	all := of(make([]int, len(places))...)
	for i, n := range places {
		all[i].MaxConns = n
	}
	return all
}

const waits, full, none = "!all remotes are full: in the queue", "!all remotes are full", "!no remote is up"

// TestQueue is line 51 of the acceptance list: sessions for which there is no room wait, the first
// come is the first served, and the queue is bounded.
func TestQueue(t *testing.T) {
	k := newKit(t, pool.Config{Queue: 2}, room(1, 1)...)
	_, a := k.hold(1)
	_, b := k.hold(2)
	first, second, third := k.enter(3), k.enter(4), k.enter(5)
	want(t, "first", first.next(), waits)
	want(t, "second", second.next(), waits)
	want(t, "asked again", first.next(), waits)
	want(t, "third", third.next(), full)
	want(t, "waiting", k.waiting(), 2)

	b.leave()
	want(t, "first is woken", first.woken, 1)
	want(t, "second is woken", second.woken, 0)
	want(t, "place is taken", k.view("B").Sessions, 1)
	want(t, "third", third.next(), waits)
	want(t, "first", first.next(), "B")
	a.leave()
	want(t, "second", second.next(), "A")
	want(t, "third is woken", third.woken, 0)
	first.connect()
	first.leave()
	want(t, "third", third.next(), "B")
	for _, g := range []*guest{first, second, third} {
		want(t, "woken", g.woken, 1)
	}
	want(t, "waiting", k.waiting(), 0)
}

func TestNoQueue(t *testing.T) {
	k := newKit(t, pool.Config{Queue: -1}, room(1)...)
	k.hold(1)
	want(t, "next", k.pick(2), full)
}

// TestPlaceIsPassedOn: who was woken and has gone, or was woken for a remote that is down
// since, takes no place away.
func TestPlaceIsPassedOn(t *testing.T) {
	k := newKit(t, pool.Config{}, room(1)...)
	_, a := k.hold(1)
	first, second := k.enter(2), k.enter(3)
	first.next()
	second.next()
	a.leave()
	first.leave()
	want(t, "second is woken", second.woken, 1)
	want(t, "second", second.next(), "A")

	k = newKit(t, pool.Config{}, room(1, 1)...)
	_, a = k.hold(1)
	k.hold(2)
	first, second = k.enter(3), k.enter(4)
	first.next()
	second.next()
	a.leave()
	k.setUp("A", false)
	want(t, "first has lost its place", first.next(), waits)
	want(t, "sessions of A", k.view("A").Sessions, 0)
	k.setUp("A", true)
	want(t, "first is still the first", first.woken, 2)
	want(t, "second", second.woken, 0)
}

// TestTurnIsOver: who was called and had its try waits at the end the next time.
func TestTurnIsOver(t *testing.T) {
	k := newKit(t, pool.Config{Eject: pool.Eject{Fails: -1}}, room(1, 1)...)
	_, a := k.hold(1)
	k.setUp("B", false)
	g := k.enter(2)
	want(t, "at first", g.next(), waits)
	k.setUp("A", false)
	want(t, "called for nothing", g.woken, 1)
	k.setUp("A", true)
	k.setUp("B", true)
	want(t, "has its try", g.next(), "B")
	first, second := k.enter(3), k.enter(4)
	want(t, "first", first.next(), waits)
	want(t, "second", second.next(), waits)
	g.fail()
	want(t, "first", first.next(), "B")
	want(t, "once more", g.next(), waits)
	a.leave()
	want(t, "second", second.next(), "A")
}

// TestTimeMakesRoom: the time of an ejection is over, which is seen when the pool is looked at.
func TestTimeMakesRoom(t *testing.T) {
	k := newKit(t, ejecting(1), room(1, 1)...)
	a, b := k.enter(1), k.enter(2)
	want(t, "A", a.next(), "A")
	want(t, "B", b.next(), "B")
	b.fail()
	b.leave()
	g := k.enter(3)
	want(t, "at first", g.next(), waits)
	k.wait(time.Minute)
	want(t, "waiting", k.waiting(), 0)
	want(t, "woken", g.woken, 1)
	want(t, "trial", g.next(), "B")
}

func TestLeaveTheQueue(t *testing.T) {
	k := newKit(t, pool.Config{}, room(1)...)
	_, a := k.hold(1)
	first, second := k.enter(2), k.enter(3)
	first.next()
	second.next()
	first.leave()
	want(t, "waiting", k.waiting(), 1)
	a.leave()
	want(t, "first is woken", first.woken, 0)
	want(t, "second is woken", second.woken, 1)
	want(t, "after the end", first.next(), none)
}

// TestWhatMakesRoom is all that lets a session go on that waits.
func TestWhatMakesRoom(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(k *kit, held *guest)
		want string
	}{
		{"a session ends", func(_ *kit, held *guest) { held.leave() }, "A"},
		{"a check is good", func(k *kit, _ *guest) { k.setUp("B", true) }, "B"},
		{"an operator enables", func(k *kit, _ *guest) { k.order("C", pool.Enabled) }, "C"},
		{"another limit", func(k *kit, _ *guest) { k.pool.Update(k.now, pool.Config{}, room(2, 1, 1)) }, "A"},
		{"another remote", func(k *kit, _ *guest) { k.pool.Update(k.now, pool.Config{}, room(1, 1, 1, 1)) }, "D"},
		{"nothing to wait for", func(k *kit, _ *guest) { k.setUp("A", false) }, none},
		{"nothing is left", func(k *kit, _ *guest) { k.pool.Update(k.now, pool.Config{}, nil) }, none},
	} {
		k := newKit(t, pool.Config{}, room(1, 1, 1)...)
		k.setUp("B", false)
		k.order("C", pool.Disabled)
		_, held := k.hold(1)
		g := k.enter(2)
		want(t, c.name+": at first", g.next(), waits)
		c.do(k, held)
		want(t, c.name+": woken", g.woken, 1)
		want(t, c.name, g.next(), c.want)
	}
}

// TestWaitsForAnother: who has tried a remote gets no place there, but does not hold up those
// behind.
func TestWaitsForAnother(t *testing.T) {
	k := newKit(t, pool.Config{Eject: pool.Eject{Fails: -1}}, room(1, 1)...)
	_, b := "", k.enter(1)
	first, second := k.enter(2), k.enter(3)
	want(t, "first", first.next(), "A")
	want(t, "holds B", b.next(), "B")
	first.fail()
	a := k.enter(4)
	want(t, "holds A", a.next(), "A")
	want(t, "first", first.next(), waits)
	want(t, "second", second.next(), waits)
	a.leave()
	want(t, "first is woken", first.woken, 0)
	want(t, "second", second.next(), "A")
	b.leave()
	want(t, "first", first.next(), "B")
}

// TestBackups is a part of line 50: they are for the time when no other is well, not when
// the others are full.
func TestBackups(t *testing.T) {
	remotes := room(1, 1, 0)
	remotes[2].Backup = true
	for _, b := range []pool.Balance{pool.Least, pool.RoundRobin, pool.TwoChoices, pool.Random, pool.Source, pool.Maglev, pool.First} {
		k := newKit(t, pool.Config{Balance: b}, remotes...)
		_, held := k.hold(1)
		k.hold(2)
		waiting := k.enter(3)
		want(t, b.String()+": full", waiting.next(), waits)
		k.setUp("A", false)
		want(t, b.String()+": one is down", waiting.next(), waits)
		k.order("B", pool.Disabled)
		want(t, b.String()+": no other", waiting.next(), "C")
		want(t, b.String()+": one more", k.pick(4), "C")
		held.leave()
		k.setUp("A", true)
		if name := k.pick(5); name == "C" {
			t.Errorf("%v: one is back, and a client goes to the backup", b)
		}

		remotes := of(1, 1, 1)
		remotes[0].Backup = true
		k = newKit(t, pool.Config{Balance: b, Eject: pool.Eject{Fails: -1}}, remotes...)
		if way := k.try("BC"); way != "BCA+" && way != "CBA+" {
			t.Errorf("%v: a client that is refused goes %s", b, way)
		}
	}
}
