//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// redirected wants a request to be sent elsewhere.
func redirected(t *testing.T, method, url, location string) {
	t.Helper()
	a := request(t, method, url)
	if got := a.header.Get("Location"); a.code != http.StatusFound || got != location {
		t.Errorf("%s %s: %d, Location %q, want 302 and %q (%q)", method, url, a.code, got, location, a.body)
	}
	if method == http.MethodHead && a.body != "" {
		t.Errorf("HEAD %s has the body %q", url, a.body)
	}
}

// failed wants an error, which sends nobody elsewhere and is said in one line.
func failed(t *testing.T, method, url string, code int, says string) {
	t.Helper()
	a := request(t, method, url)
	if a.code != code || a.header.Get("Location") != "" || !strings.Contains(a.body, says) {
		t.Errorf("%s %s: %d, Location %q, %q, want %d and %q", method, url, a.code, a.header.Get("Location"), a.body, code, says)
	}
	if lines := strings.Count(a.body, "\n"); method != http.MethodHead && lines != 1 {
		t.Errorf("%s %s: %q, want one line", method, url, a.body)
	}
	if retry := a.header.Get("Retry-After"); code == http.StatusServiceUnavailable && retry == "" {
		t.Errorf("%s %s: 503 without Retry-After", method, url)
	}
}

// testRedirect: who asks for a channel that is unavailable is sent to another site, and gets
// it there; once it is back, it is served here again.
func testRedirect(t *testing.T) {
	testkit.Need(t, "curl")
	site := run(t, settings{})
	there, here, closed, other := newGroup(), newGroup(), freePort(t), freePort(t)
	send(t, h264, "udp", there)
	p := run(t, settings{config: fmt.Sprintf(
		"no_data: 300ms\nunavailable: 300ms\nsources: [127.0.0.0/8, 239.0.0.0/8]\nredirect: '%s'\n"+
			"channels: {away: {source: 'tcp://%s', redirect: '%s'}}\n", site.url("/"), closed, site.url("/udp/"+there))})
	path := "/udp/" + here + "?token=a%2Fb&x"
	for range 2 { // it fails, and then it has failed lately
		redirected(t, "GET", p.url(path), site.url(path))
	}
	redirected(t, "GET", p.url("/src/tcp://"+other+"/dst/"), site.url("/src/tcp://"+other+"/dst/"))
	failed(t, "GET", p.url("/udp/10.0.0.9:5000"), 403, "not served here")
	failed(t, "GET", p.url("/udp/nonsense"), 400, "nonsense")
	failed(t, "GET", p.url("/$nobody"), 404, "")
	readByPipe(t, h264, p.url("/$away"), "curl -sSL")
	readByPipe(t, h264, p.url("/$away"), "wget -q -O -")

	send(t, h264, "udp", here)
	testkit.Eventually(t, func() error {
		k, err := knock(p, path, anyAddress)
		if err != nil {
			return err
		}
		k.read(t)
		return nil
	})
	if c, _, err := channel(p.status(), here); err != nil || len(c.Clients) != 1 {
		t.Errorf("the channel that is back: %d clients here, %v", len(c.Clients), err)
	}
}

// testRedirectToItself: nobody is sent to what he has asked for.
func testRedirectToItself(t *testing.T) {
	user, group := freePort(t), newGroup()
	_, port, err := net.SplitHostPort(user)
	if err != nil {
		t.Fatal(err)
	}
	p := run(t, settings{user: user, config: fmt.Sprintf(
		"no_data: 100ms\nunavailable: 1h\nredirect: 'http://%s/'\nchannels: {loop: {source: 'udp://%s', redirect: 'http://%s/$loop'}}\n", user, newGroup(), user)})
	for range 2 {
		failed(t, "GET", p.url("/udp/"+group), 504, "no data")
		failed(t, "GET", p.url("/$loop"), 504, "no data")
	}
	failed(t, "HEAD", p.url("/$loop"), 503, "")
	// Any other URL is for the client to follow or not.
	redirected(t, "GET", "http://localhost:"+port+"/$loop", p.url("/$loop"))
	redirected(t, "GET", p.url("/$loop?x=1"), p.url("/$loop"))
	redirected(t, "GET", p.url("/src/$loop/dst/"), p.url("/$loop"))
	redirected(t, "HEAD", "http://localhost:"+port+"/udp/"+group, p.url("/udp/"+group))
}

