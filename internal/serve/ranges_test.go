package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	stdmultipart "mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRange(t *testing.T) {
	const huge = (math.MaxInt64 - 9) / 10 * 10
	for header, want := range map[string][]span{
		"":                                     nil,
		"bytes=0-3":                            {{0, 3}},
		"bytes=5-":                             {{5, none}},
		"bytes=-4":                             {{none, 4}},
		"bytes=-0":                             {{none, 0}},
		"Bytes = 0-3":                          {{0, 3}},
		"bytes=0-3,10-13":                      {{0, 3}, {10, 13}},
		"bytes=0-3, bytes=10-13":               {{0, 3}, {10, 13}},
		"bytes=0-3 ,\tBYTES= 10- ,,":           {{0, 3}, {10, none}},
		"bytes=,0-3":                           {{0, 3}},
		"seconds=1-2":                          nil,
		"bytes 0-3":                            nil,
		"bytes=0-99999999999999999999999":      {{0, huge + 9}},
		"bytes=" + strings.Repeat("0-0,", 65):  nil,
		"bytes=00000000000000000000000000001-": {{1, none}},
	} {
		got, err := parseRange(header)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(span{})); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", header, err, diff)
		}
	}
	if got, err := parseRange("bytes=" + strings.Repeat("0-0,", 64)); len(got) != 64 || err != nil {
		t.Errorf("64 ranges: %d, %v", len(got), err)
	}
	for _, header := range []string{
		"bytes=", "bytes=,", "bytes=-", "bytes=a-b", "bytes=3-1", "bytes=1", "bytes=1-2-3", "bytes=+1-2", "bytes=0x1-2", "bytes=1 - 2",
		"bytes=bytes=0-3", "bytes=0-3,x", "bytes=0-3,items=1-2", "bytes=-1-2", "bytes=٣-٤", "bytes=1-99999999999999999999x",
	} {
		if got, err := parseRange(header); err == nil {
			t.Errorf("%q: taken as %v", header, got)
		}
	}
}

func TestArrange(t *testing.T) {
	text := strings.Repeat("0123456789", 2)
	for _, test := range []struct {
		spans        []span
		status       int // 416 = nothing of it
		contentRange string
		body         string // of a concatenation
	}{
		{nil, 200, "", text},
		{[]span{{0, 3}}, 206, "bytes 0-3/20", "0123"},
		{[]span{{0, 19}}, 206, "bytes 0-19/20", text},
		{[]span{{17, 999}}, 206, "bytes 17-19/20", "789"},
		{[]span{{18, none}}, 206, "bytes 18-19/20", "89"},
		{[]span{{none, 4}}, 206, "bytes 16-19/20", "6789"},
		{[]span{{none, 999}}, 206, "bytes 0-19/20", text},
		{[]span{{20, none}}, 416, "", ""},
		{[]span{{20, math.MaxInt64}}, 416, "", ""},
		{[]span{{none, 0}}, 416, "", ""},
		{[]span{{20, 30}, {none, 0}}, 416, "", ""},
		{[]span{{0, 3}, {30, 40}}, 206, "bytes 0-3/20", "0123"},
		{[]span{{0, 3}, {10, 13}}, 206, "bytes 0-3/20, 10-13/20", "01230123"},
		{[]span{{10, 11}, {0, 1}, {0, 1}}, 206, "bytes 10-11/20, 0-1/20, 0-1/20", "010101"},
		{[]span{{0, 15}, {0, 15}}, 200, "", text},
	} {
		l, ok := arrange(test.spans, int64(len(text)), "a/b", true)
		if !ok {
			l.status = 416
		}
		var body strings.Builder
		if err := l.writeBody(&body, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if l.status != test.status || l.contentRange != test.contentRange || body.String() != test.body || l.length() != int64(len(test.body)) {
			t.Errorf("%v: %d %q %q of %d", test.spans, l.status, l.contentRange, body.String(), l.length())
		}
	}
	if _, ok := arrange([]span{{0, none}}, 0, "a/b", false); ok {
		t.Error("an empty object has a range")
	}
}

// TestMultipart reads what is written with the standard library's reader.
func TestMultipart(t *testing.T) {
	text := "0123456789"
	l, ok := arrange([]span{{0, 1}, {none, 1}, {5, 7}}, 10, "text/plain; charset=utf-8", false)
	var body bytes.Buffer
	if err := l.writeBody(&body, strings.NewReader(text)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if int64(body.Len()) != l.length() {
		t.Errorf("%d bytes, %d announced", body.Len(), l.length())
	}
	if got := parts(t, l.kind, &body); got != "bytes 0-1/10=01;bytes 9-9/10=9;bytes 5-7/10=567;" {
		t.Error(got)
	}
}

// parts reads a multipart/byteranges body.
func parts(t *testing.T, kind string, body io.Reader) string {
	t.Helper()
	media, parameters, err := mime.ParseMediaType(kind)
	if err != nil || media != "multipart/byteranges" {
		t.Fatalf("%q: %v", kind, err)
	}
	var all strings.Builder
	for r := stdmultipart.NewReader(body, parameters["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("a part has type %q", got)
		}
		fmt.Fprintf(&all, "%s=%s;", p.Header.Get("Content-Range"), text)
	}
}

// FuzzRange compares with http.ServeContent where that answers one range, and holds the bounds where it does not.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-3", "bytes=0-3, bytes=10-13", "bytes=-5,3-", "bytes=7-1", "bytes=99-", "bytes=0-99999999999999999999", "bytes=-0,2-"} {
		f.Add(seed, 10)
	}
	f.Fuzz(func(t *testing.T, header string, size int) {
		size = min(max(size, 0), 1000)
		spans, err := parseRange(header)
		l, ok := arrange(spans, int64(size), "a/b", false)
		if ok && l.length() > int64(size)+int64(maxSpans+1)*200 {
			t.Fatalf("%q of %d: %d bytes", header, size, l.length())
		}
		for _, p := range l.pieces {
			if p.from < 0 || p.n < 0 || p.from+p.n > int64(size) {
				t.Fatalf("%q of %d: piece %+v", header, size, p)
			}
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set("Range", header)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(make([]byte, size)))
		want := w.Header().Get("Content-Range")
		var first, last int
		if _, err := fmt.Sscanf(want, "bytes %d-%d/", &first, &last); err != nil || last < first || strings.Count(header, ",") >= maxSpans {
			return // no range, one of nothing (it takes "-0"), or too many for us
		}
		if err != nil || l.contentRange != want {
			t.Errorf("%q of %d: %q, %v; the standard library has %q", header, size, l.contentRange, err, want)
		}
	})
}
