package serve

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// headers are the lines of a request's head.
func headers(t *testing.T, lines ...string) *http.Request {
	t.Helper()
	r := &http.Request{Method: http.MethodGet, Header: http.Header{}, ProtoMajor: 1, ProtoMinor: 1}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("%q is no header", line)
		}
		r.Header.Add(name, value)
	}
	return r
}

// TestConditions holds RFC 9110, 13 (lines 3 and 4 of the list, U7).
func TestConditions(t *testing.T) {
	const before, at, after = "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
	modified, err := http.ParseTime(at)
	if err != nil {
		t.Fatal(err)
	}
	full := state{tag: `"a,b"`, modified: modified}
	coded := state{tag: `W/"a-gzip"`, modified: modified}
	bare := state{}
	for _, test := range []struct {
		now   state
		want  int
		lines []string
	}{
		{full, 0, nil},
		{full, 304, []string{`If-None-Match: "a,b"`}},
		{full, 304, []string{`If-None-Match: W/"a,b"`}},
		{full, 304, []string{`If-None-Match: *`}},
		{full, 304, []string{`If-None-Match: "x", "a,b", "y"`}},
		{full, 304, []string{`If-None-Match: "x"`, `If-None-Match: "a,b"`}},
		{full, 0, []string{`If-None-Match: "x"`}},
		{full, 0, []string{`If-None-Match: a,b`}},
		{full, 0, []string{`If-None-Match: "a,b`}},
		{full, 0, []string{`If-None-Match: w/"a,b"`}},
		{full, 0, []string{`If-None-Match: "x"`, "If-Modified-Since: " + after}}, // the tag counts, not the date
		{full, 304, []string{"If-Modified-Since: " + after}},
		{full, 304, []string{"If-Modified-Since: " + at}},
		{full, 0, []string{"If-Modified-Since: " + before}},
		{full, 0, []string{"If-Modified-Since: yesterday"}},
		{full, 0, []string{`If-Match: "a,b"`}},
		{full, 0, []string{`If-Match: *`}},
		{full, 412, []string{`If-Match: "x"`}},
		{full, 412, []string{`If-Match: W/"a,b"`}}, // strong comparison
		{full, 412, []string{`If-Match: "x"`, `If-None-Match: *`}},
		{full, 304, []string{`If-Match: *`, `If-None-Match: *`}},
		{full, 0, []string{`If-Match: "a,b"`, "If-Unmodified-Since: " + before}},
		{full, 412, []string{"If-Unmodified-Since: " + before}},
		{full, 0, []string{"If-Unmodified-Since: " + at}},
		{coded, 304, []string{`If-None-Match: W/"a-gzip"`}},
		{coded, 304, []string{`If-None-Match: "a-gzip"`}},
		{coded, 0, []string{`If-None-Match: "a"`}},
		{coded, 412, []string{`If-Match: W/"a-gzip"`}},
		{bare, 304, []string{`If-None-Match: *`}},
		{bare, 0, []string{`If-None-Match: ""`}},
		{bare, 0, []string{`If-Match: *`}},
		{bare, 412, []string{`If-Match: ""`}},
		{bare, 0, []string{"If-Modified-Since: " + after}},
		{bare, 0, []string{"If-Unmodified-Since: " + before}},
	} {
		if got := test.now.judge(headers(t, test.lines...)); got != test.want {
			t.Errorf("%v of %+v: %d, want %d", test.lines, test.now, got, test.want)
		}
	}
	for condition, want := range map[string]bool{
		"": true, `"a,b"`: true, at: true, `W/"a,b"`: false, `"x"`: false, before: false, after: false, `"a,b", "x"`: false, "*": false, "a,b": false,
	} {
		if got := full.rangeHolds(headers(t, "If-Range: "+condition)); got != want {
			t.Errorf("If-Range: %s: %v, want %v", condition, got, want)
		}
	}
	for _, condition := range []string{`""`, at, `"a"`} {
		if bare.rangeHolds(headers(t, "If-Range: "+condition)) {
			t.Errorf("If-Range: %s holds for an object without tag and date", condition)
		}
	}
}

func TestLastModified(t *testing.T) {
	half := time.Unix(784111777, 5e8).In(time.FixedZone("x", 3600))
	if got := lastModified(half).Format(http.TimeFormat); got != "Sun, 06 Nov 1994 08:49:37 GMT" {
		t.Error(got)
	}
	for _, none := range []time.Time{{}, time.Unix(0, 0)} {
		if got := lastModified(none); !got.IsZero() {
			t.Errorf("%v: %v", none, got)
		}
	}
}

func FuzzConditions(f *testing.F) {
	f.Add(`W/"a", "b"`, `"a"`)
	f.Add(`, ,"`, "Sun, 06 Nov 1994 08:49:37 GMT")
	f.Fuzz(func(t *testing.T, list, condition string) {
		now := state{tag: `"tag"`, modified: time.Unix(1, 0)}
		r := &http.Request{Header: http.Header{"If-None-Match": {list}, "If-Range": {condition}}}
		if now.judge(r) == http.StatusNotModified && !strings.Contains(list, now.tag) && strings.TrimSpace(list) != "*" {
			t.Errorf("%q has %s", list, now.tag)
		}
		if now.rangeHolds(r) && strings.Contains(condition, `"`) && strings.TrimSpace(condition) != now.tag {
			t.Errorf("%q is %s", condition, now.tag)
		}
	})
}
