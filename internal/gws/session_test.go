package gws

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/report"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

const (
	targetTag = "TCP://127.0.0.1:7000"
	toTarget  = "/src/udp://239.1.1.1:5000/dst/tcp://127.0.0.1:7000"
	fileTag   = "FILE:///srv/film.ts"
)

func sends() Config { return Config{Targets: prefixes("127.0.0.0/8"), ReadFrom: []string{"/srv"}} }

// order expects a session with a target.
func (e *peer) order() handoff.Attach {
	e.t.Helper()
	a, is := e.recv().(handoff.Attach)
	if !is || a.Target == nil || len(a.Head) > 0 {
		e.t.Fatalf("engine %s: %#v; want a session with a target", e.id, a)
	}
	return a
}

// TestAcceptance122: who has a stream sent elsewhere is answered with the tags of the session
// when it runs, over whatever he asks.
func TestAcceptance122(t *testing.T) {
	const line = "started " + tag + " " + targetTag + "\n"
	runs := func(t *testing.T, h *house, e *peer) {
		t.Helper()
		a := e.order()
		if a.Tag() != targetTag || a.Target.End.String() != "tcp://127.0.0.1:7000" || a.Target.Trusted || !strings.HasPrefix(a.Peer, "127.0.0.1:") {
			t.Errorf("the engine is asked for %+v by %s", a.Target, a.Peer)
		}
		e.send(handoff.Started{ID: a.ID})
		h.log.wait("client started", "client="+targetTag)
		if !h.server.Drop(tag, targetTag) {
			t.Error("there is nothing to drop")
		}
		if m := e.recv(); m != (handoff.Drop{Channel: tag, Client: targetTag}) {
			t.Errorf("the engine is told %#v", m)
		}
		e.send(handoff.ClientEnd{ID: a.ID, Bytes: 188, Reason: "dropped"})
		h.log.wait("client ended", "client="+targetTag, "bytes=188", "reason=dropped")
	}
	overTLS(t, sends(), func(t *testing.T, h *house, client *http.Client) {
		e := h.engine("1")
		answer := h.fetch(client, "GET", toTarget)
		runs(t, h, e)
		r, body := h.body(answer)
		if r.StatusCode != 200 || body != line || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%d, %q, %v", r.StatusCode, body, r.Header)
		}
		said := r.Header
		if r, _ := h.body(h.fetch(client, "HEAD", toTarget)); r.Header.Get("Server") != said.Get("Server") || r.Header.Get("Content-Type") != said.Get("Content-Type") || said.Get("Server") == "" {
			t.Errorf("HEAD announces %v, GET %v", r.Header, said)
		}
	})
	for _, proto := range []string{"HTTP/1.0", "HTTP/1.1"} {
		testkit.NoLeaks(t)
		h := open(t, sends())
		e := h.engine("1")
		client := h.ask("GET " + toTarget + " " + proto + "\r\nHost: h\r\n\r\n")
		runs(t, h, e)
		if got := h.all(client); !strings.HasPrefix(got, proto+" 200 OK\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") || !strings.HasSuffix(got, "\r\n\r\n"+line) {
			t.Errorf("%s: %q", proto, got)
		}
		h.stop()
	}
}

func TestSessionIsRefused(t *testing.T) {
	h := open(t, sends())
	one, two := h.engine("1", report.Channel{Tag: tag}), h.engine("2")
	client := h.ask("GET " + toTarget + " HTTP/1.0\r\n\r\n")
	one.order()
	one.die() // before it has answered: the next one is asked
	a := two.order()
	two.send(handoff.Refused{ID: a.ID, Code: 409, Reason: "the file is there already"})
	if got := h.all(client); !strings.HasPrefix(got, "HTTP/1.0 409 Conflict\r\n") || !strings.HasSuffix(got, "409 Conflict: the file is there already\n") {
		t.Errorf("the client got %q", got)
	}
	r, _ := h.answer("GET /src/udp://239.1.1.1:5000/dst/tcp://10.0.0.1:7000 HTTP/1.0\r\n\r\n")
	if r.StatusCode != 403 {
		t.Errorf("a target that is in no list: %d", r.StatusCode)
	}
}

