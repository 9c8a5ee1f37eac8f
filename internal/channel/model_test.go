package channel_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/lineup"
)

// model watches a rig that anything happens to, and knows what may come of it.
type model struct {
	*rig
	patience  time.Duration // 0 = without end
	sending   []bool
	flapping  []bool
	head      int64
	published time.Duration
	idle      time.Duration   // since when there is no client
	waited    []time.Duration // how long each was open for nothing since data was published
	failed    []bool          // since then
	over      bool            // the only source ended
	lost      bool            // no source was left, and the channel was ended
}

// TestModel: sources come, go, break and flap as they like.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := history.NewPool(0)
		defer pool.Close()
		h := history.New(pool, history.Limits{Depth: time.Hour, Bytes: 1 << 30})
		defer h.Free()
		settings := lineup.Settings{
			NoData: time.Duration(rapid.IntRange(0, 3).Draw(t, "no data")) * sec,
			Linger: time.Duration(rapid.IntRange(0, 3).Draw(t, "linger")) * sec,
			Pinned: rapid.Bool().Draw(t, "pinned"), Health: rapid.Bool().Draw(t, "health"),
		}
		n := rapid.IntRange(1, 4).Draw(t, "sources")
		m := &model{
			rig: rigOn(t, h, n, settings), patience: settings.NoData,
			sending: make([]bool, n), flapping: make([]bool, n), waited: make([]time.Duration, n), failed: make([]bool, n),
		}
		for i, s := range m.stations {
			m.sending[i] = true
			s.group = 2 // so that none is taken without a key frame, however seldom it sends
		}
		if m.patience == 0 && n > 1 {
			m.patience = channel.DefaultSwitch
		}
		source := rapid.IntRange(0, n-1)
		toggle := func(on []bool) func(t *rapid.T) {
			return func(t *rapid.T) {
				i := source.Draw(t, "source")
				on[i] = !on[i]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"send or be silent":   toggle(m.sending),
			"flap":                toggle(m.flapping),
			"garbage":             func(t *rapid.T) { m.garbage(source.Draw(t, "source")) },
			"break":               func(t *rapid.T) { m.broke(source.Draw(t, "source")) },
			"end":                 func(t *rapid.T) { m.ended(source.Draw(t, "source")) },
			"can be opened again": func(t *rapid.T) { m.refuse[source.Draw(t, "source")] = nil },
			"come or go":          func(*rapid.T) { m.comeOrGo() },
			"a while":             func(t *rapid.T) { m.play(rapid.IntRange(1, 80).Draw(t, "steps")) },
			"":                    func(*rapid.T) { m.look() },
		})
		m.checkOutput()
	})
}

func (m *model) broke(i int) {
	m.fail(i)
	m.failed[i] = true
}

// ended has a source end in order: an only one ends the channel.
func (m *model) ended(i int) {
	m.over = m.over || len(m.feeds) == 1 && m.feeds[0] != nil
	m.failed[i] = m.failed[i] || m.feeds[i] != nil
	m.finish(i)
}

// garbage comes from a source only when it is known that there are packets: else the
// channel is a raw one.
func (m *model) garbage(i int) {
	if m.h.Head() > 0 {
		m.put(i, garbage(1024))
	}
}

func (m *model) comeOrGo() {
	if m.c.Clients() > 0 {
		m.c.Leave(m.now)
		m.idle = m.now
	} else {
		m.c.Join()
	}
}

func (m *model) play(steps int) {
	for range steps {
		var on []int
		for i := range m.sending {
			if m.sending[i] && !(m.flapping[i] && m.now/sec%2 == 0) {
				on = append(on, i)
			}
		}
		wasOpen := slices.Clone(m.feeds)
		m.pass(step, on...)
		for i, f := range wasOpen {
			if f != nil {
				m.waited[i] += step
			}
			m.failed[i] = m.failed[i] || m.refuse[i] != nil && slices.Equal(m.states()[i:i+1], []string{"failed"})
		}
		m.look()
	}
}

// look checks what holds at any time.
func (m *model) look() {
	if head := m.h.Head(); head != m.head {
		m.head, m.published = head, m.now
		clear(m.waited)
		clear(m.failed)
	}
	states := m.states()
	onAir := 0
	for i, s := range states {
		if s == "on air" {
			onAir++
		}
		if open := m.feeds[i] != nil; open != (s == "on air" || s == "trial") {
			m.t.Fatalf("source %d is open %v and %q", i, open, s)
		}
	}
	if onAir > 1 {
		m.t.Fatalf("on air: %q", states)
	}
	if !m.lost {
		m.checkDue(states)
	} else if onAir > 0 || m.c.Overdue(m.now) != channel.None || m.c.State(m.now) != channel.Closed {
		m.t.Fatalf("after its end %v with %q", m.c.State(m.now), states)
	}
}

// checkDue compares what is due with what is known to have happened.
func (m *model) checkDue(states []string) {
	quiet := m.now - m.published
	gone := m.c.Clients() == 0 && !m.c.Pinned && m.now-m.idle >= m.c.Linger
	allFailed := !slices.ContainsFunc(states, func(s string) bool { return s != "failed" })
	switch due := m.c.Overdue(m.now); due {
	case channel.None:
		if m.over {
			m.t.Fatalf("the only source has ended, and nothing is due")
		}
		if gone {
			m.t.Fatalf("nobody watches since %v, and nothing is due at %v", m.idle, m.now)
		}
		// Each source is given its time and, while it delivers, that for a key frame.
		if most := time.Duration(len(states)+1) * (m.patience + channel.KeyTime + step); m.c.NoData > 0 && quiet > most {
			m.t.Fatalf("nothing came for %v from %q, and nothing is due", quiet, states)
		}
	case channel.Unused:
		if !gone {
			m.t.Fatalf("unused at %v with %d clients, idle since %v", m.now, m.c.Clients(), m.idle)
		}
	case channel.SourceFailed:
		if !allFailed {
			m.t.Fatalf("%q is due with %q", due, states)
		}
		if alone := len(states) == 1 && m.head > 0; alone && (m.c.NoData == 0 || quiet < m.c.NoData) {
			m.t.Fatalf("the only source broke, and is given up after %v of %v", quiet, m.c.NoData)
		}
		m.end()
	case channel.SourceEnded:
		if !m.over {
			m.t.Fatalf("%q is due with %q", due, states)
		}
		m.end()
	case channel.NoData:
		if m.c.NoData == 0 || quiet < m.patience {
			m.t.Fatalf("no data is due after %v of %v", quiet, m.c.NoData)
		}
		for i := range states {
			if m.waited[i] < m.patience && !m.failed[i] && states[i] != "failed" {
				m.t.Fatalf("source %d had %v of its %v: %q", i, m.waited[i], m.patience, states)
			}
		}
		m.end()
	}
}

func (m *model) end() {
	m.lost = true
	m.c.End(m.now)
	m.tune()
}

// checkOutput: whole packets, and after each switch nothing of the source before; the
// new one begins with tables and a key frame, and misses nothing.
func (m *model) checkOutput() {
	all := runs(m.t, all(m.h), 0)
	for i, r := range all {
		if i > 0 && (r.lead != 3 || r.tables != 2 || !r.key || r.clock && !r.announced) {
			m.t.Fatalf("at %d: %+v", r.at, r)
		}
		if r.lost > 0 {
			m.t.Fatalf("at %d something is missing: %+v", r.at, r)
		}
	}
}
