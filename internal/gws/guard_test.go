package gws

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/auth"
	"sluice/internal/lineup"
	"sluice/internal/uri"
)

func TestSignedPath(t *testing.T) {
	for target, want := range map[string]string{
		"/udp/239.1.1.1:5000":                               "/udp/239.1.1.1:5000",
		"/udp/239.1.1.1:5000/?sign=1":                       "/udp/239.1.1.1:5000/",
		"/$news?x=/dst/&sign=1":                             "/$news",
		"/src/udp://239.1.1.1:5000/dst/?sign=1":             "/src/udp://239.1.1.1:5000/dst/",
		"/src/udp://239.1.1.1:5000/dst?sign=1":              "/src/udp://239.1.1.1:5000/dst",
		"/src/http://a/x?k=y/dst/?sign=1":                   "/src/http://a/x?k=y/dst/",
		"/src/http://a/x?k=y/dst/tcp://b:1?sign=1":          "/src/http://a/x?k=y/dst/tcp://b:1",
		"/src/http://a/x?k=y/dst":                           "/src/http://a/x?k=y/dst",
		"/src/udp://239.1.1.1:5000/dst/?sign=1&x=/dst/?y=z": "/src/udp://239.1.1.1:5000/dst/?sign=1&x=/dst/", // the last one ends the source
		"/src/http://a/dstx?k":                              "/src/http://a/dstx",
		"/src/":                                             "/src/",
	} {
		if got := SignedPath(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// witness is a guard that remembers what it was asked.
type witness struct {
	mu     sync.Mutex
	asked  []auth.Question // guarded by mu
	answer auth.Answer
}

func (g *witness) Ask(_ context.Context, q auth.Question) auth.Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, q)
	return g.answer
}

// last is the latest question, and how many there were.
func (g *witness) last() (auth.Question, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asked) == 0 {
		return auth.Question{}, 0
	}
	return g.asked[len(g.asked)-1], len(g.asked)
}

// What the guard is asked (58, 62, 77, 78, 88), and when it is not (57).
func TestAcceptance77Questions(t *testing.T) {
	g := &witness{answer: auth.Answer{Code: http.StatusForbidden, Reason: "denied by the helper"}}
	h := openBy(t, Config{
		Guard: g, Lineup: lineupOf(t, nil, channelOf("news", "udp://239.1.1.1:5000")),
		Targets: prefixes("10.0.0.0/8"), Udpxy: true,
	}, []Door{{Alias: "bb1"}})
	for _, c := range []struct{ target, source, destination, path string }{
		{"/udp/239.1.1.1:5000", "udp://239.1.1.1:5000", "", "/udp/239.1.1.1:5000"},
		{"/udp/224.0.2.12:5011?auth=ef03", "udp://224.0.2.12:5011?auth=ef03", "", "/udp/224.0.2.12:5011"},
		{"/$news?key=BF09", "$news?key=BF09", "", "/$news"},
		{"/src/udp://239.1.1.1:5000/dst/tcp://10.0.0.7:1", "udp://239.1.1.1:5000", "tcp://10.0.0.7:1", "/src/udp://239.1.1.1:5000/dst/tcp://10.0.0.7:1"},
		{"/src/udp://239.1.1.1:5000/dst/http://10.0.0.7/\xff?b=c", "udp://239.1.1.1:5000", "http://10.0.0.7:80/%FF?b=c", "/src/udp://239.1.1.1:5000/dst/http://10.0.0.7/\xff"},
		{"/playlist.m3u?auth=ef03", "/playlist.m3u?auth=ef03", "", "/playlist.m3u"},
		{"/playlist.m3u?plus=a+b", "/playlist.m3u?plus=a+b", "", "/playlist.m3u"},
		{"http://h/udp/224.0.2.12:5011|224.0.2.13:5011", "udp://224.0.2.12:5011|224.0.2.13:5011", "", "/udp/224.0.2.12:5011|224.0.2.13:5011"},
		{"/status/", "/status", "", "/status/"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			_, before := g.last()
			r, body := h.answer(request1(method, c.target))
			if r.StatusCode != 403 || strings.Contains(body, "helper") {
				t.Errorf("%s %s: %d %s", method, c.target, r.StatusCode, body)
			}
			q, n := g.last()
			if n != before+1 || q.Source != c.source || q.Destination != c.destination || q.Listener != "bb1" || q.Path != c.path || !q.Peer.Addr().IsLoopback() {
				t.Errorf("%s %s: %d questions, %+v", method, c.target, n-before, q)
			}
			for _, text := range []string{q.Source, q.Destination} {
				if uri.Printable(text) != text {
					t.Errorf("%s: %q is no field of a line", c.target, text)
				}
			}
			for key, value := range map[string]string{"auth": "ef03", "key": "BF09", "plus": "a+b"} {
				if strings.Contains(c.target, key+"=") && q.Query.Get(key) != value {
					t.Errorf("%s: parameters %v", c.target, q.Query)
				}
			}
		}
	}
	h.log.wait("client refused", "denied by the helper")
	_, before := g.last()
	for target, code := range map[string]int{
		"/$none": 404, "/udp/239.1.1.1": 400, "/nothing": 404, "/udp/127.0.0.1:5000": 403,
		"/src/udp://239.1.1.1:5000/dst/tcp://192.0.2.1:1": 403,
	} {
		if r, _ := h.answer(request1("GET", target)); r.StatusCode != code {
			t.Errorf("%s: %d, want %d", target, r.StatusCode, code)
		}
	}
	if q, after := g.last(); after != before {
		t.Errorf("%d more questions, %+v the last", after-before, q)
	}
}

