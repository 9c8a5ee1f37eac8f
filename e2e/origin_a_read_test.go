//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// letters is an object each byte of which says where it is.
const letters = "abcdefghijklmnopqrstuvwxyz"

// strongTag is an entity tag that is not weak (RFC 9110, 8.8.3).
var strongTag = regexp.MustCompile(`^"[!#-~]+"$`)

// testGet: a file is described and comes as it is, also one that no buffer holds.
func testGet(t *testing.T) {
	o, dir := startOriginDir(t)
	large := strings.Repeat(letters, 200_000)
	put(t, filepath.Join(dir, "small.m4s"), letters)
	path := put(t, filepath.Join(dir, "large.m4s"), large)
	then := time.Date(2024, 2, 29, 12, 30, 15, 999, time.UTC)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
	o.overEach(func(t *testing.T, o *originRun) {
		small, a := o.get("/small.m4s", 200), o.get("/large.m4s", 200)
		if small.body != letters || a.body != large {
			t.Errorf("%d and %d bytes came, or others, want %d and %d", len(small.body), len(a.body), len(letters), len(large))
		}
		a.has(t, "Content-Length", strconv.Itoa(len(large)))
		a.has(t, "Last-Modified", "Thu, 29 Feb 2024 12:30:15 GMT")
		a.has(t, "Accept-Ranges", "bytes")
		if tag := a.Header.Get("Etag"); !strongTag.MatchString(tag) || tag == small.Header.Get("Etag") {
			t.Errorf("the tags of two files are %s and %s, want strong ones", tag, small.Header.Get("Etag"))
		}
	})
	testGetCurl(t, o, path)
}

// testGetCurl: what curl has of it is what is on the disk.
func testGetCurl(t *testing.T, o *originRun, path string) {
	copied := filepath.Join(t.TempDir(), "copy")
	if code, _ := curl(t, "-R", "-o", copied, o.url+"/large.m4s"); code != 200 {
		t.Fatalf("curl: %d", code)
	}
	if readFile(t, copied) != readFile(t, path) {
		t.Error("curl has something else")
	}
	was, err := os.Stat(copied)
	if err != nil || was.ModTime().Unix() != time.Date(2024, 2, 29, 12, 30, 15, 0, time.UTC).Unix() {
		t.Errorf("curl -R: %v, %v", was.ModTime(), err)
	}
}

// testHeadOfFile: HEAD says what GET does, and nothing comes after it, be the thing there or not.
func testHeadOfFile(t *testing.T) {
	o, dir := startOriginDir(t)
	put(t, filepath.Join(dir, "a.m4s"), letters)
	o.overEach(func(t *testing.T, o *originRun) {
		for _, path := range []string{"/a.m4s", "/none.m4s"} {
			head, get := o.ask(http.MethodHead, path, ""), o.ask(http.MethodGet, path, "")
			for _, a := range []reply{head, get} {
				a.Header.Del("Date")
			}
			if head.StatusCode != get.StatusCode || head.body != "" || !maps.EqualFunc(head.Header, get.Header, slices.Equal) {
				t.Errorf("HEAD %s: %d %v %q, GET: %d %v", path, head.StatusCode, head.Header, head.body, get.StatusCode, get.Header)
			}
		}
	})
	const next = "HEAD /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	said := exchange(t, o.addr, "HEAD /a.m4s HTTP/1.1\r\nHost: x\r\n\r\n"+next)
	first, second, _ := strings.Cut(said, "\r\n\r\n")
	if !strings.HasPrefix(first, "HTTP/1.1 200 ") || !strings.HasPrefix(second, "HTTP/1.1 404 ") || !strings.HasSuffix(second, "\r\n\r\n") ||
		strings.Count(second, "\r\n\r\n") != 1 {
		t.Errorf("two HEADs on one connection: %q", said)
	}
}

