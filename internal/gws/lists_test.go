package gws

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/request"
	"sluice/internal/uri"
)

// Sources by address (107): what no setting permits is refused, with the setting for the log.
func TestAcceptance107Sources(t *testing.T) {
	local := channelOf("local", "http://127.0.0.1/live.ts")
	local.Trusted = true
	wide := &Config{
		Sources: prefixes("239.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"), ReadFrom: []string{"/srv/media", "/data/"},
		Lineup: lineupOf(t, nil, local),
	}
	none := &Config{}
	for _, c := range []struct {
		source string
		wide   string // a word of the hint; "" = permitted
	}{
		{"udp://239.1.1.1:5000", ""},
		{"udp://10.0.0.7@239.1.1.1:5000", ""},
		{"udp://[ff15::1]:5000", "sources"},
		{"udp://239.1.1.1:5000|udp://224.1.1.1:5000", "224.1.1.1:5000 is in no network of the setting sources"},
		{"tcp://10.1.1.1:7000", ""},
		{"tcp://192.0.2.1:7000", "sources"},
		{"http://10.1.1.1/x?token=secret", ""},
		{"http://[2001:db8::1]:8080/x", ""},
		{"http://[::ffff:10.1.1.1]/x", ""},
		{"http://127.0.0.1/x", "sources"},
		{"http://user:secret@127.0.0.1/x?token=secret", "sources"},
		{"http://127.0.0.1/live.ts", ""}, // it is configured
		{"https://169.254.169.254/latest", "sources"},
		{"http://tv.example/x", ""}, // by its name: the engine judges what that stands for
		{"file:///srv/media/film.ts", ""},
		{"file:///srv/media/a/b.ts", ""},
		{"file:///data/film.ts", ""},
		{"file:///srv/media", "files.read"},
		{"file:///srv/media2/film.ts", "files.read"},
		{"file:///etc/passwd", "files.read"},
	} {
		s, err := uri.ParseSource(c.source)
		if err != nil {
			t.Fatal(err)
		}
		for conf, want := range map[*Config]string{wide: c.wide, none: "setting"} {
			ch, no := find(conf, request.Request{Source: s}, false)
			if (no != nil) != (want != "") {
				t.Errorf("%s: %+v, want %q", c.source, no, want)
				continue
			}
			if no != nil && (no.code != 403 || !strings.Contains(no.hint, want) || strings.Contains(no.hint, "secret")) {
				t.Errorf("%s: %+v, want %q", c.source, no, want)
			}
			if no == nil && (ch.Tag() != s.Tag() || ch.Trusted != (ch.Name != "")) {
				t.Errorf("%s: %+v", c.source, ch)
			}
		}
	}
}

func TestAcceptance108Targets(t *testing.T) {
	wide := &Config{
		Sources: prefixes("0.0.0.0/0"), ReadFrom: []string{"/"}, // of no concern
		Targets: prefixes("10.0.0.0/8", "239.0.0.0/8"), WriteTo: []string{"/srv/recordings"},
	}
	for target, want := range map[string]string{
		"udp://239.1.1.1:5000":           "",
		"udp://192.0.2.1:5000":           "targets",
		"rtp://10.1.1.1:5000":            "",
		"tcp://10.1.1.1:7000":            "",
		"tcp://127.0.0.1:22":             "targets",
		"tcp://tv.example:7000":          "",
		"http://10.1.1.1/put":            "",
		"http://[::1]/put":               "targets",
		"file:///srv/recordings/film.ts": "",
		"file:///srv/recordingsfilm.ts":  "files.write",
		"file:///etc/cron.d/x":           "files.write",
	} {
		end, err := uri.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		for conf, want := range map[*Config]string{wide: want, {Sources: wide.Sources, ReadFrom: wide.ReadFrom}: "setting"} {
			no := permitTarget(conf, &endpoint.Target{End: end})
			if (no != nil) != (want != "") || no != nil && (no.code != 403 || !strings.Contains(no.hint, want)) {
				t.Errorf("%s: %+v, want %q", target, no, want)
			}
		}
	}
	if no := permitTarget(&Config{}, nil); no != nil {
		t.Errorf("the connection of the request: %+v", no)
	}
}

