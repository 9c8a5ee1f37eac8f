package gws

import (
	"context"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/auth"
	"sluice/internal/handoff"
	"sluice/internal/report"
)

// TestReloadPins: what is new is pinned, what is gone is let go, what has changed is told
// where it is, and the rest is left alone.
func TestReloadPins(t *testing.T) {
	kept, changed, gone := pinned("kept", tagA), pinned("changed", tagB), pinned("gone", tagC)
	s := desk(Config{MaxEngines: 9, Lineup: lineupOf(t, nil, kept, changed, gone)})
	var there []report.Channel
	for _, tag := range []string{tagA, tagB, tagC} {
		there = append(there, report.Channel{Tag: tag, State: "live", Pinned: true})
	}
	e := s.enlist(t, "1", there...)
	at := time.Now().Add(time.Hour)
	expect := func(pins, unpins string) {
		t.Helper()
		var names, tags []string
		for _, x := range s.excessPins(at) {
			tags = append(tags, x.unpin.Tag)
		}
		for _, o := range s.duePins(at) {
			if o.engine != e {
				t.Error("another engine is asked")
			}
			names = append(names, fmt.Sprint(o.pin.Channel.Name, " ", o.pin.Channel.NoData))
		}
		if a, b := strings.Join(names, ", "), strings.Join(tags, ", "); a != pins || b != unpins {
			t.Errorf("pinned %q and let go %q; want %q and %q", a, b, pins, unpins)
		}
	}
	expect("", "")
	changed.NoData = 7 * time.Second
	c := Config{Lineup: lineupOf(t, nil, kept, changed, pinned("new", "udp://239.0.0.4:4"))}
	if err := s.Reload(c); err != nil {
		t.Fatal(err)
	}
	expect("changed 7s, new 5s", tagC)
	expect("", "") // each is told once; the new one is on its way
	if err := s.Reload(c); err != nil {
		t.Fatal(err)
	}
	expect("", "")
	at = at.Add(pinAgain)
	expect("new 5s", "")
}

// TestReloadIsAllOrNothing: what is wrong with a configuration is told, and nothing of it
// holds; what belongs to the listeners stays.
func TestReloadIsAllOrNothing(t *testing.T) {
	s := desk(Config{MaxEngines: 9, Build: "1.2.3", MinEngines: 2, Lineup: lineupOf(t, nil, pinned("a", tagA))})
	before, pins := s.config(), s.pins
	for want, c := range map[string]Config{
		"limits":         {Limits: Limits{MaxClients: -1}},
		"engines":        {MinEngines: -1},
		"stall time":     {Stall: -1},
		"answer time":    {AnswerTimeout: -1},
		"has no source":  {Routes: []Route{{Name: "x"}}},
		"request time":   {Request: -1},
		"of being unava": {Unavailable: -1},
	} {
		if err := s.Reload(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		if s.config() != before || !reflect.DeepEqual(s.pins, pins) || s.routes != nil {
			t.Errorf("%s: something has changed", want)
		}
	}
	if err := s.Reload(Config{Build: "9", MaxEngines: 1, Request: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if c := s.config(); c.Build != "1.2.3" || c.MaxEngines != 9 || c.Request != before.Request || c.MinEngines != 1 || c.Allow == nil {
		t.Errorf("%+v holds", c)
	}
}

// TestReloadUnderLoad: each request is served by one configuration throughout, and nobody
// who watches is disturbed.
func TestReloadUnderLoad(t *testing.T) {
	configs := make([]Config, 2)
	for i := range configs {
		ch := channelOf("news", fmt.Sprintf("udp://239.1.1.%d:5000", i+1))
		ch.ContentType = fmt.Sprintf("video/x%d", i+1)
		ch.Pinned = i == 0
		configs[i] = Config{Lineup: lineupOf(t, nil, ch), Routes: []Route{routeTo("r", tagA, uint16(i+1), false)}}
	}
	h := open(t, configs[0], func(s *Server) { s.pinning = time.Hour })
	e := h.engine("1")
	first := h.ask("GET /$news HTTP/1.0\r\n\r\n")
	a, f := e.start()
	clients := e.sort()

	ctx, done := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			if err := h.server.Reload(configs[i%2]); err != nil {
				t.Error(err)
			}
			h.server.sendPins(time.Now().Add(time.Hour))
			h.server.sendRoutes(time.Now().Add(time.Hour))
			<-tick.C
		}
	})
	for range 50 {
		client := h.ask("GET /$news HTTP/1.0\r\n\r\n")
		a := <-clients
		e.write(a.file, string(a.Head)+"news")
		a.file.Close()
		e.send(handoff.Started{ID: a.ID})
		n := a.Channel.Sources[0][0].Addr.Addr().As4()[3]
		if got := h.all(client); !strings.Contains(got, fmt.Sprintf("\r\nContent-Type: video/x%d\r\n", n)) || !strings.HasSuffix(got, "\r\n\r\nnews") {
			t.Errorf("source %d: %q", n, got)
		}
		e.send(handoff.ClientEnd{ID: a.ID})
	}
	done()
	all.Wait()
	e.write(f, "to the end")
	f.Close()
	if got := h.all(first); !strings.HasPrefix(got, string(a.Head)) || !strings.HasSuffix(got, "\r\n\r\nto the end") {
		t.Errorf("who watched throughout got %q", got)
	}
	h.stop()
	for range clients { // to its end
	}
}