// Sessions count for who has asked for them.
func TestSessionsAreLimited(t *testing.T) {
	c := sends()
	c.Limits = Limits{MaxPerAddress: 1}
	h := open(t, c)
	e := h.engine("1")
	client := h.ask("GET " + toTarget + " HTTP/1.0\r\n\r\n")
	a := e.order()
	e.send(handoff.Started{ID: a.ID})
	h.all(client)
	h.full(getOf(5000), limitPerAddress)
	e.send(handoff.ClientEnd{ID: a.ID})
	h.log.wait("client ended")
	h.plays(e, getOf(5000))
}

// TestSessionIsLate: a session that its client has no longer waited for counts all the same,
// and can be dropped; a route that may yet begin is not begun a second time.
func TestSessionIsLate(t *testing.T) {
	s := desk(Config{MaxEngines: 9})
	s.routes = routesAfter(nil, []Route{routeTo("route", tagA, 1, true)})
	e := s.enlist(t, "1")
	at := time.Now().Add(time.Hour)
	due := s.dueRoutes(at)
	if len(due) != 1 {
		t.Fatalf("%d routes are due", len(due))
	}
	_, a := s.assign(due[0].client, map[string]bool{})
	if !s.giveUp(e, a) {
		t.Fatal("it was answered")
	}
	s.decided(a.client, silent)
	s.settle(due[0].route, outcome{verdict: silent})
	if again := s.dueRoutes(at.Add(time.Hour)); len(again) != 0 || s.tally.clients != 0 {
		t.Errorf("begun again: %+v; %d clients", again, s.tally.clients)
	}
	s.onStarted(e, handoff.Started{ID: a.id})
	if s.tally.clients != 1 || !e.hasLocked(tagA) || len(e.routes) != 1 || len(e.late) != 0 {
		t.Errorf("%d clients, routes %v, late %v", s.tally.clients, e.routes, e.late)
	}
	s.onClientEnd(e, handoff.ClientEnd{ID: a.id})
	if s.tally.clients != 0 || len(s.dueRoutes(at.Add(2*time.Hour))) != 1 {
		t.Errorf("%d clients after the end", s.tally.clients)
	}
}

// TestFilesAreNotShared: each client of a file has a channel of his own, under a number that
// is free also where gws has begun anew.
func TestFilesAreNotShared(t *testing.T) {
	named := channelOf("film", "file:///srv/named.ts")
	c := sends()
	c.Lineup = lineupOf(t, func(s *lineup.Settings) { s.NoData, s.Growth, s.Linger = 5*time.Second, 10*time.Second, time.Second }, named)
	h := open(t, c)
	e := h.engine("1", report.Channel{Tag: fileTag + "~1", State: "live"},
		report.Channel{Tag: fileTag + "~3", State: report.ChannelClosed, Clients: []report.Client{{ID: 5, Tag: "TCP://h:1", Addr: "192.0.2.1:1"}}})
	for _, want := range []uint32{2, 4, 5} {
		client := h.ask("GET /src/file:///srv/film.ts/dst/ HTTP/1.0\r\n\r\n")
		ch := e.serve("all of it").Channel
		if ch.Copy != want || ch.Linger != 0 || ch.NoData != 15*time.Second || ch.Growth != 10*time.Second {
			t.Errorf("number %d, linger %v, no data %v, growth %v; want number %d", ch.Copy, ch.Linger, ch.NoData, ch.Growth, want)
		}
		h.all(client)
	}
	for range 2 {
		client := h.ask("GET /$film HTTP/1.0\r\n\r\n")
		if ch := e.serve("from now on").Channel; ch.Copy != 0 {
			t.Errorf("a channel of the configuration has number %d", ch.Copy)
		}
		h.all(client)
	}
	if !h.server.Drop(fileTag+"~4", "") || !h.server.Drop(fileTag+"~3", "TCP://h:1") || h.server.Drop(fileTag, "") {
		t.Error("channels are not dropped by their tags")
	}
}

