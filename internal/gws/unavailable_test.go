package gws

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
)

func TestFailures(t *testing.T) {
	var f failures
	begin := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	f.forget("a")
	if f.lately("a", at(0), time.Minute) {
		t.Error("failed before it was heard of")
	}
	f.note("a", at(0))
	f.note("b", at(5))
	f.note("a", at(8))
	for _, c := range []struct {
		tag     string
		seconds int
		want    bool
	}{
		{"a", 8, true}, {"a", 17, true}, {"a", 18, false}, {"b", 14, true}, {"b", 15, false}, {"c", 8, false},
	} {
		if got := f.lately(c.tag, at(c.seconds), 10*time.Second); got != c.want {
			t.Errorf("%s after %d s: %v", c.tag, c.seconds, got)
		}
	}
	f.forget("a")
	if f.lately("a", at(8), time.Minute) || !f.lately("b", at(8), time.Minute) {
		t.Error("it was another one that delivers")
	}
}

// TestFailuresAreBounded: the oldest is forgotten, however often the others fail.
func TestFailuresAreBounded(t *testing.T) {
	var f failures
	now := time.Unix(1000, 0)
	for range 3 * maxFailures {
		f.note("again", now)
	}
	f.note("old", now)
	for i := range maxFailures {
		f.note(fmt.Sprint(i), now)
	}
	if f.order.Len() != maxFailures || len(f.byTag) != maxFailures {
		t.Errorf("%d and %d are remembered", f.order.Len(), len(f.byTag))
	}
	if f.lately("old", now, time.Minute) || !f.lately("0", now, time.Minute) {
		t.Error("it was not the oldest that was forgotten")
	}
}

// refuses takes a client and gives it back.
func (e *peer) refuses(code int, reason string) {
	e.t.Helper()
	a, f := e.attach()
	f.Close()
	e.send(handoff.Refused{ID: a.ID, Code: code, Reason: reason})
}

func request1(method, target string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: tv.example\r\n\r\n"
}

// redirected expects a 302 to there that no engine hears of.
func (h *house) redirected(method, target, to string) {
	h.t.Helper()
	r, body := h.answer(request1(method, target))
	checkRedirect(h.t, r, body, to)
}

func checkRedirect(t *testing.T, r *http.Response, body, to string) {
	t.Helper()
	if got := r.Header.Values("Location"); r.StatusCode != http.StatusFound || len(got) != 1 || got[0] != to {
		t.Errorf("%d to %q, want 302 to %q; %s", r.StatusCode, got, to, body)
	}
	if r.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a browser may not follow it")
	}
	if len(r.Header.Values("Content-Length")) != 1 || !strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("headers %v", r.Header)
	}
}

// A channel that cannot be had is elsewhere (72), for a HEAD without an engine (62, 63), and
// by its name as by its address (74).
func TestAcceptance72Redirect(t *testing.T) {
	news, film := channelOf("news", "udp://239.1.1.1:5000"), channelOf("film", "udp://239.1.1.1:5001")
	news.Redirect, film.Redirect = "http://backup.example/news.ts", "http://mirror.example/tv/"
	h := open(t, Config{Lineup: lineupOf(t, nil, news, film)})
	e := h.engine("1")
	for _, code := range []int{502, 503, 504} {
		client := h.ask(request1("GET", "/$news"))
		e.refuses(code, "the source delivers no data")
		r, body := h.read(client, "GET")
		checkRedirect(t, r, body, "http://backup.example/news.ts")
		e.send(handoff.ChannelOpen{Tag: news.Tag()})
		e.send(handoff.Rates{Channels: []handoff.Rate{{Tag: news.Tag(), Bps: uint64(code)}}})
		h.heard(e)
		if r, _ := h.answer(request1("HEAD", "/$news")); r.StatusCode != 200 {
			t.Errorf("it delivers, a HEAD gets %d", r.StatusCode)
		}
		e.send(handoff.ChannelEnd{Tag: news.Tag(), Reason: "unused"})
		h.heard(e)
	}
	h.log.wait("client refused", "code=504", "the source delivers no data")

	e.send(handoff.ChannelEnd{Tag: film.Tag(), Reason: "source failed", Failed: true})
	h.heard(e)
	for _, method := range []string{"GET", "HEAD"} {
		h.redirected(method, "/$film?token=secret", "http://mirror.example/tv/$film?token=secret")
		h.redirected(method, "/udp/239.1.1.1:5001", "http://mirror.example/tv/udp/239.1.1.1:5001")
	}
	h.log.wait("client refused", "code=302", "the channel has failed lately", "path=/$film")
	if n := h.log.count("secret"); n > 0 {
		t.Errorf("the token stands in %d log lines", n)
	}
	client := h.ask(request1("GET", "/$news"))
	if a := e.serve("the first that the engine hears of"); a.Channel.Name != "news" {
		t.Errorf("the engine was asked for %s", a.Channel.Tag())
	}
	h.all(client)
}

