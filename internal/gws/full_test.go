package gws

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/report"
)

// getOf is a request for a group.
func getOf(port int) string {
	return fmt.Sprintf("GET /udp/239.1.1.1:%d HTTP/1.1\r\nHost: h\r\n\r\n", port)
}

// start takes a client and keeps it.
func (e *peer) start() (handoff.Attach, *os.File) {
	e.t.Helper()
	a, f := e.attach()
	e.write(f, string(a.Head))
	e.send(handoff.Started{ID: a.ID})
	return a, f
}

// heard waits until gws has taken in all that e has sent.
func (h *house) heard(e *peer) {
	h.t.Helper()
	const mark = "UDP://239.255.255.255:1"
	before := h.log.count("channel ended", mark)
	e.send(handoff.ChannelEnd{Tag: mark})
	h.log.waitMore(before, "channel ended", mark)
}

// full asks and expects to be refused by that limit, of which the client is not told.
func (h *house) full(request string, by limit) {
	h.t.Helper()
	for n, method := range []string{"GET", "HEAD"} {
		before := h.count(by)
		r, body := h.answer(strings.Replace(request, "GET", method, 1))
		if r.StatusCode != 503 || r.Header.Get("Retry-After") != "5" {
			h.t.Errorf("%s: %d, Retry-After %q; want 503 and 5", method, r.StatusCode, r.Header.Get("Retry-After"))
		}
		if want := "503 Service Unavailable: this server is full, please try again\n"; n == 0 && body != want {
			h.t.Errorf("body %q, want %q", body, want)
		}
		if h.count(by) != before+1 {
			h.t.Errorf("%s: it was not refused for %v", method, by)
		}
	}
}

func (h *house) count(by limit) uint64 {
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	return h.server.refused[by]
}

// plays asks and expects to be given to e.
func (h *house) plays(e *peer, request string) handoff.Attach {
	h.t.Helper()
	c := h.ask(request)
	a, f := e.start()
	h.log.wait("client started", "client=TCP://"+c.LocalAddr().String())
	f.Close()
	return a
}

func TestIssue2LimitOfClients(t *testing.T) {
	h := open(t, Config{Limits: Limits{MaxClients: 2}})
	e := h.engine("1")
	a := h.plays(e, getOf(5000))
	h.plays(e, getOf(5001))
	h.full(getOf(5000), limitClients)
	h.log.wait("client refused", "code=503", "limits.clients is 2, and reached", "path=/udp/239.1.1.1:5000")
	e.send(handoff.ClientEnd{ID: a.ID})
	h.heard(e)
	h.plays(e, getOf(5002))
	h.full(getOf(5003), limitClients)
}

// Who waits for an engine counts, and no longer once it has an answer of any kind.
func TestIssue2LimitOfPendingClients(t *testing.T) {
	h := open(t, Config{Limits: Limits{MaxPending: 1, MaxClients: 1}})
	e := h.engine("1")
	client := h.ask(getOf(5000))
	a, f := e.attach()
	h.full(getOf(5001), limitClients)
	f.Close()
	e.send(handoff.Refused{ID: a.ID, Code: 504, Reason: "no data"})
	h.all(client)

	if err := h.server.Reload(Config{Limits: Limits{MaxPending: 1}}); err != nil {
		t.Fatal(err)
	}
	client = h.ask(getOf(5000))
	_, f = e.attach()
	h.full(getOf(5001), limitPending)
	e.die(f)
	h.all(client)
	e = h.engine("1")
	h.plays(e, getOf(5000))
}

func TestIssue2LimitOfAnAddress(t *testing.T) {
	h := open(t, Config{Limits: Limits{MaxPerAddress: 1}})
	e := h.engine("1")
	a := h.plays(e, getOf(5000))
	h.full(getOf(5001), limitPerAddress)

	neighbour, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.Close()
	if _, err := io.WriteString(neighbour, getOf(5000)); err != nil {
		t.Fatal(err)
	}
	_, f := e.start()
	f.Close()
	h.log.wait("client started", "127.0.0.2")

	e.send(handoff.ClientEnd{ID: a.ID})
	h.heard(e)
	h.plays(e, getOf(5001))
}

// Clients cannot make engines join one group after the other.
func TestIssue2LimitOfChannels(t *testing.T) {
	h := open(t, Config{Limits: Limits{MaxChannels: 2}})
	e := h.engine("1", report.Channel{Tag: "UDP://239.1.1.1:5009"})
	a := h.plays(e, getOf(5000))
	h.full(getOf(5001), limitChannels)
	h.plays(e, getOf(5000)) // the channel is there
	h.plays(e, getOf(5009))
	e.send(handoff.ChannelEnd{Tag: a.Channel.Tag(), Reason: "idle"})
	h.heard(e)
	h.full(getOf(5001), limitChannels) // its last client is still served
}

