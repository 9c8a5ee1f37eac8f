//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// upstream answers each request with the made-up channel's beginning, and keeps the request
// lines that came.
type upstream struct {
	addr  string
	lines chan string
}

func newUpstream(t *testing.T, stream []byte) *upstream {
	t.Helper()
	u := &upstream{lines: make(chan string, 100)}
	u.addr = listen(t, func(c net.Conn) {
		asked := bufio.NewReader(c)
		first, err := asked.ReadString('\n')
		for text := first; err == nil && text != "\r\n"; {
			text, err = asked.ReadString('\n')
		}
		if err != nil {
			return
		}
		u.lines <- strings.TrimSpace(first)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n%s", stream)
	})
	return u
}

// asked wants the next request to have been for exactly this.
func (u *upstream) asked(t *testing.T, target string) {
	t.Helper()
	if got, want := next(t, u.lines, "request to the upstream"), "GET "+target+" HTTP/1.1"; got != want {
		t.Errorf("the upstream was asked %q, want %q", got, want)
	}
}

// testInnerURL: the URL and the query of a source go to its server as they are, those of the
// target do not, and the bytes go from one to the other.
func testInnerURL(t *testing.T) {
	stream := madeUp(3)
	a := newUpstream(t, stream)
	p := run(t, settings{config: "sources: [127.0.0.0/8]\ntargets: [127.0.0.0/8]\n"})
	for _, inner := range []string{
		"/udp/224.0.2.26:4033?kk=yy",
		"/udp/10.0.0.7@224.0.2.26:4033?kk=yy&token=a%2Fb+c&start=live",
		"/a%2Fb/./c//d;e=1?x=%20&&=~",
	} {
		target, c := tcpTarget(t)
		channel, client := started(t, p, "/src/http://"+a.addr+inner+"/dst/"+target+"?mm=ff")
		a.asked(t, inner)
		c.ends(t)
		c.gets(t, stream)
		path, _, _ := strings.Cut(inner, "?")
		if !strings.HasPrefix(channel, "HTTP://"+a.addr+path) || client != strings.Replace(target, "tcp", "TCP", 1) {
			t.Errorf("announced as %s to %s", channel, client)
		}
		if said := channel + p.proc.Output(); strings.Contains(said, "kk=") || strings.Contains(said, "mm=") {
			t.Errorf("the query of %s is in the tag or in the log", inner)
		}
	}
}

// testNestedPairs: the last /dst ends the source, and one that is percent-encoded ends
// nothing.
func testNestedPairs(t *testing.T) {
	const config = "sources: [127.0.0.0/8, 239.0.0.0/8]\ntargets: [127.0.0.0/8]\n"
	stream := madeUp(3)
	p, a := run(t, settings{config: config}), newUpstream(t, stream)
	for written, inner := range map[string]string{
		"/src/http://" + a.addr + "/src/udp://239.1.1.1:5000/dst//dst/":              "/src/udp://239.1.1.1:5000/dst/",
		"/src/http://" + a.addr + "/src/udp://239.1.1.1:5000/dst/tcp://h:1/dst":      "/src/udp://239.1.1.1:5000/dst/tcp://h:1",
		"/src/http://" + a.addr + "/%64st/x%20y/dst/":                                "/dst/x%20y",
		"/src/http://" + a.addr + "/%2564st/x/dst/?a=b":                              "/%64st/x",
		"/src/" + url.PathEscape("http://"+a.addr+"/x/dst/y?q=/dst/z") + "/dst/?c=d": "/x/dst/y?q=/dst/z",
	} {
		got, err := body(p, written)
		if err != nil {
			t.Errorf("%s: %v", written, err)
			continue
		}
		a.asked(t, inner)
		if err := same(got, stream); err != nil {
			t.Errorf("%s: %v", written, err)
		}
	}

	t.Run("a target with /dst", func(t *testing.T) {
		c, asked := &catch{}, make(chan string, 1)
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- r.Method + " " + r.RequestURI
			_ = c.take(r.Body)
		}))
		defer s.Close()
		started(t, p, pair("http://"+a.addr+"/", url.PathEscape(s.URL+"/dst/x?k=1")+"?method=POST"))
		c.ends(t)
		c.gets(t, stream)
		if got := next(t, asked, "request to the target"); got != "POST /dst/x?k=1" {
			t.Errorf("the target was asked %q", got)
		}
	})
	t.Run("through two relays", func(t *testing.T) {
		q := run(t, settings{config: config})
		f := newFeed(t, p)
		f.first(f.path())
		got, err := body(q, "/src/"+p.url("/src/udp://"+f.group+"/dst/")+"/dst/")
		if err != nil {
			t.Fatal(err)
		}
		f.more(4)
		if err := same(got, f.sent); err != nil {
			t.Error(err)
		}
	})
}

// testDaisyChain: VLC relays a group over HTTP, one sluice that, and another the first.
func testDaisyChain(t *testing.T) {
	testkit.Need(t, "cvlc", "ffmpeg")
	const config = "sources: [127.0.0.0/8]\n"
	inner, outer := run(t, settings{config: config}), run(t, settings{config: config})
	group, player := newGroup(), freePort(t)
	send(t, h264, "udp", group)
	path := "/udp/" + strings.ReplaceAll(group, ":", "-") // as udpxy takes it, too; VLC takes what is behind a colon for its port
	vlc(t, "udp://@"+group, "--sout", "#standard{access=http,mux=ts,dst="+player+path+"}")
	testkit.Eventually(t, func() error {
		c, err := net.Dial("tcp", player)
		if err == nil {
			c.Close()
		}
		return err
	})
	first := inner.url("/src/http://" + player + path + "/dst/")
	chain := outer.url("/src/" + first + "/dst/")
	v := watch(t, chain)
	v.untilStart()
	v.more(60_000)
	firstPicture(t, chain)
	v.more(50_000)
	v.unbroken()
	if got := v.codecs(); len(got) != 2 || !slices.Contains(got, "h264") || !slices.Contains(got, "aac") {
		t.Errorf("the chain delivers %v, want h264 and aac", got)
	}
	if n := inner.status().Totals.Clients; n != 1 {
		t.Errorf("the outer relay has %d connections to the inner one for two clients, want 1", n)
	}
	t.Run("its tag is what was asked for", func(t *testing.T) {
		want := "HTTP://" + inner.user + "/src/http://" + player + path + "/dst/"
		if _, _, err := channel(outer.status(), want); err != nil {
			t.Error(err)
		}
	})
}
