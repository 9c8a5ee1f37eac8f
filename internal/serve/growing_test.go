package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// next reads exactly so many bytes of an answer that is still coming.
func next(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("after %d bytes of %d: %v", got, n, err)
	}
	return string(b)
}

// TestGrowing holds lines 23, 24 and 29 of the list: the answer begins before there is a byte, and each piece comes before
// the next is written.
func TestGrowing(t *testing.T) {
	each(t, Options{CacheControl: "max-age=5", CompressMax: 1 << 20}, func(t *testing.T, g *origin, protocol string) {
		u := g.begin("live/a.m4s", "")
		answer := g.ask(protocol, "GET", "live/a.m4s", "Accept-Encoding: gzip")
		for i := range 5 {
			piece := fmt.Sprintf("piece %d;", i)
			g.write(u, piece)
			if got := next(t, answer.Body, len(piece)); got != piece {
				t.Errorf("%q, want %q", got, piece)
			}
		}
		chunked := strings.Join(answer.TransferEncoding, ",") == "chunked"
		if answer.StatusCode != 200 || answer.ContentLength != -1 || chunked != (protocol == "HTTP/1.1") {
			t.Errorf("%d, length %d, %v", answer.StatusCode, answer.ContentLength, answer.TransferEncoding)
		}
		has(t, answer, "Cache-Control: no-cache", "Etag: -", "Last-Modified: -", "Content-Type: video/iso.segment", "Content-Encoding: -", "Content-Length: -")
		late := g.ask(protocol, "GET", "live/a.m4s", "Range: bytes=0-")
		if got := next(t, late.Body, 7); got != "piece 0" || late.StatusCode != 200 {
			t.Errorf("a late one: %d %q", late.StatusCode, got)
		}
		head := g.ask(protocol, "HEAD", "live/a.m4s")
		if body(t, head) != "" || head.StatusCode != 200 || head.ContentLength != -1 {
			t.Errorf("HEAD: %d, length %d", head.StatusCode, head.ContentLength)
		}
		has(t, head, "Cache-Control: no-cache", "Content-Type: video/iso.segment")
		g.end(u)
		if rest := body(t, answer); rest != "" {
			t.Errorf("%q besides", rest)
		}
		if rest := body(t, late); rest != ";piece 1;piece 2;piece 3;piece 4;" {
			t.Errorf("a late one: %q", rest)
		}
		if after := g.ask(protocol, "GET", "live/a.m4s"); after.ContentLength != 40 || after.Header.Get("Etag") == "" {
			t.Errorf("complete: length %d, tag %q", after.ContentLength, after.Header.Get("Etag"))
		}
	})
}

// TestReadersJoin holds line 25: whenever they come, all have the same.
func TestReadersJoin(t *testing.T) {
	each(t, Options{}, func(t *testing.T, g *origin, protocol string) {
		const pieces, readers = 50, 100
		u := g.begin("a.ts", "")
		var all strings.Builder
		var wg sync.WaitGroup
		got := make([]string, readers)
		for i := range pieces {
			piece := strings.Repeat(string(rune('a'+i%26)), 100*i)
			g.write(u, piece)
			all.WriteString(piece)
			for r := i; r < readers; r += pieces {
				answer := g.ask(protocol, "GET", "a.ts")
				wg.Go(func() {
					b, err := io.ReadAll(answer.Body)
					if got[r] = string(b); err != nil {
						t.Errorf("reader %d: %v", r, err)
					}
				})
			}
		}
		g.end(u)
		wg.Wait()
		for r := range got {
			if got[r] != all.String() {
				t.Errorf("reader %d has %d bytes of %d, or others", r, len(got[r]), all.Len())
			}
		}
	})
}

// TestBrokenOff holds line 28 (U9): what was there comes, then the transfer breaks.
func TestBrokenOff(t *testing.T) {
	each(t, Options{}, func(t *testing.T, g *origin, protocol string) {
		u := g.begin("a.m4s", "12345678")
		answer := g.ask(protocol, "GET", "a.m4s")
		if got := next(t, answer.Body, 8); got != "12345678" {
			t.Error(got)
		}
		u.Abort(errors.New("the encoder is gone"))
		if got, err := io.ReadAll(answer.Body); err == nil {
			t.Errorf("ends cleanly after %q", got)
		} else if protocol == "HTTP/2" && !strings.Contains(err.Error(), "INTERNAL_ERROR") {
			t.Errorf("no RST_STREAM: %v", err)
		}
	})
}

