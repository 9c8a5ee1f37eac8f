package gws

import (
	"bufio"
	"io"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
)

func TestIssue1StreamHead(t *testing.T) {
	h := open(t, Config{Build: "1.2.3"})
	e := h.engine("1")
	for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
		client := h.ask("GET /rtp/10.0.0.7%40239.1.1.1:5000/?token=secret " + proto + "\r\nHost: h\r\n\r\n")
		a := e.serve("stream")
		if want := arrived(t, channelOf("", "udp://10.0.0.7@239.1.1.1:5000")); !reflect.DeepEqual(a.Channel, want) || a.Peer != client.LocalAddr().String() {
			t.Errorf("the engine was asked for %+v by %q", a.Channel, a.Peer)
		}
		r, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "stream" || r.Proto != proto || r.StatusCode != 200 {
			t.Errorf("%s %d %q, %v", r.Proto, r.StatusCode, body, err)
		}
		checkHead(t, r)
	}
	h.log.wait("client started", "channel=UDP://10.0.0.7@239.1.1.1:5000", "client=TCP://127.0.0.1:", "engine=1")
	if n := h.log.count("secret"); n > 0 {
		t.Errorf("the token stands in %d log lines", n)
	}
}

func checkHead(t *testing.T, r *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Server": "sluice/1.2.3", "Content-Type": "video/mp2t", "Cache-Control": "no-cache, no-store", "Content-Length": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, err := http.ParseTime(r.Header.Get("Date")); err != nil || len(r.TransferEncoding) > 0 || !r.Close {
		t.Errorf("date %v, transfer encoding %v, close %v", err, r.TransferEncoding, r.Close)
	}
}

// HEAD has the headers of a GET; the engine hears nothing of it.
func TestIssue1Head(t *testing.T) {
	h := open(t, Config{Build: "1.2.3"})
	e := h.engine("1")
	r, body := h.answer("HEAD /udp/239.1.1.1:5000 HTTP/1.1\r\nHost: h\r\n\r\n")
	if r.StatusCode != 200 || body != "" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	checkHead(t, r)
	client := h.ask(get)
	e.serve("first that is heard of")
	h.all(client)
}

func TestIssue1Refusals(t *testing.T) {
	h := open(t, Config{})
	h.engine("1")
	for _, c := range []struct {
		request string
		status  int
		body    string // part of it
	}{
		{"GET / HTTP/1.1", 404, "/udp/GROUP:PORT"},
		{"GET /status HTTP/1.1", 404, ""},
		{"GET /ping HTTP/1.1", 404, ""},
		{"GET /report?type=tps HTTP/1.1", 404, ""},
		{"GET /drop?channel=x HTTP/1.1", 404, ""},
		{"GET /reset HTTP/1.1", 404, ""},
		{"HEAD /status HTTP/1.1", 404, ""},
		{"GET /udp/239.1.1.1 HTTP/1.1", 400, "239.1.1.1"},
		{"GET /udp/10.0.0.7:239.1.1.1:5000 HTTP/1.1", 400, "SOURCE@GROUP:PORT"},
		{"GET /udp/239.1.1.1:5000%0d%0aX: HTTP/1.1", 400, `\r\n`},
		{"GET /udp/127.0.0.1:5000 HTTP/1.1", 403, "source"},
		{"GET /udp/[::1]:5000 HTTP/1.1", 403, "source"},
		{"POST /udp/239.1.1.1:5000 HTTP/1.1", 405, "GET or HEAD"},
		{"CONNECT h:80 HTTP/1.1", 405, ""},
		{"OPTIONS * HTTP/1.1", 405, ""},
		{"GET /udp/" + strings.Repeat("9", 8000) + " HTTP/1.1", 400, ""},
	} {
		r, body := h.answer(c.request + "\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		if r.StatusCode != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%.60s: %d %q, want %d %q", c.request, r.StatusCode, body, c.status, c.body)
		}
		if allow := r.Header.Get("Allow"); (c.status == 405) != (allow == "GET, HEAD") {
			t.Errorf("%.60s: Allow %q", c.request, allow)
		}
	}
}