// Without another place a HEAD of an unavailable channel gets a 503, and a
// GET is tried all the same.
func TestAcceptance63Unavailable(t *testing.T) {
	h := open(t, Config{})
	e := h.engine("1")
	e.send(handoff.ChannelEnd{Tag: tag, Reason: "no data", Failed: true})
	h.heard(e)
	if r, _ := h.answer(request1("HEAD", "/udp/239.1.1.1:5000")); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("HEAD: %d, %v", r.StatusCode, r.Header)
	}
	client := h.ask(get)
	e.serve("here it is again")
	if all := h.all(client); !strings.HasPrefix(all, "HTTP/1.1 200 ") {
		t.Errorf("GET: %q", all)
	}
	h.heard(e)
	if r, _ := h.answer(request1("HEAD", "/udp/239.1.1.1:5000")); r.StatusCode != 200 {
		t.Errorf("it was served, and HEAD: %d", r.StatusCode)
	}
	e.send(handoff.ChannelEnd{Tag: tag, Reason: "unused"})
	h.heard(e)
	if r, _ := h.answer(request1("HEAD", "/udp/239.1.1.1:5000")); r.StatusCode != 200 {
		t.Errorf("nobody watches it, and HEAD: %d", r.StatusCode)
	}
}

// TestUnavailableIsOver: it counts for as long as the configuration says.
func TestUnavailableIsOver(t *testing.T) {
	s := desk(Config{})
	c := &client{conf: &Config{Unavailable: 10 * time.Second}, tag: tag, elsewhere: "http://b.example/"}
	for age, want := range map[time.Duration]bool{9 * time.Second: true, 11 * time.Second: false} {
		s.failures.note(tag, time.Now().Add(-age))
		if got := s.troubleLocked(c, true) != nil; got != want {
			t.Errorf("failed %v ago: unavailable %v", age, got)
		}
	}
}

// Who would be led back to where he is gets the error.
func TestAcceptance73NoLoop(t *testing.T) {
	news := channelOf("news", "udp://239.1.1.1:5000")
	news.Redirect = "http://tv.example/$news"
	h := open(t, Config{Lineup: lineupOf(t, func(s *lineup.Settings) { s.Redirect = "http://tv.example/" }, news)})
	e := h.engine("1")
	for _, target := range []string{"/$news", "/udp/239.1.1.1:5001?x=y"} {
		client := h.ask(request1("GET", target))
		e.refuses(504, "the source delivers no data")
		if all := h.all(client); !strings.HasPrefix(all, "HTTP/1.1 504 ") || strings.Contains(all, "Location") {
			t.Errorf("%s: %q", target, all)
		}
		if r, _ := h.answer(request1("HEAD", target)); r.StatusCode != 503 {
			t.Errorf("HEAD %s: %d", target, r.StatusCode)
		}
	}
	h.redirected("GET", "/$news?x=y", "http://tv.example/$news") // another URL: the loop ends there
}

// Without another place the error stays, and a 403, a 404 or a limit leads
// nowhere.
func TestAcceptance75NoRedirect(t *testing.T) {
	plain, news := channelOf("plain", "udp://239.1.1.1:5000"), channelOf("news", "udp://239.1.1.1:5001")
	news.Redirect, news.MaxClients = "http://backup.example/", 1
	h := open(t, Config{Lineup: lineupOf(t, nil, plain, news), Sources: prefixes("239.1.1.0/24")})
	e := h.engine("1")
	for target, code := range map[string]int{"/$plain": 504, "/$news": 403} {
		client := h.ask(request1("GET", target))
		e.refuses(code, "no")
		if all := h.all(client); !strings.HasPrefix(all, fmt.Sprintf("HTTP/1.1 %d ", code)) || strings.Contains(all, "Location") {
			t.Errorf("%s: %q", target, all)
		}
	}
	h.plays(e, request1("GET", "/$news"))
	h.full(request1("GET", "/$news"), limitChannelClients)
	e.send(handoff.ChannelEnd{Tag: news.Tag(), Reason: "source failed", Failed: true})
	e.send(handoff.Bye{Reason: "TERM"})
	h.log.wait("engine leaves")
	if r, _ := h.answer(request1("GET", "/$news")); r.StatusCode != 503 || r.Header.Get("Location") != "" {
		t.Errorf("without an engine: %d, %v", r.StatusCode, r.Header)
	}
}
