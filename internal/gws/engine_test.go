package gws

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/report"
)

func TestGreetingIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  handoff.Message
		reason string // part of Bye and of the log
	}{
		{"another format", handoff.Hello{Version: handoff.Version + 1, Engine: "2", Build: "9.9"}, fmt.Sprintf("speaks format %d", handoff.Version+1)},
		{"a name that is taken", hello("1"), "attached already"},
		{"no name", hello(""), "name"},
		{"one too many", hello("3"), "one too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, Config{MaxEngines: 1})
			first := h.engine("1")
			e := h.dial("x")
			e.send(c.first)
			bye, isBye := e.recv().(handoff.Bye)
			if !isBye || !strings.Contains(bye.Reason, c.reason) {
				t.Errorf("%#v, want Bye with %q", bye, c.reason)
			}
			if _, _, err := e.conn.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("after Bye: %v, want io.EOF", err)
			}
			h.log.wait("engine refused", c.reason)
			client := h.ask(get)
			first.serve("undisturbed")
			h.all(client)
		})
	}
}

func TestNonsenseInPlaceOfHello(t *testing.T) {
	h := open(t, Config{})
	for name, say := range map[string]func(e *peer) error{
		"no message":      func(e *peer) error { _, err := e.sock.Write([]byte("GET / HTTP/1.1\r\n\r\n")); return err },
		"another message": func(e *peer) error { return e.conn.Send(handoff.Started{ID: 1}) },
		"a socket": func(e *peer) error {
			return e.conn.SendSocket(handoff.Attach{ID: 1, Channel: channelOf("", tag)}, e.sock)
		},
	} {
		e := h.dial(name)
		if err := say(e); err != nil {
			t.Fatal(err)
		}
		if m, _, err := e.conn.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %#v, %v; want io.EOF", name, m, err)
		}
		e.die()
	}
	h.stop()
	if n := h.log.count("engine refused"); n != 3 {
		t.Errorf("%d log lines, want one each", n)
	}
}

// Who connects and does not finish its greeting is closed.
func TestGreetingTakesTooLong(t *testing.T) {
	h := open(t, Config{}, func(s *Server) { s.greet = time.Millisecond })
	for name, say := range map[string]func(e *peer){
		"nothing":     func(*peer) {},
		"only Hello":  func(e *peer) { e.conn.Send(hello("1")) }, // it may be too late already
		"half a part": func(e *peer) { e.conn.Send(hello("1")); e.conn.Send(handoff.Report{}) },
	} {
		e := h.dial(name)
		say(e)
		var err error
		for err == nil {
			_, _, err = e.conn.Recv()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, want io.EOF", name, err)
		}
	}
}

// A name is free again once its engine is gone.
func TestEngineAttachesAgain(t *testing.T) {
	h := open(t, Config{})
	h.engine("1").die()
	h.log.wait("engine lost", "engine=1")
	if r, _ := h.answer(get); r.StatusCode != 503 {
		t.Errorf("a client without an engine: %d", r.StatusCode)
	}
	e := h.engine("1")
	client := h.ask(get)
	e.serve("again")
	if got := h.all(client); !strings.HasSuffix(got, "again") {
		t.Errorf("the client got %q", got)
	}
}

// Clients go to the engine that has their channel, as events tell; others go around.
func TestClientsFollowTheirChannel(t *testing.T) {
	h := open(t, Config{})
	one := h.engine("1")
	two := h.engine("2", report.Channel{Tag: "UDP://239.0.0.2:2", Clients: []report.Client{{ID: 5, Tag: "TCP://h:1"}}})
	serve := func(port string, want *peer) handoff.Attach {
		t.Helper()
		client := h.ask("GET /udp/239.0.0." + port + ":" + port + " HTTP/1.0\r\n\r\n")
		a := want.serve("served")
		h.all(client)
		return a
	}
	serve("2", two) // known from its report, out of turn
	serve("1", one) // the first of the round
	serve("1", one) // believed since Started
	serve("3", two) // the next of the round
	serve("3", two)
	one.send(handoff.ChannelEnd{Tag: "UDP://239.0.0.1:1", Reason: "idle"})
	two.send(handoff.ChannelOpen{Tag: "UDP://239.0.0.1:1"})
	h.log.wait("channel ended", "channel=UDP://239.0.0.1:1", "engine=1", "reason=idle")
	h.log.wait("channel opened", "channel=UDP://239.0.0.1:1", "engine=2")
	a := serve("1", two)

	two.send(handoff.ClientEnd{ID: a.ID, Bytes: 6, Reason: "closed"})
	h.log.wait("client ended", "channel=UDP://239.0.0.1:1", "engine=2", "bytes=6", "reason=closed")
	two.send(handoff.ClientEnd{ID: 5, Bytes: 7, Reason: "slow"})
	h.log.wait("client ended", "client=TCP://h:1", "bytes=7", "reason=slow")

	// A new snapshot replaces what was believed; what is not in it has ended unseen.
	two.send(handoff.Report{Last: true})
	h.log.wait("client ended", "channel=UDP://239.0.0.3:3", "events of the engine were lost")
	serve("3", one)
}