// testIfNoneMatch: who has the object is told so, in every way to say that; who has another one gets it.
func testIfNoneMatch(t *testing.T) {
	o, dir := startOriginDir(t)
	path := put(t, filepath.Join(dir, "a.m4s"), letters)
	o.overEach(func(t *testing.T, o *originRun) {
		tag := o.get("/a.m4s", 200).Header.Get("Etag")
		for _, same := range []string{tag, "W/" + tag, "*", `"x", ` + tag, `W/"x","y",W/` + tag, " " + tag + " "} {
			a := o.get("/a.m4s", 304, "If-None-Match", same)
			a.has(t, "Etag", tag)
			if a.body != "" || a.Header.Get("Content-Type") != "" || a.ContentLength > 0 {
				t.Errorf("304 with %q: %d bytes, %v", same, a.ContentLength, a.Header)
			}
			o.get("/none.m4s", 404, "If-None-Match", same)
		}
		for _, other := range []string{`"x"`, strings.Trim(tag, `"`), `"x", W/"y"`, `"*"`, ""} {
			if a := o.get("/a.m4s", 200, "If-None-Match", other); a.body != letters {
				t.Errorf("with %q: %q", other, a.body)
			}
		}
		o.get("/a.m4s", 200, "If-Match", `"x", `+tag)
		o.get("/a.m4s", 412, "If-Match", "W/"+tag) // the strong comparison
	})
	kept := filepath.Join(t.TempDir(), "tag")
	again := func() string {
		code, body := curl(t, "--etag-save", kept, "--etag-compare", kept, o.url+"/a.m4s")
		return fmt.Sprint(code, body)
	}
	put(t, kept, "")
	first, second := again(), again()
	put(t, path, strings.ToUpper(letters))
	if third := again(); first != "200"+letters || second != "304" || third != "200"+strings.ToUpper(letters) {
		t.Errorf("curl gets %q, %q, and of another file %q", first, second, third)
	}
}

// testDates: conditions by date, and ranges of an object that is another by now.
func testDates(t *testing.T) {
	o, dir := startOriginDir(t)
	path := put(t, filepath.Join(dir, "a.m4s"), letters)
	then := time.Date(2024, 2, 29, 12, 30, 15, 5e8, time.UTC)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
	same, older, newer := then.Format(http.TimeFormat), then.Add(-time.Second).Format(http.TimeFormat), then.Add(time.Second).Format(http.TimeFormat)
	o.overEach(func(t *testing.T, o *originRun) {
		tag := o.get("/a.m4s", 200).Header.Get("Etag")
		for _, c := range []struct {
			name, value string
			status      int // with a range of 4 bytes
			alone       int // without
		}{
			{"If-Modified-Since", same, 304, 304},
			{"If-Modified-Since", newer, 304, 304},
			{"If-Modified-Since", older, 206, 200},
			{"If-Modified-Since", "yesterday", 206, 200},
			{"If-Unmodified-Since", same, 206, 200},
			{"If-Unmodified-Since", older, 412, 412},
			{"If-Range", tag, 206, 200},
			{"If-Range", same, 206, 200},
			{"If-Range", `"another"`, 200, 200},
			{"If-Range", "W/" + tag, 200, 200},
			{"If-Range", older, 200, 200},
			{"If-Range", newer, 200, 200}, // it is to be exactly this version
		} {
			a := o.get("/a.m4s", c.status, c.name, c.value, "Range", "bytes=2-5")
			if want := map[int]string{200: letters, 206: "cdef"}[c.status]; want != "" && a.body != want {
				t.Errorf("%s: %s: %q", c.name, c.value, a.body)
			}
			o.get("/a.m4s", c.alone, c.name, c.value)
		}
		o.get("/a.m4s", 200, "If-Modified-Since", newer, "If-None-Match", `"x"`) // the tag decides
	})
	for since, want := range map[string]int{older: 200, newer: 304} {
		if code, body := curl(t, "-z", since, o.url+"/a.m4s"); code != want || (code == 200) != (body == letters) {
			t.Errorf("curl -z %s gets %d %q", since, code, body)
		}
	}
}

// testQuery: what comes after the path finds nothing else.
func testQuery(t *testing.T) {
	o, dir := startOriginDir(t, "--dlist")
	put(t, filepath.Join(dir, "a.m4s"), letters)
	o.put("/sub/b.m4s?token=1&x=../../c", letters, 201).has(t, "Content-Location", "/sub/b.m4s")
	seen(t, filepath.Join(dir, "sub", "b.m4s"), true)
	o.overEach(func(t *testing.T, o *originRun) {
		for _, query := range []string{"", "?", "?x=1", "?x=%2e%2e/%00", "?/b.m4s", "?a;b&&c=%zz", "?" + strings.Repeat("q", 4000)} {
			for _, path := range []string{"/a.m4s", "/sub/b.m4s"} {
				if a := o.get(path+query, 200); a.body != letters {
					t.Errorf("%s%.20s: %q", path, query, a.body)
				}
			}
			o.get("/c.m4s"+query, 404)
			o.get("/sub/"+query, 200)
		}
	})
	o.put("/what%3Fx=1", letters, 201) // an escaped question mark is part of the name
	o.get("/what", 404)
	o.get("/what%3Fx=1", 200)
}