// TestDropAndReset: who has to do with a channel is told, also if he is still opening it or
// about to leave, and nobody else.
func TestDropAndReset(t *testing.T) {
	h := open(t, Config{})
	one, two := h.engine("1"), h.engine("2", report.Channel{Tag: tagB, State: "live"})
	client := h.ask(get)
	_, f := one.attach()
	defer f.Close()
	one.send(handoff.Bye{Reason: "test"})
	h.log.wait("engine leaves")
	if !h.server.Drop(tag, "") || h.server.Drop(tagC, "") || !h.server.Drop(tagB, "nobody") {
		t.Error("it is not said which channels there are")
	}
	if m := one.recv(); m != (handoff.Drop{Channel: tag}) {
		t.Errorf("engine 1 is told %#v", m)
	}
	if m := two.recv(); m != (handoff.Drop{Channel: tagB, Client: "nobody"}) {
		t.Errorf("engine 2 is told %#v", m)
	}
	if n := h.server.Reset(); n != 2 {
		t.Errorf("%d engines are told", n)
	}
	for _, e := range []*peer{one, two} {
		if m := e.recv(); m != (handoff.Reset{}) {
			t.Errorf("engine %s is told %#v", e.id, m)
		}
	}
	client.Close()
}

// routeTo is a route from a group to a port of this machine.
func routeTo(name, source string, port uint16, restart bool) Route {
	return Route{
		Name: name, Channel: channelOf("", source), Restart: restart,
		Target: endpoint.Target{Trusted: true, End: uri.End{Scheme: uri.UDP, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}},
	}
}

func runs(id uint64, channel, target string) report.Channel {
	return report.Channel{Tag: channel, State: "live", Clients: []report.Client{{ID: id, Tag: target}}}
}

// TestRoutesAreDue: what is begun, when, and again after what.
func TestRoutesAreDue(t *testing.T) {
	s := desk(Config{MaxEngines: 9})
	s.routes = routesAfter(nil, []Route{
		routeTo("once", tagA, 1, false), routeTo("always", tagB, 2, true), routeTo("file", fileTag, 3, false), routeTo("refused", tagC, 4, false),
	})
	at := time.Now().Add(time.Hour)
	due := func(after time.Duration, want string) map[string]beginning {
		t.Helper()
		at = at.Add(after)
		got, names := make(map[string]beginning), ""
		for _, b := range s.dueRoutes(at) {
			got[b.route.Name] = b
			names += b.route.Name + " "
		}
		if names = strings.TrimSpace(names); names != want {
			t.Fatalf("%q are due, want %q", names, want)
		}
		return got
	}
	due(0, "") // no engine
	// The file is sent already: a gws before this one has asked for it.
	e := s.enlist(t, "1", runs(7, fileTag+"~2", "UDP://127.0.0.1:3"))
	all := due(time.Hour, "once always refused")
	due(time.Hour, "") // they are being asked for

	start := func(b beginning) uint64 {
		t.Helper()
		_, a := s.assign(b.client, map[string]bool{})
		s.onStarted(e, handoff.Started{ID: a.id})
		s.decided(b.client, started)
		s.settle(b.route, outcome{verdict: started})
		b.route.next = at.Add(pinAgain) // not by the clock of the world
		return a.id
	}
	once, always := start(all["once"]), start(all["always"])
	for code, again := range map[int]string{503: "refused", 504: "refused", 409: ""} {
		r := all["refused"].route
		r.asked, r.over = true, false
		s.settle(r, outcome{verdict: refused, code: code})
		r.next = at.Add(pinAgain)
		due(pinAgain-1, "")
		due(1, again)
		r.asked, r.over = false, true
	}
	s.decided(all["refused"].client, refused)
	if x := s.excessRoutes(at); x != nil {
		t.Errorf("%+v are dropped", x)
	}

	s.onClientEnd(e, handoff.ClientEnd{ID: once})
	s.onClientEnd(e, handoff.ClientEnd{ID: always})
	s.onClientEnd(e, handoff.ClientEnd{ID: 7})
	for _, r := range s.routes {
		r.next = at.Add(pinAgain)
	}
	due(pinAgain-1, "")
	due(1, "always")
}

