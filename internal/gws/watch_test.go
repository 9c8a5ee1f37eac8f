package gws

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/request"
)

// patient is a channel whose sources may be silent without end.
func patient(t *testing.T) *lineup.Lineup {
	return lineupOf(t, func(s *lineup.Settings) { s.NoData = 0 })
}

// awaitedHouse is a house in which only the test asks engines whether they live.
func awaitedHouse(t *testing.T) *house {
	return open(t, Config{AnswerTimeout: time.Nanosecond, Lineup: patient(t)}, func(s *Server) { s.watching = time.Hour })
}

// TestIssue2WaitsForASilentSource: without a no-data time the client waits as long as the
// engine answers for itself, far beyond the answer time-out.
func TestIssue2WaitsForASilentSource(t *testing.T) {
	h := awaitedHouse(t)
	e := h.engine("1")
	client := h.ask(get)
	a, f := e.attach()
	for id := range uint64(3) {
		h.server.askAwaited()
		if m := e.recv(); m != (handoff.Query{ID: id + 1}) {
			t.Fatalf("the engine was told %#v", m)
		}
		e.send(handoff.Report{Query: id + 1, Last: true})
		h.heard(e)
	}
	e.write(f, string(a.Head)+"at last")
	e.send(handoff.Started{ID: a.ID})
	f.Close()
	if got := h.all(client); !strings.HasSuffix(got, "at last") {
		t.Errorf("the client got %q", got)
	}
}

// TestIssue2ClientLeaves: the engine says so, and nobody waits any more.
func TestIssue2ClientLeaves(t *testing.T) {
	h := awaitedHouse(t)
	e := h.engine("1")
	client := h.ask(get)
	a, f := e.attach()
	client.Close()
	f.Close()
	e.send(handoff.Refused{ID: a.ID, Code: 503, Reason: "the client closed the connection"})
	h.log.wait("client refused", "closed the connection")
	h.server.askAwaited()
	h.plays(e, get) // not a Query
}

// An engine that hangs is given up, and does not hold the client for ever.
func TestIssue2EngineHangs(t *testing.T) {
	h := awaitedHouse(t)
	e := h.engine("1")
	client := h.ask(get)
	_, f := e.attach()
	h.server.askAwaited()
	h.server.askAwaited()
	if got := h.all(client); got != "" {
		t.Errorf("the client got %q", got)
	}
	h.log.wait("engine does not answer", "engine=1")
	h.log.wait("client cut off", "engine=1")
	if _, err := f.WriteString("late"); err == nil {
		t.Error("the engine could still write")
	}
	h.log.wait("engine lost", "engine=1")
}

// TestPatience: an engine may try one source after the other, each for twice its time.
func TestPatience(t *testing.T) {
	conf := &Config{AnswerTimeout: 10 * time.Second}
	for _, c := range []struct {
		noData  time.Duration
		sources []string
		want    time.Duration
	}{
		{5 * time.Second, []string{tagA}, 20 * time.Second},
		{5 * time.Second, []string{tagA, tagB, tagC}, 40 * time.Second},
		{0, []string{tagA, tagB}, 0},
	} {
		ch := channelOf("x", c.sources...)
		ch.NoData = c.noData
		if got := newClient(conf, new(http.Request), new(visit), request.Request{}, ch).patience; got != c.want {
			t.Errorf("%d sources of %v: %v, want %v", len(c.sources), c.noData, got, c.want)
		}
	}
}

// TestWatchForgets: an engine that nobody waits for any more need not have answered.
func TestWatchForgets(t *testing.T) {
	s := desk(Config{MaxEngines: 1})
	e := s.enlist(t, "1")
	if len(s.awaited()) != 0 {
		t.Error("it is awaited by nobody")
	}
	_, a := s.assign(&client{conf: s.config(), tag: tagA}, map[string]bool{})
	if len(s.awaited()) != 1 {
		t.Error("it is not awaited")
	}
	e.asked = true
	s.withdraw(e, a)
	if _, b := s.assign(&client{conf: s.config(), tag: tagA, patience: time.Second}, map[string]bool{}); b == nil {
		t.Fatal("no attempt")
	}
	if len(s.awaited()) != 0 || e.asked {
		t.Error("it is awaited by somebody with a time-out")
	}
}
