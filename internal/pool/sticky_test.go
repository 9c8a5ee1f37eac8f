package pool_test

import (
	"testing"
	"time"

	"sluice/internal/pool"
)

func sticking(size int) pool.Config {
	return pool.Config{Sticky: pool.Sticky{Period: time.Minute, Size: size}, Eject: pool.Eject{For: time.Hour, Max: time.Hour}}
}

// TestSticky is line 44 of the acceptance list: the same source goes to the same remote until
// its last session began too long ago.
func TestSticky(t *testing.T) {
	k := newKit(t, sticking(0), of(1, 1)...)
	want(t, "client 1", k.pick(1), "A")
	k.hold(0) // now B is the one with fewer
	for range 5 {
		k.wait(59 * time.Second)
		want(t, "client 1 within the period", k.pick(1), "A")
	}
	want(t, "client 2", k.pick(2), "B")
	k.wait(time.Minute)
	want(t, "client 1 after it", k.pick(1), "B")
	want(t, "without an address", k.pick(0), "B")
}

// TestStickyIsBounded: the client goes that was not seen for the longest time.
func TestStickyIsBounded(t *testing.T) {
	k := newKit(t, sticking(2), of(1, 1)...)
	k.pick(1)
	k.pick(2)
	k.hold(0)
	k.pick(1)
	want(t, "client 3 takes the place of client 2", k.pick(3), "B")
	want(t, "client 1", k.pick(1), "A")
	want(t, "client 2", k.pick(2), "B")
	want(t, "client 1 is in", k.pick(1), "A")
	k.pool.Update(k.now, sticking(1), of(1, 1))
	want(t, "client 2 is out", k.enter(2).next(), "B")
	want(t, "client 1 is out", k.pick(1), "A") // A 1, B 1: the first
}

// TestStickyFallsThrough: a remote that cannot take the client is replaced, and the client is
// remembered at the other.
func TestStickyFallsThrough(t *testing.T) {
	back := map[string]func(k *kit){
		"up":      func(k *kit) { k.setUp("A", true) },
		"enabled": func(k *kit) { k.order("A", pool.Enabled) },
	}
	for _, c := range []struct {
		name, back string
		do         func(k *kit)
	}{
		{"down", "up", func(k *kit) { k.setUp("A", false) }},
		{"disabled", "enabled", func(k *kit) { k.order("A", pool.Disabled) }},
		{"ejected", "", func(k *kit) { want(k.t, "another client", k.try("A"), "AB+") }},
		{"full", "", func(k *kit) { k.hold(7); k.hold(8); k.hold(9) }},
		{"gone", "", func(k *kit) { k.pool.Update(k.now, sticking(0), of(1, 1)[1:]) }},
	} {
		remotes := of(1, 1)
		remotes[0].MaxConns = 2
		k := newKit(t, sticking(0), remotes...)
		want(t, c.name+": at first", k.pick(3), "A")
		c.do(k)
		want(t, c.name, k.pick(3), "B")
		if c.back != "" {
			back[c.back](k)
			want(t, c.name+": remembered anew", k.pick(3), "B")
			want(t, c.name+": another client", k.pick(4), "A")
		}
	}
}

func TestDrainingKeepsItsClients(t *testing.T) {
	k := newKit(t, sticking(0), of(1, 1)...)
	want(t, "client 1", k.pick(1), "A")
	k.order("A", pool.Draining)
	k.hold(1)
	want(t, "client 1", k.pick(1), "A")
	want(t, "client 2", k.pick(2), "B")

	// Also out of the queue, past those who wait for B.
	remotes := room(1, 1)
	k = newKit(t, sticking(0), remotes...)
	_, a := k.hold(1)
	k.hold(2)
	k.order("A", pool.Draining)
	other, one := k.enter(3), k.enter(1)
	want(t, "client 3", other.next(), waits)
	want(t, "client 1", one.next(), waits)
	a.leave()
	want(t, "client 3 is woken", other.woken, 0)
	want(t, "client 1", one.next(), "A")
}

// TestBackupsAreNotKept: a client is at a backup only as long as others would be.
func TestBackupsAreNotKept(t *testing.T) {
	remotes := of(1, 1, 1)
	remotes[1].Backup, remotes[2].Backup = true, true
	k := newKit(t, sticking(0), remotes...)
	k.setUp("A", false)
	want(t, "client 1", k.pick(1), "B")
	k.hold(0)
	want(t, "client 1 is kept", k.pick(1), "B")
	k.setUp("A", true)
	want(t, "client 1", k.pick(1), "A")
}
