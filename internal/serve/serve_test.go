package serve

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/store"
	"sluice/internal/testkit"
)

// origin is a real server of a real store, and clients of it by HTTP/1.1 and HTTP/2.
type origin struct {
	t       *testing.T
	store   store.Store
	addr    string
	clients map[string]*http.Client
	asked   chan struct{} // a request has reached Item
	ended   chan error    // what Item has returned, or errPanicked
	wrap    func(http.ResponseWriter) http.ResponseWriter
	opened  func(*store.Item) // before Item
}

// start serves the objects of s until the test is over.
func start(t *testing.T, s store.Store, o Options) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &origin{
		t: t, store: s, addr: l.Addr().String(), clients: map[string]*http.Client{},
		asked: make(chan struct{}, 1000), ended: make(chan error, 1000),
	}
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: g.handler(o), Protocols: &both, ReadHeaderTimeout: testkit.Patience}
	over := make(chan error, 1)
	go func() { over <- server.Serve(l) }()
	for _, name := range []string{"HTTP/1.1", "HTTP/2"} {
		var one http.Protocols
		one.SetHTTP1(name == "HTTP/1.1")
		one.SetUnencryptedHTTP2(name == "HTTP/2")
		g.clients[name] = &http.Client{Transport: &http.Transport{Protocols: &one, DisableCompression: true}}
	}
	t.Cleanup(func() {
		for _, c := range g.clients {
			c.CloseIdleConnections()
		}
		server.Close()
		if err := <-over; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return g
}

func (g *origin) handler(o Options) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		it, err := g.store.Open(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		if g.opened != nil {
			g.opened(it)
		}
		if g.wrap != nil {
			w = g.wrap(w)
		}
		g.asked <- struct{}{}
		err = errPanicked
		defer func() { g.ended <- err }()
		err = Item(w, r, it, o)
	}
}

// errPanicked stands for an answer that was broken off.
var errPanicked = errors.New("Item has not returned")

// each runs a test with either store and either protocol.
func each(t *testing.T, o Options, f func(t *testing.T, g *origin, protocol string)) {
	t.Helper()
	for kind, open := range stores {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(kind+" "+protocol, func(t *testing.T) {
				testkit.NoLeaks(t)
				f(t, start(t, open(t), o), protocol)
			})
		}
	}
}

var stores = map[string]func(*testing.T) store.Store{
	"directory": func(t *testing.T) store.Store {
		s, err := store.NewDir(store.DirConfig{Path: t.TempDir(), Writable: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	},
	"memory": func(t *testing.T) store.Store {
		s := store.NewMemory(store.MemoryConfig{})
		t.Cleanup(func() { s.Close() })
		return s
	},
}

// begin begins an upload with some bytes.
func (g *origin) begin(name, text string) store.Upload {
	g.t.Helper()
	u, err := g.store.Create(name, store.Create{Size: -1})
	if err != nil {
		g.t.Fatal(err)
	}
	g.write(u, text)
	return u
}

func (g *origin) write(u store.Upload, text string) {
	g.t.Helper()
	if _, err := io.WriteString(u, text); err != nil {
		g.t.Fatal(err)
	}
}

func (g *origin) end(u store.Upload) {
	g.t.Helper()
	if _, err := u.End(); err != nil {
		g.t.Fatal(err)
	}
}

// put makes a complete object.
func (g *origin) put(name, text string) {
	g.t.Helper()
	g.end(g.begin(name, text))
}

// ask sends a request; lines are of its head.
func (g *origin) ask(protocol, method, name string, lines ...string) *http.Response {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.addr+"/"+name, http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header = headers(g.t, lines...).Header
	answer, err := g.clients[protocol].Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { answer.Body.Close() })
	if want := map[string]int{"HTTP/1.1": 1, "HTTP/2": 2}[protocol]; answer.ProtoMajor != want {
		g.t.Fatalf("answered by %s", answer.Proto)
	}
	return answer
}

// body reads an answer to its end.
func body(t *testing.T, answer *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Errorf("after %d bytes: %v", len(b), err)
	}
	return string(b)
}

