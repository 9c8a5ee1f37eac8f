package gws

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/internal/endpoint"
	"sluice/internal/handoff"
	"sluice/internal/report"
)

// desk is a Server without its doors: what engines say is put in by hand.
func desk(c Config) *Server {
	s := &Server{log: slog.New(slog.DiscardHandler), pins: pinsOf(c.Lineup)}
	s.conf.Store(&c)
	return s
}

// enlist is an engine that is ready.
func (s *Server) enlist(t interface{ Fatal(...any) }, id string, channels ...report.Channel) *engine {
	e, err := s.enroll(hello(id), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.replaceBelief(e, report.Engine{ID: id, Channels: channels})
	return e
}

// errEnd is how a connection ends whose engine is gone.
var errEnd = fmt.Errorf("the end: %w", errProtocol)

// TestBeliefIsCounted: whatever engines say and in whatever order, what the limits are
// held against is what the belief adds up to.
func TestBeliefIsCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{s: desk(Config{MaxEngines: 3})}
		t.Repeat(map[string]func(*rapid.T){
			"":            m.check,
			"attach":      m.attach,
			"lose":        m.lose,
			"request":     m.request,
			"give up":     m.giveUp,
			"started":     m.started,
			"late":        m.late,
			"refused":     m.refused,
			"end":         m.end,
			"open":        m.open,
			"close":       m.close,
			"rates":       m.rates,
			"report":      m.report,
			"pin":         m.pin,
			"bye":         m.bye,
			"second call": m.strangers,
		})
	})
}

// model remembers who is on the way to an engine, and who was let in and is not decided.
type model struct {
	s       *Server
	next    int
	waiting []*attempt
	at      []*engine // of waiting
	clock   time.Time
}

func (m *model) engine(t *rapid.T) *engine {
	if len(m.s.engines) == 0 {
		t.Skip("no engine")
	}
	return rapid.SampledFrom(m.s.engines).Draw(t, "engine")
}

func drawTag(t *rapid.T) string { return rapid.SampledFrom([]string{tagA, tagB, tagC}).Draw(t, "tag") }

const tagA, tagB, tagC = "UDP://239.0.0.1:1", "UDP://239.0.0.2:2", "UDP://239.0.0.3:3"

func (m *model) attach(t *rapid.T) {
	if len(m.s.engines) == 3 {
		t.Skip("a full house")
	}
	m.next++
	m.s.enlist(t, fmt.Sprint(m.next), drawReport(t, nil)...)
}

func (m *model) lose(t *rapid.T) {
	e := m.engine(t)
	m.s.lose(e, errEnd)
	m.collect()
}

// collect sees to the attempts that have an answer, as stream does.
func (m *model) collect() {
	for i := len(m.waiting) - 1; i >= 0; i-- {
		select {
		case out := <-m.waiting[i].answer:
			m.decide(i, out.verdict)
		default:
		}
	}
}

func (m *model) decide(i int, v verdict) {
	m.s.decided(m.waiting[i].client, v)
	m.s.group.Done()
	m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
	m.at = append(m.at[:i], m.at[i+1:]...)
}

func (m *model) request(t *rapid.T) {
	tag := drawTag(t)
	c := &client{
		conf: m.s.config(), tag: tag, addr: netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "host") % 3}),
		attach: handoff.Attach{Channel: channelOf("", tag)},
	}
	if rapid.Bool().Draw(t, "session") {
		c.attach.Target = new(endpoint.Target)
	}
	if m.s.enter(c, true) != nil {
		t.Fatal("there is no limit")
	}
	e, a := m.s.assign(c, map[string]bool{})
	if e == nil {
		m.s.decided(c, refused)
		m.s.group.Done()
		return
	}
	m.waiting, m.at = append(m.waiting, a), append(m.at, e)
}

func (m *model) waiter(t *rapid.T) int {
	if len(m.waiting) == 0 {
		t.Skip("nobody waits")
	}
	return rapid.IntRange(0, len(m.waiting)-1).Draw(t, "waiter")
}

func (m *model) giveUp(t *rapid.T) {
	i := m.waiter(t)
	if !m.s.giveUp(m.at[i], m.waiting[i]) {
		t.Fatal("somebody else took the attempt")
	}
	m.decide(i, silent)
}

// late is what an engine says in the end of a session that was given up.
func (m *model) late(t *rapid.T) {
	e := m.engine(t)
	for id := range e.late {
		if rapid.Bool().Draw(t, "refused") {
			m.s.onRefused(e, handoff.Refused{ID: id, Code: 504})
			return
		}
		m.s.onStarted(e, handoff.Started{ID: id})
		if _, runs := e.clients[id]; !runs {
			t.Fatal("a session runs that nobody knows of")
		}
		return
	}
	t.Skip("nothing is late")
}

func (m *model) started(t *rapid.T) {
	i := m.waiter(t)
	m.s.onStarted(m.at[i], handoff.Started{ID: m.waiting[i].id})
	m.collect()
}

func (m *model) refused(t *rapid.T) {
	i := m.waiter(t)
	m.s.onRefused(m.at[i], handoff.Refused{ID: m.waiting[i].id, Code: 503})
	m.collect()
}