// raw sends the bytes of a request and reads the head of the answer.
func (g *origin) raw(request string) (r *bufio.Reader, head string) {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		g.t.Fatal(err)
	}
	r = bufio.NewReader(c)
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			g.t.Fatalf("after %q: %v", head, err)
		}
		head += line
	}
	return r, head
}

// TestOnTheWire: each piece is a chunk; the last chunk comes at the end only, never when the object is broken off.
func TestOnTheWire(t *testing.T) {
	const request = "GET /a.m4s HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, abort := range map[string]bool{"end": false, "abort": true} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			g := start(t, stores["directory"](t), Options{})
			u := g.begin("a.m4s", "")
			r, head := g.raw(request)
			if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || !strings.Contains(head, "Transfer-Encoding: chunked\r\n") || strings.Contains(head, "Content-Length") {
				t.Errorf("%q", head)
			}
			g.write(u, "1234567")
			if got := next(t, r, 12); got != "7\r\n1234567\r\n" {
				t.Errorf("%q", got)
			}
			g.write(u, "89")
			if got := next(t, r, 7); got != "2\r\n89\r\n" {
				t.Errorf("%q", got)
			}
			if !abort {
				g.end(u)
				if got := next(t, r, 5); got != "0\r\n\r\n" {
					t.Errorf("%q", got)
				}
				return
			}
			u.Abort(errors.New("over"))
			if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
				t.Errorf("%q, %v; want the connection closed and nothing else", rest, err)
			}
		})
	}
}

// TestHTTP10: who could not see that a transfer was broken off has a length, or no answer.
func TestHTTP10(t *testing.T) {
	const request = "GET /a.m4s HTTP/1.0\r\n\r\n"
	for name, abort := range map[string]bool{"end": false, "abort": true} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			g := start(t, stores["directory"](t), Options{})
			u := g.begin("a.m4s", "1234")
			go func() {
				<-g.asked
				if abort {
					u.Abort(errors.New("over"))
				} else if _, err := u.End(); err != nil {
					t.Error(err)
				}
			}()
			r, head := g.raw(request)
			rest, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if !abort && (!strings.Contains(head, " 200 ") || !strings.Contains(head, "Content-Length: 4\r\n") || string(rest) != "1234") {
				t.Errorf("%q %q", head, rest)
			}
			if abort && !strings.Contains(head, " 404 ") {
				t.Errorf("%q %q", head, rest)
			}
		})
	}
}

// meanwhile asks for something of a growing object and, when the request has arrived, goes on with the object.
func (g *origin) meanwhile(protocol string, goOn func(), lines ...string) *http.Response {
	g.t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		<-g.asked
		goOn()
	}()
	answer := g.ask(protocol, "GET", "a.txt", lines...)
	<-over
	return answer
}

// beginning is when an answer begins.
type beginning int

const (
	atOnce beginning = iota
	withMore
	atEnd
)