// TestExcessRoutes: what runs twice, or is no route any more, is dropped once; what a client
// has asked for is not.
func TestExcessRoutes(t *testing.T) {
	s := desk(Config{MaxEngines: 9})
	s.routes = routesAfter(nil, []Route{routeTo("a", tagA, 1, false)})
	asked := runs(3, tagC, "UDP://127.0.0.1:1")
	asked.Clients[0].Addr = "192.0.2.1:1"
	one := s.enlist(t, "1", runs(1, tagA, "UDP://127.0.0.1:1"), asked)
	two := s.enlist(t, "2", runs(2, tagA, "UDP://127.0.0.1:1"), runs(4, fileTag+"~9", "UDP://127.0.0.1:2"))
	if s.excessRoutes(time.Now()) != nil {
		t.Error("a route is dropped before all engines are there")
	}
	at := time.Now().Add(time.Hour)
	got := make(map[handoff.Drop]*engine)
	for _, x := range s.excessRoutes(at) {
		got[x.drop] = x.engine
	}
	if len(got) != 2 || got[handoff.Drop{Channel: tagA, Client: "UDP://127.0.0.1:1"}] != two || got[handoff.Drop{Channel: fileTag + "~9", Client: "UDP://127.0.0.1:2"}] != two {
		t.Errorf("%v", got)
	}
	if x := s.excessRoutes(at); x != nil {
		t.Errorf("dropped again: %v", x)
	}
	s.lose(one, errEnd)
	s.lose(two, errEnd)
	if s.tally.clients != 0 || len(s.tally.channels) != 0 {
		t.Errorf("something is left: %+v", s.tally)
	}
}

// TestRoutes: a route runs at one engine and is told in the log; the gws after this one finds
// it there.
func TestRoutes(t *testing.T) {
	testkit.NoLeaks(t)
	c := Config{Routes: []Route{routeTo("copy", tag, 7000, true)}}
	h := open(t, c, func(s *Server) { s.pinning = time.Hour })
	at := time.Now().Add(time.Hour)
	e := h.engine("1")
	h.server.sendRoutes(at)
	a := e.order()
	if a.Peer != "" || a.Tag() != "UDP://127.0.0.1:7000" || !a.Target.Trusted {
		t.Errorf("the engine is asked for %+v by %q", a.Target, a.Peer)
	}
	e.send(handoff.Refused{ID: a.ID, Code: 504, Reason: "no data"})
	h.log.wait("route not begun", "route=copy", "code=504", "no data")
	h.server.sendRoutes(at)
	a = e.order()
	e.send(handoff.Started{ID: a.ID})
	h.log.wait("route runs", "route=copy", "engine=1")
	h.stop()

	h = open(t, c, func(s *Server) { s.pinning = time.Hour })
	e = h.engine("1", runs(a.ID, tag, a.Tag()))
	h.server.sendRoutes(at)
	e.send(handoff.ClientEnd{ID: a.ID, Reason: "the source ended"})
	h.log.wait("client ended")
	h.server.sendRoutes(at)
	b := e.order() // one, and only after the end
	if b.ID == a.ID {
		t.Error("an ID is used twice")
	}
	if err := h.server.Reload(Config{}); err != nil {
		t.Fatal(err)
	}
	e.send(handoff.Started{ID: b.ID})
	h.log.wait("route runs")
	h.server.sendRoutes(at)
	if m := e.recv(); m != (handoff.Drop{Channel: tag, Client: a.Tag()}) {
		t.Errorf("the engine is told %#v", m)
	}
	h.stop()
}

func TestRoutesThatCannotBe(t *testing.T) {
	for want, list := range map[string][]Route{
		"no source": {{Name: "a"}},
		"both":      {routeTo("a", tagA, 1, true), routeTo("b", tagA, 1, false)},
	} {
		if _, err := (Config{Routes: list}).complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if err := checkRoutes([]Route{routeTo("a", tagA, 1, true), routeTo("b", tagA, 2, true), routeTo("c", tagB, 1, true)}); err != nil {
		t.Error(err)
	}
}