func TestGuardsAnswers(t *testing.T) {
	for code, want := range map[int]int{401: 401, 403: 403, 504: 504, 404: 403, 200: 403} {
		g := &witness{answer: auth.Answer{Code: code, Reason: "why"}}
		h := open(t, Config{Guard: g})
		h.engine("1")
		r, _ := h.answer(get)
		if r.StatusCode != want || (want == 401) != (r.Header.Get("WWW-Authenticate") == `Bearer realm="sluice"`) {
			t.Errorf("%d: %d, %v", code, r.StatusCode, r.Header)
		}
		h.stop()
	}
}

// The real guard, with a token: streams, the playlist and what is in it.
func TestTokens(t *testing.T) {
	g, err := auth.New(auth.Config{Tokens: []auth.Token{{Name: "alice", Value: "s3cret"}}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	web := channelOf("film", "http://tv.example/live?a=b")
	diary := newDiary()
	h := open(t, Config{Guard: g, Access: diary, Lineup: lineupOf(t, nil, channelOf("news", "udp://239.1.1.1:5000"), web)})
	e := h.engine("1")
	for _, target := range []string{"/$news", "/udp/239.1.1.1:5000", "/playlist.m3u"} {
		if r, _ := h.answer(request1("GET", target)); r.StatusCode != 401 {
			t.Errorf("%s: %d", target, r.StatusCode)
		}
		if r, _ := h.answer(request1("GET", target+"?token=wrong")); r.StatusCode != 403 {
			t.Errorf("%s with a bad token: %d", target, r.StatusCode)
		}
	}
	_, list := h.answer(request1("GET", "/playlist.m3u?token=s3cret"))
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		u, err := url.Parse(line)
		if err != nil || u.Host != "tv.example" {
			t.Fatalf("%s, %v", line, err)
		}
		client := h.ask(request1("GET", u.RequestURI()))
		a := e.serve("stream")
		h.all(client)
		for _, s := range a.Channel.Sources {
			if strings.Contains(s.String(), "s3cret") {
				t.Errorf("the token goes to %s", s)
			}
		}
		diary.wait("client_open", "User:alice", "Channel:"+a.Channel.Tag())
	}
	if n := h.log.count("s3cret") + diary.count("s3cret"); n > 0 {
		t.Errorf("the token stands in %d lines", n)
	}
}

// A guard that takes its time is not waited for without end.
func TestGuardInTime(t *testing.T) {
	no := authorize(&Config{Guard: undecided{}, Request: time.Nanosecond}, new(http.Request), new(visit), auth.Question{})
	if no == nil || no.code != http.StatusGatewayTimeout {
		t.Errorf("%+v", no)
	}
}

// undecided answers when it must.
type undecided struct{}

func (undecided) Ask(ctx context.Context, _ auth.Question) auth.Answer {
	<-ctx.Done()
	return auth.Answer{Code: http.StatusGatewayTimeout, Reason: "not decided in time"}
}

func TestPlaylist(t *testing.T) {
	news := channelOf("news", "udp://239.1.1.1:5000")
	news.Listing = lineup.Listing{Title: "News, and more", Group: "info", Guide: "news.example", Logo: "http://l.example/n.png"}
	h := open(t, Config{Proxies: prefixes("127.0.0.1/32"), Allow: prefixes("0.0.0.0/0"), Lineup: lineupOf(t, nil, news)})
	for _, c := range []struct{ head, url string }{
		{"GET /playlist.m3u HTTP/1.1\r\nHost: tv.example:4046\r\n\r\n", "http://tv.example:4046/$news"},
		{"GET /playlist.m3u?token=x&start=30s&sign=1&expires=2&ip=3 HTTP/1.1\r\nHost: h\r\n\r\n", "http://h/$news?token=x&start=30s"},
		{"GET /playlist.m3u HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: tv.example\r\n\r\n", "https://tv.example/$news"},
		{"GET http://tv.example/playlist.m3u?a=\xe4 HTTP/1.1\r\nHost: tv.example\r\n\r\n", "http://tv.example/$news?a=%E4"},
		{"GET /playlist.m3u HTTP/1.0\r\n\r\n", "http://" + h.addr + "/$news"},
	} {
		r, body := h.answer(c.head)
		if r.StatusCode != 200 || !strings.HasPrefix(body, "#EXTM3U") || r.ContentLength != int64(len(body)) || !strings.HasPrefix(r.Header.Get("Content-Type"), "audio/x-mpegurl") {
			t.Fatalf("%d %q, %v", r.StatusCode, body, r.Header)
		}
		if plain := strings.ReplaceAll(body, "%24", "$"); !strings.Contains(plain, "\n"+c.url+"\n") || !strings.Contains(body, "News, and more") {
			t.Errorf("%q: %q, want %s", c.head, body, c.url)
		}
		none, empty := h.answer(strings.Replace(c.head, "GET", "HEAD", 1))
		if none.StatusCode != 200 || empty != "" || none.ContentLength != r.ContentLength {
			t.Errorf("HEAD: %d, %q, length %d", none.StatusCode, empty, none.ContentLength)
		}
	}
	if r, _ := h.answer("GET /playlist.m3u HTTP/1.1\r\nHost: \"x\r\n\r\n"); r.StatusCode != 400 {
		t.Errorf("a bad host: %d", r.StatusCode)
	}
	if r, _ := h.answer("POST /playlist.m3u HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"); r.StatusCode != 405 {
		t.Errorf("POST: %d", r.StatusCode)
	}
	if r, _ := open(t, Config{}).answer(request1("GET", "/playlist.m3u")); r.StatusCode != 404 {
		t.Errorf("without channels: %d", r.StatusCode)
	}
}

func TestAcceptance128Udpxy(t *testing.T) {
	h := open(t, Config{Udpxy: true})
	e := h.engine("1")
	a := h.plays(e, getOf(5000))
	h.plays(e, getOf(5000))
	for _, target := range []string{"/status", "/status/", "/status?x=y"} {
		r, body := h.answer(request1("GET", target))
		if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d, %v", target, r.StatusCode, r.Header)
		}
		for _, want := range []string{"Active clients: 2", "<td>" + a.Channel.Tag() + "</td><td>2</td>"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %q is not in %q", target, want, body)
			}
		}
		if strings.Contains(body, a.Peer) {
			t.Errorf("%s tells who watches: %s", target, body)
		}
		if r, body := h.answer(request1("HEAD", target)); r.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %d %q", target, r.StatusCode, body)
		}
	}
	for _, target := range []string{"/ping", "/report", "/drop?channel=x", "/reset", "/status/x", "/statuses"} {
		if r, _ := h.answer(request1("GET", target)); r.StatusCode != 404 {
			t.Errorf("%s: %d", target, r.StatusCode)
		}
	}
}