// testRedirectOfNames: channels with a name are redirected, too, and so is a HEAD, for which
// no engine is asked.
func testRedirectOfNames(t *testing.T) {
	group, pinned := newGroup(), newGroup()
	p := run(t, settings{config: fmt.Sprintf(
		"no_data: 300ms\nunavailable: 1h\nchannels: {news: {source: 'udp://%s', redirect: 'http://backup.example/live.ts'},"+
			" own: {source: 'udp://%s', pinned: true, redirect: 'http://backup.example/tv/'}}\n", group, pinned)})
	const elsewhere = "http://backup.example/live.ts"
	if a := request(t, "HEAD", p.url("/$news")); a.code != 200 {
		t.Errorf("HEAD of a channel that nobody has asked for yet: %d, want 200", a.code)
	}
	redirected(t, "GET", p.url("/$news"), elsewhere)
	for _, path := range []string{"/$news", "/%24news", "/src/$news/dst/", "/udp/" + group, "/$news?token=1"} {
		redirected(t, "HEAD", p.url(path), elsewhere)
		redirected(t, "GET", p.url(path), elsewhere)
	}
	testkit.Eventually(t, func() error { // of a pinned channel it is known without a client
		if a := request(t, "HEAD", p.url("/$own")); a.code != 302 {
			return fmt.Errorf("HEAD of a pinned channel without data: %d", a.code)
		}
		return nil
	})
	redirected(t, "HEAD", p.url("/$own?x=%20"), "http://backup.example/tv/$own?x=%20")
	if n := members(t, group); n != 0 {
		t.Errorf("%d sockets have joined the group for HEAD", n)
	}
}

// testUnavailable: with nowhere to be sent to, who asks gets 503 or 504, and why.
func testUnavailable(t *testing.T) {
	dir := t.TempDir()
	config := "unavailable: 1h\ngrowth: 100ms\nsources: [127.0.0.0/8, 239.0.0.0/8]\nfiles: {read: ['" + dir + "']}\n"
	hasty, patient := run(t, settings{config: config + "no_data: 500ms\n"}), run(t, settings{config: config + "no_data: 1h\n"})
	answering := func(text string) string {
		return listen(t, func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c)) // all of it: else the end is a reset
			_, _ = io.WriteString(c, text)
		})
	}
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for _, c := range []struct {
		name, source string
		code         int
		says         string
	}{
		{"a group without data", "udp://" + newGroup(), 504, "no data"},
		{"nobody listens", "tcp://" + freePort(t), 503, "connection refused"},
		{"no server there", "http://" + freePort(t) + "/a.ts?secret=1", 503, "connection refused"},
		{"the upstream has no such stream", "http://" + answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") + "/a.ts?secret=1", 503, "the upstream answered 404"},
		{"the upstream forbids it", "http://" + answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") + "/a.ts", 503, "the upstream answered 403"},
		{"the upstream closes at once", "http://" + answering("") + "/a.ts", 503, "the upstream closed the connection without an answer"},
		{"the upstream closes in the header", "http://" + answering("HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n") + "/a.ts", 503, "the upstream closed the connection without an answer"},
		{"the upstream speaks no HTTP", "http://" + answering("220 mail.example ESMTP\r\n") + "/a.ts", 503, "the upstream answered something that is not HTTP"},
		{"the upstream stalls in the header", "http://" + silent + "/a.ts", 504, ""},
		{"a peer that sends nothing", "tcp://" + silent, 504, "no data"},
		{"a peer that ends at once", "tcp://" + listen(t, func(net.Conn) {}), 503, "the source ended before it delivered anything"},
		{"no such file", fileURL(filepath.Join(dir, "no.ts")), 404, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := patient // what fails at once does
			if c.code == 504 {
				p = hasty
			}
			failed(t, "GET", p.url(pair(c.source, "")), c.code, c.says)
			if a := request(t, "GET", p.url(pair(c.source, ""))); strings.Contains(a.body+p.proc.Output(), "secret") {
				t.Errorf("the query is in the answer %q or in the log", a.body)
			}
			if c.code != 404 {
				failed(t, "HEAD", p.url(pair(c.source, "")), 503, "")
			}
		})
	}
	t.Run("a source that breaks", testSourceBreaks)
}

// testSourceBreaks: a source that is reset is opened again, and who watches stays; when it
// does not come back, the stream ends in order.
func testSourceBreaks(t *testing.T) {
	stream := madeUp(4)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(2 * testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	p := run(t, settings{config: "no_data: 3s\nsources: [127.0.0.0/8]\n"})
	answer := ask(t, p.url("/src/tcp://"+l.Addr().String()+"/dst/"))
	var v *viewer
	for turn := range 2 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		part := stream[2*turn*groupBytes : 2*(turn+1)*groupBytes]
		if _, err := c.Write(part); err != nil {
			t.Fatal(err)
		}
		if v == nil {
			v = answer.answered()
		}
		v.until(int64((2 + turn) * groupBytes)) // what comes anew begins at its newest key frame
		if turn == 1 {
			l.Close()
		}
		if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil { // a reset
			t.Fatal(err)
		}
	}
	if err := v.end(); err != io.EOF { //nolint:errorlint // a body ends with io.EOF itself
		t.Errorf("the stream ended with %v, want an orderly end", err)
	}
	v.unbroken()
	p.proc.WaitLine(`connection reset by peer`)
}