// attached is a client that an engine has got.
type attached struct {
	handoff.Attach
	file *os.File
}

// sort reads all that e is told, until the end of the connection: clients come out, routes
// are refused, the rest is dropped.
func (e *peer) sort() <-chan attached {
	clients := make(chan attached)
	go func() {
		defer close(clients)
		for {
			m, fd, err := e.conn.Recv()
			if err != nil {
				return
			}
			switch a, is := m.(handoff.Attach); {
			case is && a.Target == nil:
				clients <- attached{a, os.NewFile(uintptr(fd), a.Peer)}
			case is:
				_ = e.conn.Send(handoff.Refused{ID: a.ID, Code: 503, Reason: "test"}) // Run may have ended
			}
		}
	}()
	return clients
}

// TestAcceptance30: with fewer engines than there have to be nobody is served, at once; 31:
// with the last of them everybody.
func TestAcceptance30(t *testing.T) {
	h := open(t, Config{MinEngines: 2})
	one := h.engine("1", report.Channel{Tag: tag})
	for _, method := range []string{"GET", "HEAD"} {
		if r, _ := h.answer(strings.Replace(get, "GET", method, 1)); r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" {
			t.Errorf("%s with one engine of two: %d, %v", method, r.StatusCode, r.Header)
		}
	}
	two := h.engine("2")
	h.plays(one, get)
	two.send(handoff.Bye{Reason: "test"})
	h.log.wait("engine leaves")
	if r, _ := h.answer(get); r.StatusCode != 503 {
		t.Errorf("with one that leaves: %d", r.StatusCode)
	}
	if err := h.server.Reload(Config{}); err != nil {
		t.Fatal(err)
	}
	h.plays(one, get)
}

// TestAcceptance32: 64 engines attach, the next one is told that it is too many.
func TestAcceptance32(t *testing.T) {
	h := open(t, Config{})
	for i := range 64 {
		h.engine(fmt.Sprint(i + 1))
	}
	e := h.dial("65")
	e.send(hello("65"))
	if bye, is := e.recv().(handoff.Bye); !is || !strings.Contains(bye.Reason, "one too many: there are 64") {
		t.Errorf("the engine is told %#v", bye)
	}
	h.log.wait("engine refused", "65", "one too many")
}

// doorkeeper lets everybody in, and remembers by which door.
type doorkeeper chan string

func (k doorkeeper) Ask(_ context.Context, q auth.Question) auth.Answer {
	k <- q.Listener
	return auth.Answer{}
}

// TestAcceptance121Alias: each request is known by the alias of its door, plain or over TLS.
func TestAcceptance121Alias(t *testing.T) {
	tls := secure(t)
	tls.Alias = "wan"
	doors := []Door{{Alias: "lan"}, {}, tls}
	keeper := make(doorkeeper, len(doors))
	h := openBy(t, Config{Guard: keeper}, doors)
	e := h.engine("1")
	for _, d := range doors[:2] {
		h.addr = d.Addr().String()
		h.plays(e, get)
		if alias := <-keeper; alias != d.Alias {
			t.Errorf("asked at %q, want %q", alias, d.Alias)
		}
	}
	h.addr = doors[2].Addr().String()
	answer := h.fetch(browser(t, doors[2], false), "GET", path1)
	e.begin("stream").Close()
	h.body(answer)
	if alias := <-keeper; alias != "wan" {
		t.Errorf("asked at %q, want wan", alias)
	}
	h.stop()
	if _, err := net.Dial("tcp", doors[1].Addr().String()); err == nil {
		t.Error("a door is open still")
	}
}