// TestGrowingRanges holds lines 26 and 27 (U22), and RFC 9110, 13 for what has neither tag nor date. The object has 0123
// when it is asked for, and 01234567 in the end.
func TestGrowingRanges(t *testing.T) {
	const permitted = "X-Allow-Open-Partial-Range: "
	for _, test := range []struct {
		name     string
		lines    []string
		begins   beginning
		status   int
		ranges   string
		body     string // not looked at when it is an error
		streamed bool   // it has no length
	}{
		{"closed, there", []string{"Range: bytes=1-3"}, atOnce, 206, "bytes 1-3/*", "123", false},
		{"closed, later", []string{"Range: bytes=2-5"}, withMore, 206, "bytes 2-5/*", "2345", false},
		{"closed, to beyond the end", []string{"Range: bytes=6-99"}, atEnd, 206, "bytes 6-7/8", "67", false},
		{"closed, behind the end", []string{"Range: bytes=8-9"}, atEnd, 416, "bytes */8", "", false},
		{"open", []string{"Range: bytes=2-"}, atEnd, 206, "bytes 2-7/8", "234567", false},
		{"open, behind the end", []string{"Range: bytes=8-"}, atEnd, 416, "bytes */8", "", false},
		{"the last bytes", []string{"Range: bytes=-3"}, atEnd, 206, "bytes 5-7/8", "567", false},
		{"two", []string{"Range: bytes=0-1,9-9"}, atEnd, 206, "bytes 0-1/8", "01", false},
		{"open, permitted", []string{"Range: bytes=2-", permitted + "1"}, atOnce, 206, "bytes 2-/*", "234567", true},
		{"open, permitted, of all", []string{"Range: bytes=0-", permitted + "true"}, atOnce, 206, "bytes 0-/*", "01234567", true},
		{"open, permitted by GPAC", []string{"Range: bytes=2-", "User-Agent: GPAC/26.08"}, atOnce, 206, "bytes 2-/*", "234567", true},
		{"open, permitted, later", []string{"Range: bytes=4-", permitted + "Yes"}, withMore, 206, "bytes 4-/*", "4567", true},
		{"open, permitted, behind the end", []string{"Range: bytes=8-", permitted + "yes"}, atEnd, 416, "bytes */8", "", false},
		{"open, not permitted", []string{"Range: bytes=2-", permitted + "0"}, atEnd, 206, "bytes 2-7/8", "234567", false},
		{"all", []string{"Range: bytes=0-"}, atOnce, 200, "-", "01234567", true},
		{"another unit", []string{"Range: lines=0-3"}, atOnce, 200, "-", "01234567", true},
		{"of another one", []string{"Range: bytes=0-1", `If-Range: "x"`}, atOnce, 200, "-", "01234567", true},
		{"no range", []string{"Range: bytes=3-1"}, atOnce, 416, "-", "", false},
		{"if there is something", []string{"If-Match: *"}, atOnce, 200, "-", "01234567", true},
		{"if there is nothing", []string{"If-None-Match: *"}, atOnce, 304, "-", "", true},
		{"if it is that", []string{`If-Match: "x"`}, atOnce, 412, "-", "", false},
		{"if it is not that", []string{`If-None-Match: "x"`}, atOnce, 200, "-", "01234567", true},
		{"if it is newer", []string{"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"}, atOnce, 200, "-", "01234567", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, Options{OpenRange: true}, func(t *testing.T, g *origin, protocol string) {
				u := g.begin("a.txt", "0123")
				more := func() { g.write(u, "4567") }
				var answer *http.Response
				switch test.begins {
				case atOnce:
					answer = g.ask(protocol, "GET", "a.txt", test.lines...)
					more()
					g.end(u)
				case withMore:
					answer = g.meanwhile(protocol, more, test.lines...)
					g.end(u)
				case atEnd:
					answer = g.meanwhile(protocol, func() { more(); g.end(u) }, test.lines...)
				}
				got := body(t, answer)
				if answer.StatusCode != test.status || got != test.body && test.status < 400 || (answer.ContentLength < 0) != test.streamed && test.status != 304 {
					t.Errorf("%d %q, length %d", answer.StatusCode, got, answer.ContentLength)
				}
				has(t, answer, "Content-Range: "+test.ranges)
			})
		})
	}
}

// TestOpenRangeNeedsTheOption: without it nobody gets what RFC 9110 does not know.
func TestOpenRangeNeedsTheOption(t *testing.T) {
	each(t, Options{}, func(t *testing.T, g *origin, protocol string) {
		u := g.begin("a.txt", "0123")
		answer := g.meanwhile(protocol, func() { g.end(u) }, "Range: bytes=2-", "User-Agent: GPAC/26.08", "X-Allow-Open-Partial-Range: 1")
		has(t, answer, "Content-Range: bytes 2-3/4", "Content-Length: 2")
	})
}

// TestWhole holds line 30.
func TestWhole(t *testing.T) {
	each(t, Options{Whole: true, CacheControl: "max-age=5", CompressMax: 1 << 20}, func(t *testing.T, g *origin, protocol string) {
		u := g.begin("a.txt", "0123")
		answer := g.meanwhile(protocol, func() { g.write(u, "4567"); g.end(u) }, "Accept-Encoding: gzip")
		if got := body(t, answer); answer.StatusCode != 200 || got != "01234567" {
			t.Errorf("%d %q", answer.StatusCode, got)
		}
		has(t, answer, "Content-Length: 8", "Etag: -", "Cache-Control: max-age=5", "Content-Encoding: -", "Vary: Accept-Encoding")
		part := g.begin("a.txt", "0123")
		if got := g.meanwhile(protocol, func() { g.end(part) }, "Range: bytes=1-2"); got.StatusCode != 206 || got.Header.Get("Content-Range") != "bytes 1-2/4" {
			t.Errorf("a range: %d %v", got.StatusCode, got.Header)
		}
	})
}

