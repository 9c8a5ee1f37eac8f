package receive

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"sluice/internal/store"
	"sluice/internal/testkit"
)

// zip makes a gzip of several members.
func zip(t testing.TB, members ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, m := range members {
		z := gzip.NewWriter(&b)
		if _, err := io.WriteString(z, m); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// Acceptance 41: bodies of gzip are stored as what they hold; the limit is of that.
func TestGzip(t *testing.T) {
	bomb := zip(t, strings.Repeat("x", 4<<20))
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{MaxSize: 100 << 10}, st)
		noise := make([]byte, 100<<10) // what deflate makes longer
		for i := range noise {
			noise[i] = byte(i * i * i >> 7 * 31)
		}
		for _, c := range []struct {
			why, body string
			status    int
			after     string
		}{
			{"one", zip(t, "abc"), 201, "abc"},
			{"two members", zip(t, "abc", "def"), 201, "abcdef"},
			{"no bytes", "", 201, ""},
			{"of nothing", zip(t, ""), 201, ""},
			{"as long as may be", zip(t, string(noise)), 201, string(noise)},
			{"too long", zip(t, strings.Repeat("x", 100<<10+1)), 413, ""},
			{"a bomb", bomb, 413, ""},
			{"members of nothing", strings.Repeat(zip(t, ""), 8<<10), 413, ""},
			{"none at all", "abcdefghijklmnop", 400, ""},
			{"cut", zip(t, "abcdef")[:20], 400, ""},
			{"something behind it", zip(t, "abc") + "abc", 400, ""},
			{"wrong sum", zip(t, "abc")[:len(zip(t, "abc"))-8] + "12345678", 400, ""},
		} {
			for coding, chunked := range map[string]bool{"gzip": false, "X-GZIP": true} {
				var r io.Reader = strings.NewReader(c.body)
				if chunked {
					r = io.MultiReader(r)
				}
				if a := s.do(s.client(true), "PUT", "/a", r, "Content-Encoding", coding); a.StatusCode != c.status {
					t.Errorf("%s, chunked %v: %s", c.why, chunked, a.Status)
				}
				if got := read(t, st, "a"); got != c.after {
					t.Errorf("%s: %d bytes", c.why, len(got))
				}
				if c.status == 201 {
					if a := s.do(s.client(true), "DELETE", "/a", nil); a.StatusCode != 200 {
						t.Error(a.Status)
					}
				}
			}
		}
	})
}

// What a source flushes is there at once, coded or not.
func TestGzipLive(t *testing.T) {
	st := memory(t)
	s := newOrigin(t, Options{Stall: testkit.Patience, MaxSize: 1 << 20}, st)
	in, out := io.Pipe()
	answered := make(chan int, 1)
	go func() { answered <- s.do(s.client(false), "PUT", "/a", in, "Content-Encoding", "gzip").StatusCode }()
	z := gzip.NewWriter(out)
	var f *follower
	for i, piece := range []string{"first", "second"} {
		if _, err := io.WriteString(z, piece); err != nil {
			t.Fatal(err)
		}
		if err := z.Flush(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			f = follow(t, st, "a")
		}
		f.next(t, piece)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if status := <-answered; status != 201 {
		t.Error(status)
	}
	want(t, st, "a", "firstsecond")
}

// No body of at most limit bytes is longer than codedLimit when it is coded, in one member, even by the worst settings.
func TestCodedLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "body")
		body = bytes.Repeat(body, rapid.IntRange(1, 100).Draw(t, "times"))
		for _, level := range []int{gzip.NoCompression, gzip.HuffmanOnly, gzip.DefaultCompression} {
			var b bytes.Buffer
			z, err := gzip.NewWriterLevel(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := z.Write(body); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			if n := codedLimit(int64(len(body))); int64(b.Len()) > n {
				t.Fatalf("%d bytes become %d, limit %d", len(body), b.Len(), n)
			}
		}
	})
}

// Whatever a body of gzip is, it ends within its limits, and all that goes wrong is a refusal.
func FuzzGzip(f *testing.F) {
	f.Add([]byte(zip(f, "abc")), false)
	f.Add([]byte(zip(f, "abc", "", "def")), true)
	f.Add([]byte(zip(f, strings.Repeat("x", 10000))), false)
	f.Add([]byte("\x1f\x8b\x08\x1c\xff\xff"), true)
	f.Fuzz(func(t *testing.T, b []byte, slow bool) {
		const limit = 1000
		var r io.Reader = bytes.NewReader(b)
		if slow {
			r = iotest.OneByteReader(r)
		}
		got, err := io.ReadAll(&capped{&gunzip{coded: &capped{r, codedLimit(limit)}}, limit})
		if len(got) > limit {
			t.Fatalf("%d bytes", len(got))
		}
		var why *refusal
		if err != nil && !errors.As(err, &why) {
			t.Fatal(err)
		}
	})
}

