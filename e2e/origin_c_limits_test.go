//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// startFile is startOrigin of a directory with the file a.txt.
func startFile(t *testing.T, args ...string) *originRun {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.txt"), "a file")
	return startOrigin(t, append(args, dir)...)
}

// testConnectionLimits: connections beyond maxc and maxp are told so, or closed; those that end make room.
func testConnectionLimits(t *testing.T) {
	t.Run("maxc", func(t *testing.T) {
		o := startFile(t, "--maxc", "2", "--maxp", "0")
		one, two := wireTo(t, o.addr, ""), wireTo(t, o.addr, "127.0.0.2")
		one.wants(200, "GET /a.txt")
		two.wants(200, "GET /a.txt")
		o.refuses("")
		o.eventually(func(st report.Origin) error { // its own port is not under the limit
			if st.Connections != 2 || st.Refused != 1 {
				return fmt.Errorf("%d connections, %d refused; want 2 and 1", st.Connections, st.Refused)
			}
			return nil
		})
		one.wants(200, "GET /a.txt", "Connection: close")
		one.ends()
		three := o.enters("")
		two.Close()
		o.enters("")
		three.wants(200, "GET /a.txt")
	})
	t.Run("maxp", func(t *testing.T) {
		o := startFile(t, "--maxc", "0", "--maxp", "1")
		one := wireTo(t, o.addr, "127.0.0.1")
		one.wants(200, "GET /a.txt")
		o.refuses("127.0.0.1")
		two := wireTo(t, o.addr, "127.0.0.2")
		two.wants(200, "GET /a.txt")
		o.refuses("127.0.0.2")
		one.wants(200, "GET /a.txt")
		one.Close()
		o.enters("127.0.0.1")
	})
	t.Run("limit_close", func(t *testing.T) {
		o := startFile(t, "--maxc", "1", "--limit_close")
		one := wireTo(t, o.addr, "")
		one.wants(200, "GET /a.txt")
		two := wireTo(t, o.addr, "")
		_, _ = io.WriteString(two, "GET /a.txt HTTP/1.1\r\nHost: origin\r\n\r\n") // it may be closed already
		two.ends()
		one.wants(200, "GET /a.txt")
	})
	t.Run("TLS", func(t *testing.T) {
		ca := newAuthority(t)
		dir := t.TempDir()
		addr := freePort(t)
		o := startOriginAt(t, addr, "--listen", "https://"+addr, "--cert", ca.path("server.pem"), "--pkey", ca.path("server.key"), "--maxc", "1", "--dlist", dir)
		one, _ := secureWire(t, ca, o.addr)
		one.wants(200, "GET /")
		two, _ := secureWire(t, ca, o.addr)
		two.wants(503, "GET /").has(t, "Retry-After", "1")
		two.ends()
	})
}

// refuses wants one more connection to be answered with 503 and closed.
func (o *originRun) refuses(from string) {
	o.t.Helper()
	w := wireTo(o.t, o.addr, from)
	a := w.wants(503, "GET /a.txt")
	a.has(o.t, "Retry-After", "1")
	a.has(o.t, "Keep-Alive", "")
	if !a.Close {
		o.t.Errorf("503 does not say Connection: close: %v", a.Header)
	}
	w.ends()
}

// enters waits until one more connection is let in: the end of another has to be seen first.
func (o *originRun) enters(from string) (w *wire) {
	o.t.Helper()
	testkit.Eventually(o.t, func() error {
		w = wireTo(o.t, o.addr, from)
		if a := w.ask("GET /a.txt"); a.StatusCode != 200 {
			w.Close()
			return fmt.Errorf("no room: %s", a.Status)
		}
		return nil
	})
	return w
}

// testClientErrors: so many in a row close a connection of HTTP/1.1, and none of HTTP/2.
func testClientErrors(t *testing.T) {
	o := startFile(t, "--max_client_errors", "3")
	w := wireTo(t, o.addr, "")
	goesOn := func(status int, request string) {
		t.Helper()
		if a := w.wants(status, request); a.Close || a.Header.Get("Keep-Alive") == "" {
			t.Errorf("%s: %s is the last answer: %v", request, a.Status, a.Header)
		}
	}
	goesOn(404, "GET /no")
	goesOn(405, "DELETE /a.txt")
	goesOn(200, "GET /a.txt") // they do not follow each other
	goesOn(501, "PATCH /a.txt")
	goesOn(404, "HEAD /no")
	a := w.wants(404, "GET /no")
	if !a.Close || a.Header.Get("Keep-Alive") != "" {
		t.Errorf("the third error in a row does not say Connection: close: %v", a.Header)
	}
	w.ends()

	web, connections := http2Client(t), 0
	for range 10 {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(c httptrace.GotConnInfo) {
				if !c.Reused {
					connections++
				}
			},
		}), http.MethodGet, o.url+"/no", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 404 || resp.ProtoMajor != 2 || resp.Header.Get("Connection") != "" {
			t.Errorf("%s %s %v", resp.Proto, resp.Status, resp.Header)
		}
	}
	if connections != 1 {
		t.Errorf("10 errors over HTTP/2 took %d connections", connections)
	}

	w = wireTo(t, startFile(t, "--max_client_errors", "0").addr, "")
	for range 30 {
		goesOn(404, "GET /no")
	}
}

// testIdleClose: a connection that asks nothing is closed, one that is being answered is not, and with 0 none is.
func testIdleClose(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.txt"), "a file")
	never := startFile(t, "--timeout", "0")
	patient := wireTo(t, never.addr, "")
	patient.wants(200, "GET /a.txt").has(t, "Keep-Alive", "")

	o := startOrigin(t, "--timeout", "1", "--rdirs", dir, "--wdir", dir)
	u := o.beginSeen("/live.ts", "one")
	live := wireTo(t, o.addr, "")
	live.says("GET /live.ts")
	resp, err := http.ReadResponse(live.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t, resp}
	f.hears("one")
	w := wireTo(t, o.addr, "")
	w.wants(200, "GET /a.txt").has(t, "Keep-Alive", "timeout=1")
	w.ends() // after a second in which nothing was said here, and on the other two neither
	u.says("two")
	f.hears("two")
	u.ends(201)
	f.hearsEnd(false)
	live.wants(200, "GET /a.txt")
	live.ends()
	patient.wants(200, "GET /a.txt")
}

// testCloseEach: with close each answer is the last.
func testCloseEach(t *testing.T) {
	o, _ := startOriginDir(t, "--close", "--timeout", "0")
	o.put("/a.txt", "a file", 201)
	for _, c := range []struct {
		status  int
		request string
	}{{200, "GET /a.txt"}, {404, "GET /no"}, {200, "OPTIONS /a.txt"}, {204, "OPTIONS *"}, {501, "PATCH /"}, {204, "DELETE /no"}, {411, "PUT /b.txt"}} {
		w := wireTo(t, o.addr, "")
		if a := w.wants(c.status, c.request); !a.Close || a.Header.Get("Keep-Alive") != "" {
			t.Fatalf("%s: %v; want Connection: close", c.request, a.Header)
		}
		w.ends()
	}
	o.web = http2Client(t)
	if a := o.get("/a.txt", 200); a.ProtoMajor != 2 || a.Header.Get("Connection") != "" {
		t.Errorf("%s %v; there is no Connection in HTTP/2", a.Proto, a.Header)
	}
}