// A whole directory tree, and paths that only look alike.
func TestBelow(t *testing.T) {
	for _, c := range []struct {
		dir, name string
		want      bool
	}{
		{"/", "/x", true},
		{"/a", "/a/b", true},
		{"/a/", "/a/b/c", true},
		{"/a//b/.", "/a/b/c", true},
		{"/a", "/a", false},
		{"/a", "/ab", false},
		{"/a/b", "/a/c", false},
	} {
		if got := below(c.dir, c.name); got != c.want {
			t.Errorf("%s in %s: %v", c.name, c.dir, got)
		}
	}
}

// Parameters behind a name go to the URLs of its sources, but for those that are ours (56).
func TestAcceptance56Params(t *testing.T) {
	web := channelOf("web", "http://a.example/live?x=y", "https://b.example/live", "udp://239.1.1.1:5000")
	web.Pinned, web.Trusted = true, true
	quiet := channelOf("quiet", "http://c.example/live")
	quiet.Params = false
	mixed := channelOf("mixed", "udp://239.1.1.1:5001", "http://d.example/live")
	conf := &Config{Lineup: lineupOf(t, nil, web, quiet, mixed)}
	for _, c := range []struct {
		name, params string
		want         []string
	}{
		{"web", "", []string{"http://a.example:80/live?x=y", "https://b.example:443/live", "udp://239.1.1.1:5000"}},
		{"web", "key=BF09", []string{"http://a.example:80/live?x=y&key=BF09", "https://b.example:443/live?key=BF09", "udp://239.1.1.1:5000"}},
		{"web", "token=secret&key=BF09&expires=1&sign=2&ip=3&&a", []string{"http://a.example:80/live?x=y&key=BF09&a", "https://b.example:443/live?key=BF09&a", "udp://239.1.1.1:5000"}},
		{"web", "t%6fken=secret", []string{"http://a.example:80/live?x=y", "https://b.example:443/live", "udp://239.1.1.1:5000"}},
		{"quiet", "key=BF09", []string{"http://c.example:80/live"}},
		{"mixed", "key=BF09", []string{"udp://239.1.1.1:5001", "http://d.example:80/live"}},
	} {
		ch, no := find(conf, request.Request{Name: c.name, Params: c.params}, false)
		if no != nil {
			t.Errorf("%s?%s: %+v", c.name, c.params, no)
			continue
		}
		var got []string
		for _, s := range ch.Sources {
			got = append(got, s.String())
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) || ch.Name != c.name {
			t.Errorf("%s?%s: %s, want %s", c.name, c.params, got, c.want)
		}
	}
	plain, _ := find(conf, request.Request{Name: "web"}, false)
	other, _ := find(conf, request.Request{Name: "web", Params: "key=1"}, false)
	if other.Tag() == plain.Tag() || !other.Trusted || other.Pinned || !plain.Pinned || plain.Sources[0].String() != web.Sources[0].String() {
		t.Errorf("%s and %s: trusted %v, pinned %v", plain.Tag(), other.Tag(), other.Trusted, other.Pinned)
	}
	if _, no := find(conf, request.Request{Name: "web", Params: strings.Repeat("x", uri.MaxLength)}, false); no == nil || no.code != http.StatusRequestURITooLong {
		t.Errorf("parameters without end: %+v", no)
	}
}

// What is for authorization here is not for the server that a stream is sent to.
func TestWithoutOwn(t *testing.T) {
	end, err := uri.Parse("http://tv.example/in?a=b&token=secret&c")
	if err != nil {
		t.Fatal(err)
	}
	before := endpoint.Target{End: end, Method: "POST"}
	got := withoutOwn(&before)
	if got.End.Query != "a=b&c" || got.Method != "POST" || before.End.Query != end.Query || withoutOwn(nil) != nil {
		t.Errorf("%+v of %+v", got, before)
	}
}

