package pool_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/pool"
)

var errRefused = errors.New("connection refused")

// kit is a pool under test, and its time.
type kit struct {
	t    testing.TB
	pool *pool.Pool
	now  time.Time
	down []string // what the pool told of
}

func newKit(t testing.TB, c pool.Config, remotes ...pool.Remote) *kit {
	k := &kit{t: t, now: time.Unix(1_800_000_000, 0)}
	k.pool = pool.New(c, 1, func(r string) { k.down = append(k.down, r) })
	k.pool.Update(k.now, c, remotes)
	return k
}

// wait lets time pass.
func (k *kit) wait(d time.Duration) { k.now = k.now.Add(d) }

// guest is a visit under test.
type guest struct {
	*pool.Visit
	kit   *kit
	woken int
}

// enter begins the visit of the client with that number; 0 is one without an address.
func (k *kit) enter(client int) *guest {
	g := &guest{kit: k}
	g.Visit = k.pool.Enter(address(client), func() { g.woken++ })
	return g
}

func address(n int) netip.Addr {
	if n == 0 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// next is the name of the remote that the visit gets, or ! and the error.
func (g *guest) next() string {
	r, err := g.Next(g.kit.now)
	if err != nil {
		return "!" + err.Error()
	}
	return r.Name
}

func (g *guest) fail()    { g.Failed(g.kit.now, errRefused) }
func (g *guest) connect() { g.Connected(g.kit.now, time.Millisecond) }
func (g *guest) leave()   { g.Leave(g.kit.now, 0, 0) }

// hold is the remote of a new session that stays.
func (k *kit) hold(client int) (string, *guest) {
	g := k.enter(client)
	name := g.next()
	if !strings.HasPrefix(name, "!") {
		g.connect()
	}
	return name, g
}

// pick is the remote of a session that is over at once.
func (k *kit) pick(client int) string {
	name, g := k.hold(client)
	g.leave()
	return name
}

// try is how a new client fares when those remotes refuse: all that it was sent to, and
// in the end + if one took it.
func (k *kit) try(refusing string) string {
	g := k.enter(1)
	defer g.leave()
	way := ""
	for {
		name := g.next()
		switch {
		case name[0] == '!':
			return way
		case strings.Contains(refusing, name):
			way += name
			g.fail()
		default:
			g.connect()
			return way + name + "+"
		}
	}
}

func (k *kit) view(name string) pool.View {
	k.t.Helper()
	all, _ := k.pool.Views(k.now)
	for _, v := range all {
		if v.Name == name {
			return v
		}
	}
	k.t.Fatalf("no remote %s in the views", name)
	return pool.View{}
}

func (k *kit) waiting() int {
	_, n := k.pool.Views(k.now)
	return n
}

func (k *kit) order(name string, state pool.State) {
	k.t.Helper()
	if err := k.pool.Order(k.now, name, pool.Order{State: &state}); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) weight(name string, weight int) {
	k.t.Helper()
	if err := k.pool.Order(k.now, name, pool.Order{Weight: &weight}); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) setUp(name string, up bool) { k.pool.SetUp(k.now, name, up, "status 503") }

// want fails the test when got is not what it should be.
func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// of makes remotes of their names, A and so on, with these weights.
func of(weights ...int) []pool.Remote {
	var all []pool.Remote
	for i, w := range weights {
		all = append(all, pool.Remote{Name: string(rune('A' + i)), Weight: w})
	}
	return all
}