// A full uplink refuses the next viewer and spoils nobody's picture.
func TestIssue2LimitOfEgress(t *testing.T) {
	h := open(t, Config{Limits: Limits{MaxEgress: 20_000_000}})
	one, two := h.engine("1"), h.engine("2")
	a := h.plays(one, getOf(5000))
	h.plays(two, getOf(5001))
	one.send(handoff.Rates{Channels: []handoff.Rate{{Tag: a.Channel.Tag(), Bps: 8_000_000}}})
	two.send(handoff.Rates{Channels: []handoff.Rate{{Tag: "UDP://239.1.1.1:5001", Bps: 5_000_000}, {Tag: "UDP://239.9.9.9:9", Bps: 1 << 40}}})
	h.heard(one)
	h.heard(two)
	h.full(getOf(5000), limitEgress)
	h.plays(two, getOf(5001)) // 18 of 20
	h.full(getOf(5001), limitEgress)
	h.plays(one, getOf(5002)) // nobody knows yet how much it is
	one.send(handoff.Rates{Channels: []handoff.Rate{{Tag: a.Channel.Tag(), Bps: 8_000_000}}, More: true})
	one.send(handoff.Rates{Channels: []handoff.Rate{{Tag: "UDP://239.1.1.1:5002", Bps: 3_000_000}}})
	h.heard(one)
	h.full(getOf(5003), limitEgress) // it went above by itself
	one.send(handoff.Rates{Channels: []handoff.Rate{{Tag: "UDP://239.1.1.1:5002", Bps: 3_000_000}}})
	h.heard(one) // the other is silent
	h.plays(two, getOf(5003))
	two.die() // and all its clients with it
	h.log.wait("engine lost", "engine=2")
	one.send(handoff.Rates{Channels: []handoff.Rate{{Tag: a.Channel.Tag(), Bps: 10_000_000}}})
	h.heard(one)
	h.plays(one, getOf(5000))
	h.full(getOf(5000), limitEgress)
}

func TestIssue2LimitsOfAChannel(t *testing.T) {
	news, film := channelOf("news", "udp://239.1.1.1:5000"), channelOf("film", "udp://239.1.1.1:5001")
	news.MaxClients, film.MaxEgress = 1, 10_000_000
	h := open(t, Config{Lineup: lineupOf(t, func(s *lineup.Settings) { s.MaxClients = 2 }, news, film)})
	e := h.engine("1")
	h.plays(e, "GET /$news HTTP/1.0\r\n\r\n")
	h.full("GET /$news HTTP/1.0\r\n\r\n", limitChannelClients)
	h.full(getOf(5000), limitChannelClients)
	h.plays(e, "GET /$film HTTP/1.0\r\n\r\n")
	h.plays(e, "GET /$film HTTP/1.0\r\n\r\n")
	e.send(handoff.Rates{Channels: []handoff.Rate{{Tag: film.Tag(), Bps: 4_000_000}}})
	h.heard(e)
	h.full("GET /$film HTTP/1.0\r\n\r\n", limitChannelEgress)
	h.plays(e, getOf(5002))
	h.plays(e, getOf(5002))
	h.full(getOf(5002), limitChannelClients)
	e.die()
	h.log.wait("engine lost")
	if got := h.server.Status(t.Context()).Totals.Refused; got != (report.Refused{ChannelClients: 6, ChannelEgress: 2}) {
		t.Errorf("the status tells %+v", got)
	}
}

// After a restart of gws the counts come back with the engines.
func TestIssue2LimitsSurviveGws(t *testing.T) {
	running := report.Channel{Tag: tag, Rate: 4_000_000, Clients: []report.Client{
		{ID: 1, Tag: "TCP://127.0.0.1:1", Addr: "127.0.0.1:1"},
		{ID: 2, Tag: "TCP://[2001:db8::1]:1", Addr: "[2001:db8::1]:1"},
	}}
	for by, limits := range map[limit]Limits{
		limitClients: {MaxClients: 2}, limitEgress: {MaxEgress: 11_000_000}, limitPerAddress: {MaxPerAddress: 1},
	} {
		h := open(t, Config{Limits: limits})
		e := h.engine("1", running)
		h.full(get, by)
		e.send(handoff.ClientEnd{ID: 1})
		h.heard(e)
		h.plays(e, get)
		h.full(get, by)
		h.stop()
	}
}

// A client that changes the engine counts once; one whose Started comes behind a
// report that has it, too.
func TestIssue2EveryClientCountsOnce(t *testing.T) {
	h := open(t, Config{Limits: Limits{MaxClients: 2}})
	one := h.engine("1")
	client := h.ask(get)
	_, f := one.attach()
	two := h.engine("2")
	one.die(f)
	a, f := two.attach()
	two.send(handoff.Report{Last: true, Engine: report.Engine{Channels: []report.Channel{
		{Tag: tag, Clients: []report.Client{{ID: a.ID, Addr: a.Peer}}},
	}}})
	two.write(f, string(a.Head))
	two.send(handoff.Started{ID: a.ID})
	if r, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil || r.StatusCode != 200 {
		t.Fatalf("%v, %v", r, err)
	}
	h.plays(two, get)
	h.full(get, limitClients)
	two.send(handoff.ClientEnd{ID: a.ID})
	h.heard(two)
	h.plays(two, get)
}