// An address that a proxy tells is judged as any other (126), by lists as by limits.
func TestAcceptance126Clients(t *testing.T) {
	h := open(t, Config{
		Allow: prefixes("198.51.100.0/24", "2001:db8::/32"), Proxies: prefixes("127.0.0.1/32"), Limits: Limits{MaxPerAddress: 1},
	})
	e := h.engine("1")
	for _, first := range []string{
		"GET /udp/239.1.1.1:5000 HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.1, 198.51.100.7:4711\r\n\r\n",
		"PROXY TCP4 198.51.100.8 192.0.2.1 4711 80\r\n" + getOf(5000),
		"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n" + getOf(5000),
	} {
		client := h.ask(first)
		a, f := e.start()
		f.Close()
		peer, err := netip.ParseAddrPort(a.Peer)
		if err != nil || peer.Port() != 4711 {
			t.Errorf("the engine was told of %s", a.Peer)
		}
		h.log.wait("client started", "client=TCP://"+a.Peer)
		again, body := h.answer(first)
		if again.StatusCode != 503 || !strings.Contains(body, "full") {
			t.Errorf("%s again: %d %s", a.Peer, again.StatusCode, body)
		}
		client.Close()
	}
	for _, first := range []string{
		getOf(5000), // the proxy itself
		"GET /udp/239.1.1.1:5000 HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.7, 203.0.113.9\r\n\r\n",
		"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n" + getOf(5000),
	} {
		if r, _ := h.answer(first); r.StatusCode != 403 {
			t.Errorf("%.60q: %d", first, r.StatusCode)
		}
	}
	c := h.ask("PROXY nonsense\r\n" + getOf(5000))
	for err := error(nil); err == nil; {
		_, err = c.Read(make([]byte, 100))
	}
	h.log.wait("connection closed", "PROXY header from 127.0.0.1:")
}

// A request that does not end (71), one of 8 kB and one that is none (129).
func TestAcceptance129Requests(t *testing.T) {
	h := open(t, Config{})
	e := h.engine("1")
	long := strings.Repeat("x", 8<<10)
	for target, code := range map[string]int{"/" + long: 404, "/$" + long: 400, "/udp/" + long: 400, "/playlist.m3u?" + long: 404} {
		if r, _ := h.answer(request1("GET", target)); r.StatusCode != code {
			t.Errorf("%.20s: %d, want %d", target, r.StatusCode, code)
		}
	}
	client := h.ask(request1("GET", "/udp/239.1.1.1:5000?"+long))
	e.serve("stream")
	h.all(client)
	for _, garbage := range []string{"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", "hello\r\n\r\n"} {
		if r, _ := h.answer(garbage); r.StatusCode != 400 {
			t.Errorf("%q: %d", garbage, r.StatusCode)
		}
	}
}

func TestAcceptance71SlowRequest(t *testing.T) {
	h := open(t, Config{Request: 1})
	c := h.ask("GET /udp/239.1.1.1:5000 HT")
	for err := error(nil); err == nil; {
		_, err = c.Read(make([]byte, 100))
	}
}

// What a channel is announced as is its own setting (64).
func TestAcceptance64ContentType(t *testing.T) {
	news := channelOf("news", "udp://239.1.1.1:5000")
	news.ContentType = "application/octet-stream"
	h := open(t, Config{Lineup: lineupOf(t, func(s *lineup.Settings) { s.ContentType = "video/MP2T" }, news)})
	e := h.engine("1")
	for target, want := range map[string]string{"/$news": "application/octet-stream", "/udp/239.1.1.1:5009": "video/MP2T"} {
		client := h.ask(request1("GET", target))
		e.serve("stream")
		for method, r := range map[string]*http.Response{"GET": first(h.read(client, "GET")), "HEAD": first(h.answer(request1("HEAD", target)))} {
			if got := r.Header.Values("Content-Type"); len(got) != 1 || got[0] != want || r.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s %s: %q, %v", method, target, got, r.Header)
			}
		}
	}
}

func first(r *http.Response, _ string) *http.Response { return r }