func (m *model) end(t *rapid.T) {
	e := m.engine(t)
	for id := range e.clients {
		m.s.onClientEnd(e, handoff.ClientEnd{ID: id})
		return
	}
	t.Skip("no clients")
}

func (m *model) open(t *rapid.T) {
	m.s.onChannelOpen(m.engine(t), handoff.ChannelOpen{Tag: drawTag(t)})
}

func (m *model) close(t *rapid.T) { m.s.onChannelEnd(m.engine(t), handoff.ChannelEnd{Tag: drawTag(t)}) }

func (m *model) bye(t *rapid.T) { m.s.onBye(m.engine(t), handoff.Bye{}) }

func (m *model) rates(t *rapid.T) {
	e := m.engine(t)
	told := make(map[string]uint64)
	for range rapid.IntRange(0, 3).Draw(t, "channels") {
		told[drawTag(t)] = rapid.Uint64Range(1, 1<<30).Draw(t, "rate")
	}
	for tag, bps := range told {
		m.s.onRates(e, handoff.Rates{Channels: []handoff.Rate{{Tag: tag, Bps: bps}}, More: true})
	}
	m.s.onRates(e, handoff.Rates{})
	for tag, h := range e.channels {
		if h.rate != told[tag] {
			t.Fatalf("%s delivers %d, told was %d", tag, h.rate, told[tag])
		}
	}
}

// report is a snapshot that may have lost anything, and may know of a client whose
// Started is still on its way.
func (m *model) report(t *rapid.T) {
	e := m.engine(t)
	var ids []uint64
	for id := range e.clients {
		ids = append(ids, id)
	}
	for id := range e.pending {
		ids = append(ids, id)
	}
	for id := range e.late {
		ids = append(ids, id)
	}
	m.s.replaceBelief(e, report.Engine{Channels: drawReport(t, ids)})
}

func drawReport(t *rapid.T, ids []uint64) []report.Channel {
	var out []report.Channel
	for _, tag := range []string{tagA, tagB, tagC} {
		if !rapid.Bool().Draw(t, "there") {
			continue
		}
		ch := report.Channel{
			Tag: tag, Rate: rapid.Uint64Range(0, 1<<30).Draw(t, "rate"), Pinned: rapid.Bool().Draw(t, "pinned"),
			State: rapid.SampledFrom([]string{"live", report.ChannelClosed}).Draw(t, "state"),
		}
		if len(ids) > 0 && rapid.Bool().Draw(t, "client") {
			ch.Clients = append(ch.Clients, report.Client{ID: ids[0], Addr: "10.0.0.1:5"})
			ids = ids[1:]
		}
		if rapid.Bool().Draw(t, "unknown client") {
			ch.Clients = append(ch.Clients, report.Client{ID: uint64(len(out)) + 1<<62, Addr: "nonsense"})
		}
		out = append(out, ch)
	}
	return out
}

func (m *model) pin(t *rapid.T) {
	m.clock = m.clock.Add(time.Hour)
	m.s.pins = []pin{{channel: channelOf("x", tagA), tag: tagA}}
	m.s.settled = time.Time{}
	m.s.excessPins(m.clock)
	m.s.duePins(m.clock)
}

// strangers are messages about what there is not.
func (m *model) strangers(t *rapid.T) {
	e := m.engine(t)
	m.s.onStarted(e, handoff.Started{ID: 1 << 61})
	m.s.onRefused(e, handoff.Refused{ID: 1 << 61})
	m.s.onClientEnd(e, handoff.ClientEnd{ID: 1 << 61})
	m.s.onChannelEnd(e, handoff.ChannelEnd{Tag: "UDP://1.1.1.1:1"})
}

func (m *model) check(t *rapid.T) {
	type sum struct {
		clients, engines int
		rate             uint64
	}
	want := make(map[string]*sum)
	of := func(tag string) *sum {
		if want[tag] == nil {
			want[tag] = new(sum)
		}
		return want[tag]
	}
	clients := len(m.waiting)
	for _, a := range m.waiting {
		of(a.client.tag).clients++
	}
	for _, e := range m.s.engines {
		clients += len(e.clients)
		for _, b := range e.clients {
			of(b.tag).clients++
		}
		coming := 0
		for tag, h := range e.channels {
			of(tag).engines++
			of(tag).rate = max(of(tag).rate, h.rate)
			coming += h.coming
			if !h.open && !h.pinned && h.coming == 0 {
				t.Fatalf("engine %s has nothing of %s and remembers it", e.hello.Engine, tag)
			}
		}
		if coming != len(e.pending) {
			t.Fatalf("engine %s: %d are coming, %d are pending", e.hello.Engine, coming, len(e.pending))
		}
	}
	y := &m.s.tally
	if y.clients != clients || y.pending != len(m.waiting) || len(y.channels) != len(want) {
		t.Fatalf("%d clients, %d pending, %d channels; want %d, %d, %d", y.clients, y.pending, len(y.channels), clients, len(m.waiting), len(want))
	}
	var egress uint64
	for tag, w := range want {
		if got := y.channels[tag]; got == nil || *got != (channelTally{w.engines, w.clients, w.rate}) {
			t.Fatalf("%s: %+v, want %+v", tag, got, w)
		}
		egress += uint64(w.clients) * w.rate
	}
	if y.egress != egress {
		t.Fatalf("egress %d, want %d", y.egress, egress)
	}
}