// has says which headers an answer has; "-" = not there.
func has(t *testing.T, answer *http.Response, lines ...string) {
	t.Helper()
	for _, line := range lines {
		name, want, _ := strings.Cut(line, ": ")
		if got := strings.Join(answer.Header.Values(name), ", "); got != want && (want != "-" || got != "") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestComplete holds lines 1 to 9, 11 and 17 of the list.
func TestComplete(t *testing.T) {
	each(t, Options{CacheControl: "max-age=5"}, func(t *testing.T, g *origin, protocol string) {
		text := strings.Repeat("0123456789", 10_000)
		g.put("live/a.m4s", text)
		get := g.ask(protocol, "GET", "live/a.m4s")
		if got := body(t, get); got != text || get.StatusCode != 200 || get.ContentLength != int64(len(text)) {
			t.Errorf("%d, %d bytes of %d", get.StatusCode, len(got), get.ContentLength)
		}
		has(t, get, "Content-Type: video/iso.segment", "Accept-Ranges: bytes", "Cache-Control: max-age=5", "Vary: -")
		tag, modified := get.Header.Get("Etag"), get.Header.Get("Last-Modified")
		if _, err := http.ParseTime(modified); err != nil || len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
			t.Errorf("tag %s, modified %s", tag, modified)
		}

		head := g.ask(protocol, "HEAD", "live/a.m4s", "Range: bytes=0-3")
		get.Header.Del("Date")
		head.Header.Del("Date")
		if diff := cmp.Diff(get.Header, head.Header); diff != "" || head.StatusCode != 200 || body(t, head) != "" {
			t.Errorf("HEAD: %d\n%s", head.StatusCode, diff)
		}

		for _, test := range []struct {
			lines  string
			status int
			ranges string // Content-Range
			body   string
		}{
			{"If-None-Match: " + tag, 304, "-", ""},
			{"If-None-Match: *", 304, "-", ""},
			{"If-None-Match: \"x\", W/" + tag, 304, "-", ""},
			{"If-None-Match: \"x\"", 200, "-", text},
			{"If-Modified-Since: " + modified, 304, "-", ""},
			{"If-Match: \"x\"", 412, "-", "412 Precondition Failed: the object is not what the condition of the request says\n"},
			{"Range: bytes=0-3", 206, "bytes 0-3/100000", "0123"},
			{"Range: bytes=-4", 206, "bytes 99996-99999/100000", "6789"},
			{"Range: bytes=99990-", 206, "bytes 99990-99999/100000", "0123456789"},
			{"Range: bytes=0-99999", 206, "bytes 0-99999/100000", text},
			{"Range: bytes=0-99999999", 206, "bytes 0-99999/100000", text},
			{"Range: bytes=0-3\nIf-Range: " + tag, 206, "bytes 0-3/100000", "0123"},
			{"Range: bytes=0-3\nIf-Range: " + modified, 206, "bytes 0-3/100000", "0123"},
			{"Range: bytes=0-3\nIf-Range: \"x\"", 200, "-", text},
			{"Range: bytes=0-3\nIf-None-Match: " + tag, 304, "-", ""},
			{"Range: bytes=100000-\nIf-Range: \"x\"", 200, "-", text},
			{"Range: bytes=100000-", 416, "bytes */100000", "416 Requested Range Not Satisfiable: the object has 100000 bytes\n"},
			{"Range: bytes=3-1", 416, "bytes */100000", "416 Requested Range Not Satisfiable: \"3-1\" is no range: want first-last, first- or -length\n"},
			{"Range: lines=3-1", 200, "-", text},
		} {
			answer := g.ask(protocol, "GET", "live/a.m4s", strings.Split(test.lines, "\n")...)
			if got := body(t, answer); answer.StatusCode != test.status || got != test.body {
				t.Errorf("%s: %d %.80q", test.lines, answer.StatusCode, got)
			}
			has(t, answer, "Content-Range: "+test.ranges)
			switch test.status {
			case 304:
				has(t, answer, "Etag: "+tag, "Cache-Control: max-age=5", "Content-Type: -", "Content-Length: -")
			case 412, 416:
				has(t, answer, "Etag: -", "Last-Modified: -", "Cache-Control: no-store", fmt.Sprintf("Content-Length: %d", len(test.body)))
			default:
				has(t, answer, "Etag: "+tag, "Last-Modified: "+modified, fmt.Sprintf("Content-Length: %d", len(test.body)))
			}
		}
	})
}

// TestSeveralRanges holds line 10 (U2), multipart; TestConcat the compatible form of it.
func TestSeveralRanges(t *testing.T) {
	each(t, Options{}, func(t *testing.T, g *origin, protocol string) {
		g.put("a.txt", "0123456789abcdef")
		for _, header := range []string{"bytes=0-3,10-13", "bytes=0-3, bytes=10-13"} {
			answer := g.ask(protocol, "GET", "a.txt", "Range: "+header)
			if got := parts(t, answer.Header.Get("Content-Type"), answer.Body); answer.StatusCode != 206 || got != "bytes 0-3/16=0123;bytes 10-13/16=abcd;" {
				t.Errorf("%s: %d %s", header, answer.StatusCode, got)
			}
			if answer.ContentLength < 0 {
				t.Error("its length is not said")
			}
		}
		if got := body(t, g.ask(protocol, "GET", "a.txt", "Range: bytes=0-9,0-9")); got != "0123456789abcdef" {
			t.Errorf("ranges that overlap: %q", got)
		}
	})
}

func TestConcat(t *testing.T) {
	each(t, Options{Concat: true}, func(t *testing.T, g *origin, protocol string) {
		g.put("a.txt", "0123456789abcdef")
		for _, header := range []string{"bytes=0-3,10-13", "bytes=0-3, bytes=10-13"} {
			answer := g.ask(protocol, "GET", "a.txt", "Range: "+header)
			if got := body(t, answer); answer.StatusCode != 206 || got != "0123abcd" {
				t.Errorf("%s: %d %q", header, answer.StatusCode, got)
			}
			has(t, answer, "Content-Range: bytes 0-3/16, 10-13/16", "Content-Length: 8", "Content-Type: text/plain; charset=utf-8")
		}
	})
}

// TestOptions holds lines 12 and 20, and what Type and an empty object are.
func TestOptions(t *testing.T) {
	each(t, Options{NoRange: true, NoTag: true, CacheControl: "max-age=5", Type: "a/b"}, func(t *testing.T, g *origin, protocol string) {
		g.put("a.m4s", "0123456789")
		answer := g.ask(protocol, "GET", "a.m4s", "Range: bytes=0-3")
		if got := body(t, answer); answer.StatusCode != 200 || got != "0123456789" {
			t.Errorf("%d %q", answer.StatusCode, got)
		}
		has(t, answer, "Accept-Ranges: -", "Etag: -", "Cache-Control: -", "Content-Type: a/b")
		g.put("empty", "")
		if empty := g.ask(protocol, "GET", "empty"); empty.ContentLength != 0 || empty.StatusCode != 200 {
			t.Errorf("of nothing: %d, %d", empty.StatusCode, empty.ContentLength)
		}
	})
	each(t, Options{}, func(t *testing.T, g *origin, protocol string) {
		g.put("empty", "")
		empty := g.ask(protocol, "GET", "empty", "Range: bytes=0-")
		has(t, empty, "Content-Range: bytes */0")
		if empty.StatusCode != 416 {
			t.Errorf("a range of nothing: %d", empty.StatusCode)
		}
		g.put("picture", "\x89PNG\r\n\x1a\nxxx")
		picture := g.ask(protocol, "GET", "picture")
		has(t, picture, "Content-Type: image/png")
		if got := body(t, picture); len(got) != 11 {
			t.Errorf("%d bytes of it", len(got))
		}
	})
}

// TestHeadersStay: what the caller has said is not said otherwise.
func TestHeadersStay(t *testing.T) {
	g := start(t, stores["memory"](t), Options{CacheControl: "max-age=5", CompressMax: 1 << 20})
	g.wrap = func(w http.ResponseWriter) http.ResponseWriter {
		w.Header().Set("Cache-Control", "private")
		w.Header().Set("Content-Type", "text/own")
		w.Header().Set("Etag", `"own"`)
		w.Header().Set("Vary", "Origin")
		return w
	}
	g.put("a.txt", strings.Repeat("x", 1000))
	has(t, g.ask("HTTP/1.1", "GET", "a.txt"), "Cache-Control: private", "Content-Type: text/own", `Etag: "own"`, "Vary: Origin, Accept-Encoding")
	if again := g.ask("HTTP/1.1", "GET", "a.txt", `If-None-Match: "own"`); again.StatusCode != 304 {
		t.Error(again.Status)
	}
}

// TestCompressed holds lines 18, 19 and 75 (U17).
func TestCompressed(t *testing.T) {
	each(t, Options{CompressMin: 100, CompressMax: 50_000}, func(t *testing.T, g *origin, protocol string) {
		text := strings.Repeat("<Period/>", 5000)
		g.put("a.mpd", text)
		g.put("long.mpd", text+text)
		g.put("short.mpd", "<MPD/>")
		g.put("a.m4s", text)
		plain := g.ask(protocol, "GET", "a.mpd")
		if got := body(t, plain); got != text {
			t.Errorf("%d bytes", len(got))
		}
		has(t, plain, "Content-Encoding: -", "Vary: Accept-Encoding")
		seen := []string{plain.Header.Get("Etag")}
		for accept, want := range map[string]string{"gzip, deflate": "gzip", "deflate": "deflate"} {
			coded := g.ask(protocol, "GET", "a.mpd", "Accept-Encoding: "+accept)
			raw := body(t, coded)
			if got := decoded(t, want, raw); got != text || coded.ContentLength != int64(len(raw)) || len(raw) > len(text)/10 {
				t.Errorf("%s: %d bytes of %d, announced %d", want, len(got), len(raw), coded.ContentLength)
			}
			has(t, coded, "Content-Encoding: "+want, "Vary: Accept-Encoding", "Content-Type: application/dash+xml")
			tag := coded.Header.Get("Etag")
			seen = append(seen, tag)
			head := g.ask(protocol, "HEAD", "a.mpd", "Accept-Encoding: "+accept)
			has(t, head, "Content-Encoding: "+want, "Etag: "+tag, fmt.Sprintf("Content-Length: %d", len(raw)))
			again := g.ask(protocol, "GET", "a.mpd", "Accept-Encoding: "+accept, "If-None-Match: "+tag)
			has(t, again, "Etag: "+tag, "Vary: Accept-Encoding", "Content-Encoding: -")
			if other := g.ask(protocol, "GET", "a.mpd", "Accept-Encoding: "+accept, "If-None-Match: "+seen[0]); again.StatusCode != 304 || other.StatusCode != 200 {
				t.Errorf("%s: its tag %d, another %d", want, again.StatusCode, other.StatusCode)
			}
		}
		if len(seen) != 3 || seen[0] == seen[1] || seen[1] == seen[2] || seen[0] == seen[2] {
			t.Errorf("tags %v", seen)
		}
		for name, vary := range map[string]string{"long.mpd": "Accept-Encoding", "short.mpd": "Accept-Encoding", "a.m4s": "-"} {
			has(t, g.ask(protocol, "GET", name, "Accept-Encoding: gzip"), "Content-Encoding: -", "Vary: "+vary)
		}
		part := g.ask(protocol, "GET", "a.mpd", "Accept-Encoding: gzip", "Range: bytes=0-8")
		has(t, part, "Content-Encoding: -", "Vary: Accept-Encoding", "Etag: "+seen[0])
		if got := body(t, part); got != "<Period/>" {
			t.Errorf("a range: %q", got)
		}
	})
	each(t, Options{}, func(t *testing.T, g *origin, protocol string) {
		g.put("a.mpd", strings.Repeat("<Period/>", 5000))
		has(t, g.ask(protocol, "GET", "a.mpd", "Accept-Encoding: gzip"), "Content-Encoding: -", "Vary: -")
	})
}

func decoded(t *testing.T, coding, raw string) string {
	t.Helper()
	var r io.Reader
	var err error
	if coding == "gzip" {
		r, err = gzip.NewReader(strings.NewReader(raw))
	} else {
		r, err = zlib.NewReader(strings.NewReader(raw))
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// file counts the bytes that the server took from a file by itself (sendfile).
type file struct {
	http.ResponseWriter
	bytes *atomic.Int64
}

func (f file) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func (f file) ReadFrom(r io.Reader) (int64, error) {
	l, ok := r.(*io.LimitedReader)
	if !ok {
		return 0, fmt.Errorf("not what net hands to sendfile: %T", r)
	}
	if _, ok := l.R.(*os.File); !ok {
		return 0, fmt.Errorf("no file: %T", l.R)
	}
	n, err := f.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
	f.bytes.Add(n)
	return n, err
}

// TestSendfile: files reach the server as files, whole and in ranges.
func TestSendfile(t *testing.T) {
	testkit.NoLeaks(t)
	g := start(t, stores["directory"](t), Options{})
	var sent atomic.Int64
	g.wrap = func(w http.ResponseWriter) http.ResponseWriter { return file{w, &sent} }
	text := strings.Repeat("0123456789abcdef", 1<<16)
	g.put("a.m4s", text)
	for _, test := range []struct {
		lines []string
		want  int64
	}{
		{nil, 1 << 20},
		{[]string{"Range: bytes=16-524303"}, 1 << 19},
		{[]string{"Range: bytes=0-15,32-63"}, 48},
	} {
		sent.Store(0)
		body(t, g.ask("HTTP/1.1", "GET", "a.m4s", test.lines...))
		if err := <-g.ended; err != nil || sent.Load() != test.want {
			t.Errorf("%v: %d of %d bytes, %v", test.lines, sent.Load(), test.want, err)
		}
	}
}

// TestShrinks: an object that loses bytes while it is sent breaks the transfer.
func TestShrinks(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			testkit.NoLeaks(t)
			dir := t.TempDir()
			s, err := store.NewDir(store.DirConfig{Path: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			path := filepath.Join(dir, "a.ts")
			if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			g := start(t, s, Options{})
			g.opened = func(*store.Item) {
				if err := os.Truncate(path, 1<<10); err != nil {
					t.Error(err)
				}
			}
			answer := g.ask(protocol, "GET", "a.ts")
			if got, err := io.ReadAll(answer.Body); err == nil || !bytes.Equal(got, make([]byte, 1<<10)) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}