// The deadline is set for the first Read, renewed before an eighth of it is over, and one that is never is lifted once.
func TestHold(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		stall time.Duration
		at    []time.Duration // of Reads
		want  []time.Duration // deadlines; 0 = lifted
	}{
		{8 * time.Second, []time.Duration{0, time.Second - 1, time.Second, time.Second, 10 * time.Second}, []time.Duration{9 * time.Second, 10 * time.Second, 19 * time.Second}},
		{0, []time.Duration{0, time.Hour}, []time.Duration{0}},
	} {
		w := &deadlines{ResponseWriter: httptest.NewRecorder(), start: now}
		p := patient{rc: http.NewResponseController(w), stall: c.stall}
		for _, at := range c.at {
			if err := p.hold(now.Add(at)); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.set) != len(c.want) {
			t.Fatalf("%v: %v", c.stall, w.set)
		}
		for i := range w.set {
			if w.set[i] != c.want[i] {
				t.Errorf("%v: %v", c.stall, w.set)
			}
		}
	}
	if err := (&patient{rc: http.NewResponseController(httptest.NewRecorder())}).hold(now); err == nil {
		t.Error("a writer without deadlines will do")
	}
}

// deadlines notes what deadlines are set.
type deadlines struct {
	http.ResponseWriter
	start time.Time
	set   []time.Duration
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	if at.IsZero() {
		at = d.start
	}
	d.set = append(d.set, at.Sub(d.start))
	return nil
}

// Bodies that are not stored: as they come, without a limit, ended only by their own end.
func TestBody(t *testing.T) {
	testkit.NoLeaks(t)
	type result struct {
		body string
		err  error
	}
	results := make(chan result, 1)
	x := New(Options{Stall: 300 * time.Millisecond, MaxSize: 3})
	l := newOrigin(t, Options{}, memory(t)) // its doors
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := x.Body(w, r)
		if err != nil {
			Refuse(w, r, err)
			results <- result{"", err}
			return
		}
		all, err := io.ReadAll(b)
		if err != nil {
			Refuse(w, r, err)
		} else {
			Taken(w, r.URL.Path, false)
		}
		results <- result{string(all), err}
	}))
	defer srv.Close()
	l.addr = srv.Listener.Addr().String()
	for _, c := range []struct {
		why, head, body string
		status          int
		got             string
	}{
		{"length", "Content-Length: 6", "abcdef", 201, "abcdef"},
		{"chunked", "Transfer-Encoding: chunked", "6\r\nabcdef\r\n0\r\n\r\n", 201, "abcdef"},
		{"gzip", "Content-Encoding: gzip\r\nContent-Length: " + length(zip(t, "abcdef")), zip(t, "abcdef"), 201, "abcdef"},
		{"Range (42)", "Range: bytes=0-1\r\nContent-Length: 2", "ab", 416, ""},
		{"Content-Range", "Content-Range: bytes 0-1/3\r\nContent-Length: 2", "ab", 400, ""},
		{"no length", "", "", 411, ""},
		{"a coding that is not known", "Content-Encoding: br\r\nContent-Length: 2", "ab", 415, ""},
		{"it stops", "Content-Length: 6", "abc", 408, "abc"},
		{"broken", "Transfer-Encoding: chunked", "3\r\nabcXY", 400, "abc"},
	} {
		r := l.dial()
		if c.head != "" {
			c.head += "\r\n"
		}
		r.send("PUT /foo/y.mp3 HTTP/1.1\r\nHost: h\r\n%s\r\n%s", c.head, c.body)
		a := r.answer()
		got := <-results
		if a.StatusCode != c.status || got.body != c.got || (got.err == nil) != (c.status == 201) {
			t.Errorf("%s: %s, %q, %v", c.why, a.Status, got.body, got.err)
		}
		if a.StatusCode == 201 && a.Header.Get("Content-Location") != "/foo/y.mp3" {
			t.Errorf("%s: %v", c.why, a.Header)
		}
	}
}
