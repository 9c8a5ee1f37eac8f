package pool

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel: whatever is done to a pool, sessions are counted exactly, no remote gets more
// than it may have, no visit tries a remote twice, and who waits is woken once, and as soon
// as there is room.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"enter":    m.enter,
			"next":     func(t *rapid.T) { m.next(t, m.some(t)) },
			"fail":     func(t *rapid.T) { m.fail(m.some(t)) },
			"connect":  func(t *rapid.T) { m.some(t).visit.Connected(m.now, time.Millisecond) },
			"leave":    func(t *rapid.T) { m.leave(m.some(t)) },
			"a check":  func(t *rapid.T) { m.pool.SetUp(m.now, m.name(t), rapid.Bool().Draw(t, "up"), "") },
			"an order": m.order,
			"update":   m.update,
			"time":     m.time,
			"":         m.check,
		})
		for _, v := range m.visits {
			m.leave(v)
		}
		m.check(t)
		for _, r := range m.pool.remotes {
			if r.sessions != 0 || r.trial != nil {
				t.Fatalf("in the end %s has %d sessions, trial %v", r.Name, r.sessions, r.trial != nil)
			}
		}
		if m.pool.queue.Len() != 0 {
			t.Fatalf("in the end %d wait", m.pool.queue.Len())
		}
	})
}

type model struct {
	pool     *Pool
	config   Config
	now      time.Time
	visits   []*modelVisit
	sessions map[*remote]int // at the last check
}

type modelVisit struct {
	visit  *Visit
	tried  []*remote
	waits  bool // Next has said so, and nobody has woken it since
	queued int  // how often Next has put it into the queue
	woken  int
	left   bool
}

func newModel(t *rapid.T) *model {
	m := &model{now: time.Unix(1_800_000_000, 0), sessions: map[*remote]int{}}
	m.config = Config{
		Balance:   rapid.SampledFrom([]Balance{Least, Least, RoundRobin, TwoChoices, Random, Source, First}).Draw(t, "balance"),
		Eject:     Eject{Fails: rapid.IntRange(-1, 2).Draw(t, "fails"), Share: rapid.SampledFrom([]int{0, 50}).Draw(t, "share")},
		Rebalance: rapid.SampledFrom([]int{0, 7}).Draw(t, "rebalance"),
		SlowStart: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "slow start"),
		Queue:     rapid.SampledFrom([]int{-1, 2, 0}).Draw(t, "queue"),
	}
	if rapid.Bool().Draw(t, "sticky") {
		m.config.Sticky = Sticky{Period: 3 * time.Second, Size: 3}
	}
	m.pool = New(m.config, 1, nil)
	m.update(t)
	return m
}

func (m *model) some(t *rapid.T) *modelVisit {
	if len(m.visits) == 0 {
		t.Skip("nobody is there")
	}
	return rapid.SampledFrom(m.visits).Draw(t, "who")
}

func (m *model) name(t *rapid.T) string {
	return rapid.SampledFrom([]string{"A", "B", "C", "D"}).Draw(t, "remote")
}

func (m *model) enter(t *rapid.T) {
	client := netip.Addr{}
	if n := rapid.IntRange(0, 6).Draw(t, "client"); n > 0 {
		client = netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
	}
	v := &modelVisit{}
	v.visit = m.pool.Enter(client, func() {
		v.woken++
		v.waits = false
	})
	m.visits = append(m.visits, v)
	m.next(t, v)
}

func (m *model) next(t *rapid.T, v *modelVisit) {
	waited := v.waits
	r, err := v.visit.Next(m.now)
	switch {
	case errors.Is(err, ErrWait):
		if !waited {
			v.queued++
		}
		v.waits = true
	case err != nil:
	case v.left:
		t.Fatalf("a visit that is over gets %s", r.Name)
	case v.visit.remote.Name != r.Name:
		t.Fatalf("a visit gets %s and is counted at %s", r.Name, v.visit.remote.Name)
	case slices.Contains(v.tried, v.visit.remote):
		t.Fatalf("a visit gets %s a second time", r.Name)
	}
}

func (m *model) fail(v *modelVisit) {
	if r := v.visit.remote; r != nil && !v.visit.taken {
		v.tried = append(v.tried, r)
	}
	v.visit.Failed(m.now, errors.New("refused"))
}

func (m *model) leave(v *modelVisit) {
	v.visit.Leave(m.now, 1, 1)
	if v.waits { // it has left the queue and is not woken
		v.queued--
	}
	v.left, v.waits = true, false
}

func (m *model) order(t *rapid.T) {
	s, w := State(rapid.IntRange(0, 2).Draw(t, "state")), rapid.IntRange(0, 5).Draw(t, "weight")
	_ = m.pool.Order(m.now, m.name(t), Order{State: &s, Weight: &w}) // there may be none of that name
}

func (m *model) update(t *rapid.T) {
	var remotes []Remote
	for _, name := range []string{"A", "B", "C", "D"} {
		if rapid.IntRange(0, 4).Draw(t, name) == 0 {
			continue
		}
		remotes = append(remotes, Remote{
			Name:     name,
			Weight:   rapid.IntRange(0, 3).Draw(t, "weight"),
			Backup:   rapid.IntRange(0, 3).Draw(t, "backup") == 0,
			MaxConns: rapid.SampledFrom([]int{0, 1, 1, 2, 3}).Draw(t, "places"),
		})
	}
	m.pool.Update(m.now, m.config, remotes)
}

// time passes, and is seen at the next call.
func (m *model) time(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
	m.pool.SetUp(m.now, "nobody", true, "")
}

func (m *model) check(t *rapid.T) {
	have := map[*remote]int{}
	for _, v := range m.visits {
		if v.visit.remote != nil {
			have[v.visit.remote]++
		}
		if v.woken > v.queued || !v.waits && v.woken != v.queued {
			t.Fatalf("a visit that was in the queue %d times was woken %d times", v.queued, v.woken)
		}
		if v.waits {
			m.mustWait(t, v)
		}
	}
	for _, r := range m.pool.remotes {
		if r.sessions != have[r] {
			t.Fatalf("%s counts %d sessions and has %d", r.Name, r.sessions, have[r])
		}
		if r.MaxConns > 0 && r.sessions > max(r.MaxConns, m.sessions[r]) { // it may have less since, but gets none
			t.Fatalf("%s has %d sessions of %d", r.Name, r.sessions, r.MaxConns)
		}
		m.sessions[r] = r.sessions
	}
}

// mustWait fails if a visit that waits could go on: there is room at the remotes that are its
// turn, or there are none.
func (m *model) mustWait(t *rapid.T, v *modelVisit) {
	var turns [3][]*remote // those that are well, backups, ejected ones
	for _, r := range m.pool.remotes {
		if !r.up || slices.Contains(v.tried, r) || r.state != Enabled {
			continue
		}
		turn := 0
		switch {
		case r.leftOut(m.now):
			turn = 2
		case r.Backup:
			turn = 1
		}
		turns[turn] = append(turns[turn], r)
	}
	for _, turn := range turns {
		if len(turn) == 0 {
			continue
		}
		for _, r := range turn {
			if r.hasRoom() {
				t.Fatalf("a visit waits, and %s has room", r.Name)
			}
		}
		return
	}
	t.Fatal("a visit waits, and there is no remote")
}
