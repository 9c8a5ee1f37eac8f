package gws

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/report"
)

const (
	tag = "UDP://239.1.1.1:5000"
	ok  = "HTTP/1.1 200 OK\r\n"
)

// A client gets exactly one answer or a closed connection, whenever its engine dies.
func TestEngineDies(t *testing.T) {
	for _, c := range []struct {
		name    string
		early   func(h *house) // engine 1 comes and dies before the request
		dies    func(e *peer)  // or it gets the client and dies
		retried bool           // engine 2 is asked as well
		begins  string         // the client's answer
		ends    string
	}{
		{name: "before Hello", early: func(h *house) {
			h.dial("1").die()
			h.log.wait("engine refused", "no Hello")
		}, retried: true, begins: ok, ends: "second"},
		{name: "after Hello", early: func(h *house) {
			e := h.dial("1")
			e.send(hello("1"))
			e.die()
			h.log.wait("engine")
		}, retried: true, begins: ok, ends: "second"},
		{name: "after Welcome, before its Report", early: func(h *house) {
			e := h.dial("1")
			e.send(hello("1"))
			e.recv()
			e.die()
			h.log.wait("engine lost")
		}, retried: true, begins: ok, ends: "second"},
		{name: "with the Attach unread", dies: func(e *peer) {
			e.readable()
			e.die()
		}, retried: true, begins: ok, ends: "second"},
		{name: "with the Attach unread and events on their way", dies: func(e *peer) {
			e.readable()
			e.send(handoff.ChannelEnd{Tag: tag, Reason: "test"})
			e.die()
		}, retried: true, begins: ok, ends: "second"},
		{name: "after Attach", dies: func(e *peer) {
			_, f := e.attach()
			e.die(f)
		}, retried: true, begins: ok, ends: "second"},
		{name: "after a part of the head", dies: func(e *peer) {
			a, f := e.attach()
			e.write(f, string(a.Head[:20]))
			e.die(f)
		}, begins: ok, ends: "200 OK\r\nSer"},
		{name: "after the head", dies: func(e *peer) {
			a, f := e.attach()
			e.write(f, string(a.Head))
			e.die(f)
		}, begins: ok, ends: "\r\n\r\n"},
		{name: "after Started", dies: func(e *peer) {
			a, f := e.attach()
			e.write(f, string(a.Head))
			e.send(handoff.Started{ID: a.ID})
			e.write(f, "first")
			e.die(f)
		}, begins: ok, ends: "\r\n\r\nfirst"},
		{name: "after Started and more, with a Query unread", dies: func(e *peer) {
			a, f := e.attach()
			e.write(f, string(a.Head)+"first")
			e.send(handoff.Started{ID: a.ID})
			e.send(handoff.ClientEnd{ID: a.ID, Reason: "test"})
			e.send(handoff.ChannelEnd{Tag: tag, Reason: "test"})
			e.die(f)
		}, begins: ok, ends: "\r\n\r\nfirst"},
		{name: "after Refused", dies: func(e *peer) {
			a, f := e.attach()
			f.Close()
			e.send(handoff.Refused{ID: a.ID, Code: 504, Reason: "no data"})
			e.die()
		}, begins: "HTTP/1.1 504 Gateway Timeout\r\n", ends: "\r\n\r\n504 Gateway Timeout: no data\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, Config{})
			second := h.engine("2")
			var first *peer
			if c.early != nil {
				c.early(h)
			} else {
				first = h.engine("1", report.Channel{Tag: tag})
			}
			client := h.ask(get)
			if first != nil {
				c.dies(first)
			}
			if c.retried {
				second.serve("second")
			}
			got := h.all(client)
			if !strings.HasPrefix(got, c.begins) || !strings.HasSuffix(got, c.ends) || strings.Count(got, "HTTP/1.") != 1 {
				t.Errorf("the client got %q; want %q … %q", got, c.begins, c.ends)
			}
			client.Close()
			h.stop()
			if m, _, err := second.conn.Recv(); err != nil || m != (handoff.Bye{Reason: "gws ends"}) {
				t.Errorf("engine 2 was asked once more: %#v, %v", m, err)
			}
			if m, _, err := second.conn.Recv(); !errors.Is(err, io.EOF) {
				t.Errorf("after the Bye: %#v, %v", m, err)
			}
		})
	}
}

func TestEveryEngineIsAskedOnce(t *testing.T) {
	h := open(t, Config{})
	var engines []*peer
	for _, id := range []string{"1", "2", "3"} {
		engines = append(engines, h.engine(id))
	}
	client := h.ask(get)
	for _, e := range engines {
		_, f := e.attach()
		e.die(f)
	}
	if got := h.all(client); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "\r\nRetry-After: 1\r\n") || strings.Count(got, "HTTP/1.") != 1 {
		t.Errorf("the client got %q", got)
	}
}

