package pool_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/pool"
)

// TestUpdateKeeps is a part of line 62 of the acceptance list: what is known of a remote survives
// a reload.
func TestUpdateKeeps(t *testing.T) {
	k := newKit(t, ejecting(0), of(1, 2, 3, 4)...)
	_, held := k.hold(1)
	want(t, "B is ejected", k.try("B"), "BC+")
	k.setUp("C", false)
	k.order("D", pool.Draining)
	k.weight("D", 9)
	before := map[string]pool.View{}
	for _, name := range []string{"A", "B", "C", "D"} {
		before[name] = k.view(name)
	}
	k.wait(time.Second)
	changed := of(1, 2, 3, 4)
	slices.Reverse(changed)
	changed[3].MaxConns = 5 // A
	k.pool.Update(k.now, ejecting(0), changed)
	for name, v := range before {
		if name == "A" {
			v.MaxConns = 5
		}
		want(t, name+" after an update that leaves it", k.view(name), v)
	}
	held.Leave(k.now, 10, 20)
	want(t, "bytes of A", k.view("A").Bytes, [2]uint64{10, 20})

	want(t, "ordered weight", k.view("D").Weight, 9)
	changed[0].Weight = 5 // D
	k.pool.Update(k.now, ejecting(0), changed)
	want(t, "configured weight has changed", k.view("D").Weight, 5)
	want(t, "ordered", k.view("D").Ordered, false)
	want(t, "state", k.view("D").State, pool.Draining)
}

// TestRemoteGoes: sessions of a remote that is no more go on and are counted no more, also
// not for another of that name.
func TestRemoteGoes(t *testing.T) {
	k := newKit(t, pool.Config{}, of(1)...)
	_, connected := k.hold(1)
	dialing := k.enter(2)
	dialing.next()
	k.pool.Update(k.now, pool.Config{}, nil)
	k.pool.Update(k.now, pool.Config{}, of(1))
	want(t, "sessions", k.view("A").Sessions, 0)
	connected.Leave(k.now, 1, 1)
	dialing.fail()
	dialing.leave()
	want(t, "sessions", k.view("A").Sessions, 0)
	want(t, "failures", k.view("A").Failures, 0)
	want(t, "bytes", k.view("A").Bytes, [2]uint64{})
}

func TestNamesAreUnique(t *testing.T) {
	k := newKit(t, pool.Config{}, pool.Remote{Name: "A", Weight: 7}, pool.Remote{Name: "A"})
	all, _ := k.pool.Views(k.now)
	want(t, "remotes", len(all), 1)
	want(t, "weight", all[0].Weight, 7)
}

func TestSetUp(t *testing.T) {
	k := newKit(t, pool.Config{}, of(1, 1)...)
	begun := k.now
	k.wait(time.Second)
	k.setUp("A", true)
	want(t, "since", k.view("A").Since, begun)
	k.setUp("A", false)
	k.wait(time.Second)
	k.setUp("A", false)
	k.setUp("gone", false)
	v := k.view("A")
	want(t, "up", v.Up, false)
	want(t, "reason", v.Reason, "status 503")
	want(t, "since", v.Since, begun.Add(time.Second))
	want(t, "told of", strings.Join(k.down, " "), "A")
	want(t, "next", k.pick(1), "B")
	k.setUp("B", false)
	want(t, "both are down", k.pick(1), none)
	k.pool.SetUp(k.now, "A", true, "")
	want(t, "reason", k.view("A").Reason, "")
	want(t, "next", k.pick(1), "A")
}

// TestSetUpForgetsEjection: what a check has found good is not left out any more.
func TestSetUpForgetsEjection(t *testing.T) {
	k := newKit(t, ejecting(0), of(1, 1)...)
	k.try("A")
	k.setUp("A", true)
	want(t, "no change", k.view("A").Ejected, true)
	k.setUp("A", false)
	k.setUp("A", true)
	want(t, "back", k.view("A").Ejected, false)
}

// TestOrders is a part of line 54.
func TestOrders(t *testing.T) {
	k := newKit(t, pool.Config{Name: "web"}, of(2, 1)...)
	k.weight("B", 5)
	want(t, "weight", k.view("B").Weight, 5)
	got := ""
	for range 7 {
		name, _ := k.hold(0)
		got += name
	}
	want(t, "order", got, "ABBBABB")
	k.weight("B", 0)
	want(t, "weight", k.view("B").Weight, 1)
	want(t, "ordered", k.view("B").Ordered, false)

	for _, s := range []pool.State{pool.Draining, pool.Disabled} {
		k.order("A", s)
		want(t, "state", k.view("A").State, s)
		want(t, s.String(), k.pick(1), "B")
	}
	k.order("B", pool.Disabled)
	want(t, "both", k.pick(1), none)
	k.order("A", pool.Enabled)
	want(t, "enabled", k.pick(1), "A")

	tooMuch, less, odd := pool.MaxWeight+1, -1, pool.State(3)
	for _, c := range []struct {
		remote string
		order  pool.Order
		want   string
	}{
		{"C", pool.Order{}, `pool web has no remote "C"`},
		{"A", pool.Order{Weight: &tooMuch}, "weight 1000001 of remote A: want 1 to 1000000"},
		{"A", pool.Order{Weight: &less}, "weight -1 of remote A"},
		{"A", pool.Order{State: &odd}, "state 3 of remote A"},
	} {
		err := k.pool.Order(k.now, c.remote, c.order)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("order %+v to %s: %v, want %s", c.order, c.remote, err, c.want)
		}
	}
}

func TestViewsCount(t *testing.T) {
	k := newKit(t, pool.Config{}, of(1, 1)...)
	g := k.enter(1)
	g.next()
	g.Connected(k.now, 80*time.Millisecond)
	want(t, "first connect time", k.view("A").ConnectTime, 80*time.Millisecond)
	g.Leave(k.now, 100, 200)
	g.Leave(k.now, 100, 200)
	g = k.enter(1)
	g.next()
	g.Connected(k.now, 0)
	v := k.view("A")
	want(t, "moving average", v.ConnectTime, 70*time.Millisecond)
	want(t, "total", v.Total, 2)
	want(t, "bytes", v.Bytes, [2]uint64{100, 200})
	want(t, "sessions", v.Sessions, 1)
	want(t, "asked again", g.next(), "A")
	g.fail() // it is connected: nothing happens
	want(t, "sessions", k.view("A").Sessions, 1)
	want(t, "failures", k.view("A").Failures, 0)
}
