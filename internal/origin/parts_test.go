package origin

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRequestLogLines(t *testing.T) {
	r := httptest.NewRequest("GET", "/live/a%20b.m4s?token=secret", nil)
	r.Header.Set("Range", "bytes=0-3\x01\u202e")
	r.Header.Set("DASH-IF-Ingest", "1.2")
	r.Header.Set("Authorization", "Basic c2VjcmV0")
	if got, want := startLine(7, "192.0.2.7", r, true), "REQ#7 192.0.2.7 GET /live/a%20b.m4s [range: bytes=0-3??] [DASH-IF-Ingest: 1.2] start chunk-transfer"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, c := range []struct {
		how    ending
		status int
		want   string
	}{
		{finished, 200, "REQ#7 GET done: reply 200 - 1000 bytes in 100 ms at 80 kbps"},
		{finished, 304, "REQ#7 GET done: reply 304 - 1000 bytes in 100 ms at 80 kbps"},
		{finished, 416, "REQ#7 GET done: error 416 - 1000 bytes in 100 ms at 80 kbps"},
		{aborted, 200, "REQ#7 GET aborted! - 1000 bytes in 100 ms at 80 kbps"},
		{canceled, 200, "REQ#7 GET canceled - 1000 bytes in 100 ms at 80 kbps"},
	} {
		if got := endLine(7, r, c.how, c.status, 1000, 100*time.Millisecond); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	r.ProtoMajor = 2
	if got := endLine(7, r, finished, 200, 3_000_000, time.Second); got != "H2 REQ#7 GET done: reply 200 - 3000000 bytes in 1000 ms at 24.0 mbps" {
		t.Error(got)
	}
	r.URL.Path, r.URL.RawPath = "/"+strings.Repeat("x", 5000), ""
	if got := startLine(1, "h", r, false); len(got) > maxLoggedPath+200 {
		t.Errorf("a line of %d bytes", len(got))
	}
}

func TestWhichRequestsAreLogged(t *testing.T) {
	for _, c := range []struct {
		log  RequestLog
		want string
	}{
		{RequestLog{}, ""}, {RequestLog{All: true}, "GET PUT"}, {RequestLog{Methods: []string{"PUT", "DELETE"}}, "PUT"}, {RequestLog{Record: true}, ""},
	} {
		var got []string
		for _, m := range []string{"GET", "PUT"} {
			if c.log.wants(m) {
				got = append(got, m)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v, want %s", c.log, got, c.want)
		}
	}
}

func TestCORS(t *testing.T) {
	for _, c := range []struct {
		cors    CORS
		isolate bool
		origin  string
		want    string
	}{
		{CORSAuto, false, "", "Vary: Origin"},
		{CORSAuto, false, "http://a", "Access-Control-Allow-Origin: http://a, Access-Control-Expose-Headers: *, Vary: Origin"},
		{CORSOff, true, "http://a", ""},
		{CORSOn, false, "", "Access-Control-Allow-Origin: *, Access-Control-Expose-Headers: *, Vary: Origin"},
		{CORSOn, true, "http://a", "Access-Control-Allow-Origin: http://a, Access-Control-Expose-Headers: *, " +
			"Cross-Origin-Embedder-Policy: require-corp, Cross-Origin-Opener-Policy: same-origin, Vary: Origin"},
	} {
		h := http.Header{}
		addCORS(h, &Config{CORS: c.cors, Isolate: c.isolate}, c.origin)
		var got []string
		for name := range h {
			got = append(got, name+": "+h.Get(name))
		}
		slices.Sort(got)
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestHeadersThatMayBeSent(t *testing.T) {
	for line, want := range map[[2]string]bool{
		{"X-Name", "a value\twith ä"}: true, {"x", ""}: true, {"", "v"}: false, {"a b", "v"}: false, {"a:", "v"}: false, {"a", "v\r\nb: c"}: false, {"ä", "v"}: false,
	} {
		if got := validHeader(line[0], line[1]); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func TestCrowd(t *testing.T) {
	c, conf := newCrowd(), &Config{MaxConns: 3, MaxPerPeer: 2}
	peer := func(n int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", n)) }
	enter := func(peer netip.Prefix, want pass, beyond string) {
		t.Helper()
		if got, of := c.enter(peer, conf); got != want || of != beyond {
			t.Errorf("%v beyond %q, want %v beyond %q", got, of, want, beyond)
		}
	}
	enter(peer(1), entered, "")
	enter(peer(1), entered, "")
	enter(peer(1), late, "maxp")
	enter(netip.Prefix{}, entered, "")
	enter(peer(2), late, "maxc")
	c.leave(peer(1), entered)
	enter(peer(2), entered, "")
	conf.CloseLimit = true
	enter(peer(3), shut, "maxc")
	conf.CloseLimit = false
	for range maxLate - 2 {
		enter(peer(3), late, "maxc")
	}
	enter(peer(3), shut, "maxc") // there is an end to those who are told that they are too many
	c.leave(peer(3), late)
	enter(peer(3), late, "maxc")
	if now, refused := c.count(); now != 3 || refused != 2+1+maxLate-2+1+1 {
		t.Errorf("%d are in, %d were refused", now, refused)
	}
}

func TestPeers(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for at, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7/32", "[::ffff:192.0.2.7]:1": "192.0.2.7/32", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64", "10.1.2.3:1": "invalid Prefix",
	} {
		if got := peerOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at)), proxies).String(); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
	if peerOf(&net.UnixAddr{}, nil).IsValid() {
		t.Error("a UNIX socket is nobody's")
	}
}

func TestNeighbours(t *testing.T) {
	for name, want := range map[string][2]string{
		"a/seg-7.m4s":      {"a/seg-6.m4s", "a/seg-8.m4s"},
		"a/seg-10.m4s":     {"a/seg-09.m4s a/seg-9.m4s", "a/seg-11.m4s"},
		"seg-00010.m4s":    {"seg-00009.m4s seg-9.m4s", "seg-00011.m4s seg-11.m4s"},
		"seg-99.ts":        {"seg-98.ts", "seg-100.ts"},
		"seg-0.ts":         {"", "seg-1.ts"},
		"seg-4.m4s":        {"seg-3.m4s", "seg-5.m4s"},
		"v1/seg-1.m4s":     {"v1/seg-0.m4s", "v1/seg-2.m4s"},
		"seg-1.m4s.3":      {"seg-0.m4s.3", "seg-2.m4s.3"}, // the third part of each
		"init-stream0.m4s": {}, "live.mpd": {}, "seg.ts": {},
		"seg-99999999999999999999.ts": {},
	} {
		before, after := neighbours(name)
		if got := [2]string{strings.Join(before, " "), strings.Join(after, " ")}; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestHints(t *testing.T) {
	got := hintsOf("live/a/p.m3u8", []string{"part.1.m4s", "../b/p%20q.m4s?x=1", "/live/c.m4s", "http://elsewhere/x", "//h/x", "%zz", "../../../x"})
	var names []string
	for n := range got {
		names = append(names, n)
	}
	slices.Sort(names)
	if want := []string{"../x", "live/a/part.1.m4s", "live/b/p q.m4s", "live/c.m4s"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestStreamTypes(t *testing.T) {
	for want, to := range map[string][]string{
		"audio/mpeg": {"http://h/live.mp3"}, "video/mp2t": {"http://h/live", "http://h/live.ts"},
	} {
		if got := streamType(to); got != want {
			t.Errorf("%v: %s", to, got)
		}
	}
}