// TestBrokenOffBefore: who waits for an object that is broken off is told that there is none.
func TestBrokenOffBefore(t *testing.T) {
	for name, lines := range map[string][]string{"whole": nil, "a range": {"Range: bytes=9-"}} {
		t.Run(name, func(t *testing.T) {
			each(t, Options{Whole: lines == nil}, func(t *testing.T, g *origin, protocol string) {
				u := g.begin("a.txt", "0123")
				answer := g.meanwhile(protocol, func() { u.Abort(errors.New("over")) }, lines...)
				if got := body(t, answer); answer.StatusCode != 404 || got != "404 Not Found: the object was broken off by its writer\n" {
					t.Errorf("%d %q", answer.StatusCode, got)
				}
			})
		})
	}
}

// TestClientLeaves: a request that waits ends with its client, and says so.
func TestClientLeaves(t *testing.T) {
	each(t, Options{Whole: true}, func(t *testing.T, g *origin, protocol string) {
		u := g.begin("a.txt", "0123")
		defer u.Abort(nil)
		ctx, leave := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.addr+"/a.txt", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-g.asked
			leave()
		}()
		if answer, err := g.clients[protocol].Do(r); err == nil {
			answer.Body.Close()
			t.Errorf("answered: %s", answer.Status)
		}
		if err := <-g.ended; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "a.txt") {
			t.Errorf("%v", err)
		}
	})
}

// TestReaderLeaves: nothing follows an object for a client that is gone.
func TestReaderLeaves(t *testing.T) {
	each(t, Options{}, func(t *testing.T, g *origin, protocol string) {
		u := g.begin("a.txt", "0123")
		defer u.Abort(nil)
		answer := g.ask(protocol, "GET", "a.txt")
		next(t, answer.Body, 4)
		answer.Body.Close()
		if err := <-g.ended; !errors.Is(err, errPanicked) {
			t.Errorf("ends with %v, which lets the server finish the answer", err)
		}
	})
}

// TestLetsGo: when an answer is over, however it ended, nothing holds the object any more.
func TestLetsGo(t *testing.T) {
	for name, lines := range map[string][]string{
		"all": nil, "a part": {"Range: bytes=0-1"}, "two parts": {"Range: bytes=0-1,3-3"}, "to the end": {"Range: bytes=1-"}, "nothing": {"If-Match: \"x\""},
		"no range": {"Range: bytes=3-1"}, "compressed": {"Accept-Encoding: gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			g := start(t, stores["memory"](t), Options{CompressMax: 1 << 20})
			u := g.begin("a.txt", "0123")
			g.meanwhile("HTTP/1.1", func() { g.end(u) }, lines...)
			g.gone("growing")
			g.put("a.txt", "0123")
			g.ask("HTTP/1.1", "GET", "a.txt", lines...)
			g.gone("complete")
		})
	}
	t.Run("broken off", func(t *testing.T) {
		g := start(t, stores["memory"](t), Options{})
		u := g.begin("a.txt", "0123")
		answer := g.ask("HTTP/1.1", "GET", "a.txt")
		next(t, answer.Body, 4)
		u.Abort(nil)
		<-g.ended
		if _, bytes := g.store.Usage(); bytes != 0 {
			t.Errorf("%d bytes are held", bytes)
		}
	})
}

// gone waits until the one answer is over, removes its object, and looks whether somebody has it still.
func (g *origin) gone(when string) {
	g.t.Helper()
	if err := <-g.ended; err != nil {
		g.t.Errorf("%s: %v", when, err)
	}
	if err := g.store.Remove("a.txt"); err != nil {
		g.t.Fatal(err)
	}
	if _, bytes := g.store.Usage(); bytes != 0 {
		g.t.Errorf("%s: %d bytes are held", when, bytes)
	}
}
