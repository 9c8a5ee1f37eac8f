package receive

import (
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/internal/store"
)

func TestParseSpans(t *testing.T) {
	unexported := cmp.AllowUnexported(span{})
	for s, want := range map[string][]span{
		"bytes=0-1":                       {{0, 2}},
		"bytes=0-1,4-5":                   {{0, 2}, {4, 6}},
		"bytes=0-1, bytes=4-5":            {{0, 2}, {4, 6}},
		"bytes=4-5 ,\t0-8":                {{4, 6}, {0, 9}},
		"bytes=9223372036854775806-1":     nil,
		"bytes=0-9223372036854775806":     {{0, math.MaxInt64}},
		"bytes=0-9223372036854775806,0-0": nil,
		"bytes=0-9223372036854775807":     nil,
		"bytes=0-99999999999999999999":    nil,
		"":                                nil, "bytes": nil, "bytes=": nil, "bytes=1": nil, "bytes=1-": nil, "bytes=-1": nil, "bytes=2-1": nil,
		"bytes=+1-2": nil, "bytes=0x1-2": nil, "bytes=1_0-20": nil, "bytes=0-1,": nil, "bytes=0--1": nil, "items=0-1": nil, "0-1": nil,
		"bytes=0-1,items=3-4": nil, "bytes=0 -1": nil,
		"bytes=" + strings.Repeat("0-0,", maxSpans) + "0-0": nil,
	} {
		got, total, err := parseSpans(s)
		if d := cmp.Diff(want, got, unexported); d != "" || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
		for _, s := range got {
			total -= s.end - s.at
		}
		if total != 0 {
			t.Errorf("%q: the total is off by %d", s, total)
		}
	}
	if got, total, err := parseSpans("bytes=" + strings.Repeat("0-0,", maxSpans-1) + "0-0"); len(got) != maxSpans || total != maxSpans || err != nil {
		t.Errorf("%d parts, %d bytes, %v", len(got), total, err)
	}
}

func FuzzParseSpans(f *testing.F) {
	for _, s := range []string{"bytes=0-1,4-5", "bytes=0-1, bytes=4-5", "bytes=-5", "bytes=5-", "bytes=9223372036854775806-9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spans, total, err := parseSpans(s)
		if (err == nil) != (len(spans) > 0) {
			t.Fatalf("%v, %v", spans, err)
		}
		for _, s := range spans {
			if s.at < 0 || s.end <= s.at {
				t.Fatal(spans)
			}
			total -= s.end - s.at
		}
		if total != 0 {
			t.Fatalf("%v: the total is off by %d", spans, total)
		}
	})
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		spans       []span
		size, limit int64
		status      int
	}{
		{[]span{{0, 3}}, 3, 0, 0},
		{[]span{{3, 5}}, 3, 0, 0},
		{[]span{{4, 5}}, 3, 0, 416},
		{[]span{{3, 5}, {5, 6}}, 3, 0, 0},
		{[]span{{5, 6}, {3, 5}}, 3, 0, 416},
		{[]span{{0, 1}, {4, 5}}, 3, 0, 416},
		{[]span{{2, 5}}, 3, 5, 0},
		{[]span{{2, 6}}, 3, 5, 413},
	} {
		status := 0
		if err := fit(c.spans, c.size, c.limit); err != nil {
			status = refusalOf(err).status
		}
		if status != c.status {
			t.Errorf("%v in %d bytes, limit %d: %d", c.spans, c.size, c.limit, status)
		}
	}
}

// memoryAt is a plain io.WriterAt.
type memoryAt struct{ b []byte }

func (m *memoryAt) WriteAt(p []byte, at int64) (int, error) { return copy(m.b[at:], p), nil }

// The bytes go where the ranges say, however they come.
func TestSpanWriter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := 64
		got, want := &memoryAt{make([]byte, size)}, make([]byte, size)
		var spans []span
		var body []byte
		for i := range rapid.IntRange(1, 5).Draw(t, "ranges") {
			at := rapid.IntRange(0, size-1).Draw(t, "at")
			end := rapid.IntRange(at+1, size).Draw(t, "end")
			spans = append(spans, span{int64(at), int64(end)})
			for j := at; j < end; j++ {
				want[j] = byte(1 + i)
				body = append(body, byte(1+i))
			}
		}
		w := spanWriter{got, spans}
		for len(body) > 0 {
			n := rapid.IntRange(1, len(body)).Draw(t, "piece")
			if m, err := w.Write(body[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			body = body[n:]
		}
		if d := cmp.Diff(want, got.b); d != "" || len(w.spans) > 0 {
			t.Fatal(d, w.spans)
		}
		if n, err := w.Write([]byte{9}); n != 0 || err == nil {
			t.Fatal("more is taken")
		}
	})
}

// Acceptance 38: ranges are written in place, all or nothing.
func TestPatch(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{MaxSize: 12}, st)
		for _, c := range []struct {
			why, ranges, body string
			chunked           bool
			status            int
			after             string
		}{
			{"two ranges", "bytes=0-1,4-5", "abef", false, 200, "ab23ef6789"},
			{"the other spelling", "bytes=0-1, bytes=4-5", "abef", false, 200, "ab23ef6789"},
			{"chunked", "bytes=0-1,4-5", "abef", true, 200, "ab23ef6789"},
			{"one over the other", "bytes=0-3,2-5", "aaaabbbb", true, 200, "aabbbb6789"},
			{"beyond the end", "bytes=8-11", "abcd", false, 200, "01234567abcd"},
			{"a hole", "bytes=11-11", "a", false, 416, "0123456789"},
			{"too long", "bytes=10-12", "abc", false, 413, "0123456789"},
			{"more than described", "bytes=0-1", "abc", false, 416, "0123456789"},
			{"more, chunked", "bytes=0-1", "abc", true, 416, "0123456789"},
			{"less", "bytes=0-1", "a", false, 416, "0123456789"},
			{"less, chunked", "bytes=0-1", "a", true, 400, "0123456789"},
			{"no end", "bytes=5-", "a", false, 416, "0123456789"},
			{"another unit", "items=0-0", "a", false, 416, "0123456789"},
		} {
			if status := s.put("/a", "0123456789"); status >= 300 {
				t.Fatal(status)
			}
			r := s.dial()
			framing, body := "Content-Length: "+length(c.body), c.body
			if c.chunked {
				framing, body = "Transfer-Encoding: chunked", length(c.body)+"\r\n"+c.body+"\r\n0\r\n\r\n"
			}
			r.send("PUT /a HTTP/1.1\r\nHost: h\r\nRange: %s\r\n%s\r\n\r\n%s", c.ranges, framing, body)
			a := r.answer()
			if a.StatusCode != c.status {
				t.Errorf("%s: %s", c.why, a.Status)
			}
			if a.StatusCode == http.StatusOK && a.Header.Get("Content-Location") != "/a" {
				t.Errorf("%s: %v", c.why, a.Header)
			}
			want(t, st, "a", c.after)
		}
		if status := s.put("/none", "ab", "Range", "bytes=0-1"); status != 404 {
			t.Errorf("missing: %d", status)
		}
		want(t, st, "none", "")
	})
}