// An engine that gws cuts off may be alive and hold the client's socket: no other
// engine is asked, and what it writes later does not reach the client.
func TestEngineIsCutOff(t *testing.T) {
	for name, nonsense := range map[string]func(e *peer) error{
		"no message":     func(e *peer) error { _, err := e.sock.Write([]byte("nonsense")); return err },
		"not its to say": func(e *peer) error { return e.conn.Send(handoff.Query{ID: 1}) },
		"a second Hello": func(e *peer) error { return e.conn.Send(hello("1")) },
		"Attach with none": func(e *peer) error {
			b, err := handoff.Encode(nil, handoff.Attach{ID: 1, Channel: channelOf("", tag)})
			if err != nil {
				return err
			}
			_, err = e.sock.Write(b)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, Config{})
			first := h.engine("1", report.Channel{Tag: tag})
			second := h.engine("2")
			client := h.ask(get)
			_, f := first.attach()
			if err := nonsense(first); err != nil {
				t.Fatal(err)
			}
			h.log.wait("engine lost", "engine=1")
			h.log.wait("client cut off", "engine=1")
			if _, err := f.WriteString("late"); err == nil {
				t.Error("the engine could still write")
			}
			f.Close()
			if got := h.all(client); got != "" {
				t.Errorf("the client got %q", got)
			}
			// Nothing else is touched.
			client = h.ask(get)
			second.serve("second")
			if got := h.all(client); !strings.HasSuffix(got, "\r\n\r\nsecond") {
				t.Errorf("the next client got %q", got)
			}
		})
	}
}

// TestEngineIsSilent: an engine that does not answer in time loses its connection, so
// that nobody else waits for it; one that lives attaches again and is used again.
func TestEngineIsSilent(t *testing.T) {
	h := open(t, Config{AnswerTimeout: time.Second, Lineup: lineupOf(t, func(s *lineup.Settings) { s.NoData = time.Millisecond })})
	e := h.engine("1")
	client := h.ask(get)
	late, f := e.attach()
	if got := h.all(client); got != "" {
		t.Errorf("the client got %q", got)
	}
	h.log.wait("client cut off", "engine=1", "did not answer in time")
	f.Close()
	h.log.wait("engine lost", "engine=1")

	e = h.engine("1")
	e.send(handoff.Started{ID: late.ID})
	e.send(handoff.ClientEnd{ID: late.ID})
	e.send(handoff.ChannelOpen{Tag: "UDP://239.9.9.9:9"})
	h.log.wait("channel opened")
	if n := h.log.count("client started") + h.log.count("client ended"); n != 0 {
		t.Errorf("%d events of a client that was given up", n)
	}
	client = h.ask(get)
	e.serve("again")
	if got := h.all(client); !strings.HasSuffix(got, "\r\n\r\nagain") {
		t.Errorf("the next client got %q", got)
	}
}

// TestEngineIsLate: of an engine that is heard of, only the client that has waited for too
// long is given up.
func TestEngineIsLate(t *testing.T) {
	h := open(t, Config{AnswerTimeout: 4 * time.Second, Lineup: lineupOf(t, func(s *lineup.Settings) { s.NoData = time.Millisecond })})
	e := h.engine("1")
	client := h.ask(get)
	_, f := e.attach()
	defer f.Close()
	e.send(handoff.ChannelOpen{Tag: "UDP://239.9.9.9:9"})
	h.log.wait("channel opened")
	if got := h.all(client); got != "" {
		t.Errorf("the client got %q", got)
	}
	h.log.wait("client cut off", "engine=1", "did not answer in time")
	h.plays(e, strings.Replace(get, "239.1.1.1", "239.1.1.2", 1))
	if h.log.count("engine lost") != 0 {
		t.Error("the engine was cut off")
	}
}

// The stream outlives gws: neither a client that was started nor one that was not is
// harmed when Run ends.
func TestStopLeavesTheClientsToTheEngine(t *testing.T) {
	h := open(t, Config{})
	e := h.engine("1")
	running, waiting := h.ask(get), h.ask(get)
	a, f := e.attach()
	b, g := e.attach()
	if a.Peer != running.LocalAddr().String() {
		a, f, b, g = b, g, a, f
	}
	e.write(f, string(a.Head))
	e.send(handoff.Started{ID: a.ID})
	h.log.wait("client started")
	h.stop()
	e.write(f, "first")
	e.write(g, string(b.Head)+"second")
	f.Close()
	g.Close()
	if got := h.all(running); !strings.HasSuffix(got, "\r\n\r\nfirst") || strings.Count(got, "HTTP/1.") != 1 {
		t.Errorf("the client that was started got %q", got)
	}
	if got := h.all(waiting); !strings.HasSuffix(got, "\r\n\r\nsecond") || strings.Count(got, "HTTP/1.") != 1 {
		t.Errorf("the client that waited got %q", got)
	}
	if _, err := http.Get("http://" + h.addr + "/"); err == nil {
		t.Error("the user port is open still")
	}
}

// A client that sends more than its request gets all of the answer, not a reset.
func TestPipelinedBytesAreDropped(t *testing.T) {
	h := open(t, Config{})
	e := h.engine("1")
	more := strings.Repeat("GET /udp/239.1.1.1:5001 HTTP/1.1\r\nHost: h\r\n\r\n", 1000)
	client := h.ask(get + more)
	a, f := e.attach()
	f.Close()
	e.send(handoff.Refused{ID: a.ID, Code: 503, Reason: "no"})
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := h.all(client); !strings.HasSuffix(got, ": no\n") || strings.Count(got, "HTTP/1.") != 1 {
		t.Errorf("the client got %q", got)
	}
}

func TestRefusedCodes(t *testing.T) {
	for code, want := range map[int]int{400: 400, 503: 503, 504: 504, 0: 500, 200: 500, 302: 500, 999: 500} {
		h := open(t, Config{})
		e := h.engine("1")
		client := h.ask(strings.Replace(get, "1.1\r\n", "1.0\r\n", 1))
		a, f := e.attach()
		f.Close()
		e.send(handoff.Refused{ID: a.ID, Code: code, Reason: "no"})
		if got := h.all(client); !strings.HasPrefix(got, "HTTP/1.0 "+strconv.Itoa(want)+" ") {
			t.Errorf("code %d: the client got %q", code, got)
		}
	}
}