// TestIssue2Names: a configured channel is asked for by its name or its source, and has
// what the configuration says; the request may say otherwise for itself.
func TestIssue2Names(t *testing.T) {
	news := channelOf("news", "udp://239.1.1.1:5000|udp://239.2.1.1:5000", "udp://239.3.1.1:5000")
	news.Start, news.Slow, news.MaxClients = lineup.Start{Live: true}, lineup.Disconnect, 100
	local := channelOf("local", "udp://127.0.0.1:5000")
	h := open(t, Config{Sources: prefixes("239.9.0.0/16"), Lineup: lineupOf(t, func(s *lineup.Settings) { s.Linger = 0 }, news, local)})
	e := h.engine("1")
	other := channelOf("", "udp://239.9.1.1:5000|udp://239.9.1.2:5000")
	other.Linger = 0
	back := lineup.Start{Back: 30 * time.Second}
	for _, c := range []struct {
		url     string
		channel lineup.Channel
		start   lineup.Start
		slow    lineup.Slow
	}{
		{"/$news", news, news.Start, lineup.Disconnect},
		{"/%24news/?token=x", news, news.Start, lineup.Disconnect},
		{"/$news?start=30s&slow=skip", news, back, lineup.Skip},
		{"/$news?start=key", news, lineup.Start{}, lineup.Disconnect},
		{"/rtp/239.1.1.1:5000|239.2.1.1:5000", news, news.Start, lineup.Disconnect},
		{"/$local", local, lineup.Start{}, lineup.Skip},
		{"/udp/127.0.0.1:5000", local, lineup.Start{}, lineup.Skip},
		{"/udp/239.9.1.1:5000%7C239.9.1.2:5000", other, lineup.Start{}, lineup.Skip},
		{"/udp/239.9.1.1:5000|239.9.1.2:5000?slow=disconnect&start=30s", other, back, lineup.Disconnect},
	} {
		client := h.ask("GET " + c.url + " HTTP/1.1\r\nHost: h\r\n\r\n")
		a := e.serve("stream")
		h.all(client)
		if !reflect.DeepEqual(a.Channel, arrived(t, c.channel)) || a.Start != c.start || a.Slow != c.slow {
			t.Errorf("%s: %+v, %v, %v", c.url, a.Channel, a.Start, a.Slow)
		}
	}
	for _, c := range []struct {
		url    string
		status int
		body   string
	}{
		{"/$none", 404, "no channel has this name"},
		{"/$", 400, "channel name"},
		{"/$news/x", 404, "/$NAME"},
		{"/$news?start=yesterday", 400, "such as 30s"},
		{"/$news?slow=wait", 400, "want skip or disconnect"},
		{"/udp/239.1.1.1:5000", 403, "this source"}, // one leg is another channel
		{"/udp/239.3.1.1:5000", 403, "this source"},
		{"/udp/239.9.1.1:5000|239.1.1.1:5000", 403, "this source"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r, body := h.answer(method + " " + c.url + " HTTP/1.1\r\nHost: h\r\n\r\n")
			if r.StatusCode != c.status || method == "GET" && !strings.Contains(body, c.body) {
				t.Errorf("%s %s: %d %q, want %d %q", method, c.url, r.StatusCode, body, c.status, c.body)
			}
		}
	}
}

func TestIssue1ForeignClients(t *testing.T) {
	h := open(t, Config{Allow: prefixes("192.0.2.0/24", "2001:db8::/32")})
	h.engine("1")
	r, body := h.answer(get)
	if r.StatusCode != 403 || !strings.HasPrefix(body, "403 Forbidden: ") || strings.Contains(body, "allow ") {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	h.log.wait("client refused", "code=403", "setting allow", "client=TCP://127.0.0.1:")
}

func TestIssue1NoEngine(t *testing.T) {
	h := open(t, Config{})
	for _, method := range []string{"GET", "HEAD"} {
		r, _ := h.answer(method + " /udp/239.1.1.1:5000 HTTP/1.1\r\nHost: h\r\n\r\n")
		if r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d, Retry-After %q", method, r.StatusCode, r.Header.Get("Retry-After"))
		}
	}
	e := h.engine("1")
	e.send(handoff.Bye{Reason: "SIGTERM"})
	h.log.wait("engine leaves", "SIGTERM")
	if r, _ := h.answer(get); r.StatusCode != 503 {
		t.Errorf("an engine that leaves got a client: %d", r.StatusCode)
	}
}

func TestDefaults(t *testing.T) {
	allow, sources := DefaultAllow(), DefaultSources()
	for addr, want := range map[string]bool{
		"10.1.2.3": true, "172.16.0.1": true, "172.31.255.255": true, "192.168.1.1": true, "127.0.0.1": true, "169.254.1.1": true,
		"::1": true, "fd00::1": true, "fe80::1": true,
		"172.32.0.1": false, "11.0.0.1": false, "192.0.2.1": false, "2001:db8::1": false, "239.1.1.1": false, "0.0.0.0": false,
	} {
		if contains(allow, netip.MustParseAddr(addr)) != want {
			t.Errorf("allow %s: want %v", addr, want)
		}
	}
	for addr, want := range map[string]bool{
		"224.0.0.1": true, "239.255.255.255": true, "ff15::1": true, "223.255.255.255": false, "240.0.0.1": false, "fe80::1": false, "127.0.0.1": false,
	} {
		if contains(sources, netip.MustParseAddr(addr)) != want {
			t.Errorf("sources %s: want %v", addr, want)
		}
	}
	if contains(allow, netip.Addr{}) {
		t.Error("a client without an address is allowed")
	}
}