// Two clients of a new channel that come at once go to one engine.
func TestSecondClientDoesNotOpenTheChannelElsewhere(t *testing.T) {
	h := open(t, Config{})
	one := h.engine("1")
	h.engine("2")
	first := h.ask(get)
	a, f := one.attach()
	second := h.ask(get)
	b, g := one.attach()
	for _, x := range []handoff.Attach{a, b} {
		one.send(handoff.Refused{ID: x.ID, Code: 503, Reason: "x"})
	}
	f.Close()
	g.Close()
	h.all(first)
	h.all(second)
	if a.ID == b.ID || a.ID>>32 != b.ID>>32 {
		t.Errorf("IDs %x and %x", a.ID, b.ID)
	}
}

// With Split the clients of one channel go around.
func TestIssue2Split(t *testing.T) {
	h := open(t, Config{Spread: MinClients, Split: true})
	engines := []*peer{h.engine("1"), h.engine("2"), h.engine("3")}
	var first handoff.Attach
	for range 2 {
		for i, e := range engines {
			if a := h.plays(e, get); i == 0 {
				first = a
			}
		}
	}
	engines[0].send(handoff.ClientEnd{ID: first.ID})
	h.heard(engines[0])
	h.plays(engines[0], get)
}

func TestIssue2Spread(t *testing.T) {
	h := open(t, Config{Spread: MinChannels})
	one := h.engine("1", report.Channel{Tag: tagA}, report.Channel{Tag: tagB})
	two := h.engine("2", report.Channel{Tag: tagC, Clients: []report.Client{{ID: 1}, {ID: 2}, {ID: 3}}})
	h.plays(two, getOf(5000))
	h.plays(two, getOf(5000))
	h.plays(one, getOf(5001))
	h.plays(two, getOf(5002))
	h.plays(one, getOf(5003))
}

func TestStatus(t *testing.T) {
	h := open(t, Config{Build: "1.2.3"})
	ten := h.engine("10")
	two := h.engine("2", report.Channel{Tag: "UDP://239.0.0.2:2"})
	big := report.Engine{ID: "a lie", Channels: []report.Channel{
		{Tag: tag, Rate: 8_000_000, Clients: make([]report.Client, 5000)},
		{Tag: "UDP://239.1.1.2:5000", Rate: 1},
	}}
	for i := range big.Channels[0].Clients {
		big.Channels[0].Clients[i] = report.Client{ID: uint64(i), Tag: "TCP://192.0.2.7:50905", Rate: 10}
	}
	got := make(chan report.Status, 1)
	go func() { got <- h.server.Status(t.Context()) }()
	q, isQuery := ten.recv().(handoff.Query)
	if !isQuery || q.ID == 0 {
		t.Fatalf("got %#v, want a Query", q)
	}
	ten.send(handoff.Report{Query: q.ID + 1, Last: true}) // not asked for: dropped
	for _, part := range handoff.SplitReport(q.ID, big) {
		ten.send(part)
	}
	two.recv()
	two.die() // unanswered
	st := <-got
	if len(st.Engines) != 2 || st.Engines[0].ID != "2" || st.Engines[1].ID != "10" {
		t.Fatalf("engines %+v", st.Engines)
	}
	if e := st.Engines[0]; e.Error == "" || len(e.Channels) != 1 || e.PID != 4711 {
		t.Errorf("the engine that died is shown as %+v", e)
	}
	if e := st.Engines[1]; e.Error != "" || len(e.Channels) != 2 || len(e.Channels[0].Clients) != 5000 || e.Version != "1.0" {
		t.Errorf("%d channels, error %q, version %q", len(e.Channels), e.Error, e.Version)
	}
	if want := (report.Totals{Channels: 3, Clients: 5000, RateIn: 8_000_001, RateOut: 50_000}); st.Totals != want {
		t.Errorf("totals %+v, want %+v", st.Totals, want)
	}
	if st.Name != "sluice" || st.Version != "1.2.3" || st.PID == 0 || st.Started.IsZero() || st.Now.Before(st.Started) {
		t.Errorf("status %+v", st)
	}
	if _, err := json.Marshal(st); err != nil {
		t.Error(err)
	}
}

// A status does not wait for an engine that does not answer longer than it may.
func TestStatusOfASilentEngine(t *testing.T) {
	h := open(t, Config{})
	h.engine("1", report.Channel{Tag: tag})
	st := h.server.Status(t.Context())
	if len(st.Engines) != 1 || !strings.Contains(st.Engines[0].Error, "in time") || len(st.Engines[0].Channels) != 1 {
		t.Errorf("engines %+v", st.Engines)
	}
}

// TestStatusWaitsForTheGreeting: an engine hears nothing but Welcome before it has
// reported what it carries.
func TestStatusWaitsForTheGreeting(t *testing.T) {
	h := open(t, Config{})
	e := h.dial("1")
	e.send(hello("1"))
	if m := e.recv(); m != (handoff.Welcome{Version: handoff.Version, PID: os.Getpid()}) {
		t.Fatalf("the engine heard %#v", m)
	}
	if st := h.server.Status(t.Context()); len(st.Engines) != 0 {
		t.Errorf("engines %+v before the first report", st.Engines)
	}
	h.stop()
	if m := e.recv(); m != (handoff.Bye{Reason: "gws ends"}) {
		t.Errorf("the engine was asked before it had reported: %#v", m)
	}
}
