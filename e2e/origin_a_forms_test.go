//go:build e2e && linux

package e2e

import (
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plain makes what the body of an answer says that it is.
func (a reply) plain(t *testing.T) string {
	t.Helper()
	var from io.Reader = strings.NewReader(a.body)
	var err error
	switch coding := a.Header.Get("Content-Encoding"); coding {
	case "":
		return a.body
	case "gzip":
		from, err = gzip.NewReader(from)
	case "deflate":
		from, err = zlib.NewReader(from) // not raw (RFC 9110, 8.4.1.2)
	default:
		err = fmt.Errorf("Content-Encoding: %s", coding)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testCompression: text that is not too long is compressed for those who want it, and nothing else.
func testCompression(t *testing.T) {
	text, long := strings.Repeat(letters, 40), strings.Repeat(letters, 80)
	dir := t.TempDir()
	for name, text := range map[string]string{"a.mpd": text, "a.m3u8": text, "a.txt": text, "long.mpd": long, "a.m4s": text} {
		put(t, filepath.Join(dir, name), text)
	}
	o := startOrigin(t, "--rdirs", dir, "--wdir", dir, "--zmax", strconv.Itoa(len(text)))
	grows := strings.Repeat("grows ", 100)
	u := o.beginSeen("/grows.txt", grows)
	o.overEach(func(t *testing.T, o *originRun) {
		for _, path := range []string{"/a.mpd", "/a.m3u8", "/a.txt"} {
			identity := o.get(path, 200)
			for _, accept := range []string{"gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1", "x-gzip", "*"} {
				a := o.get(path, 200, "Accept-Encoding", accept)
				a.has(t, "Content-Encoding", "gzip")
				if tag := a.Header.Get("Etag"); a.plain(t) != text || a.ContentLength != int64(len(a.body)) || tag == "" || tag == identity.Header.Get("Etag") {
					t.Errorf("%s with %q: %d bytes, length %d, tag %s", path, accept, len(a.body), a.ContentLength, tag)
				}
				o.get(path, 304, "Accept-Encoding", accept, "If-None-Match", a.Header.Get("Etag"))
				head := o.ask(http.MethodHead, path, "", "Accept-Encoding", accept)
				head.has(t, "Content-Length", strconv.Itoa(len(a.body)))
			}
			for _, a := range []reply{
				identity, o.get(path, 200, "Accept-Encoding", "br"), o.get(path, 200, "Accept-Encoding", "gzip;q=0"),
				o.get(path, 200, "Accept-Encoding", "gzip;q=0.5, identity"),
			} {
				if varies := strings.Join(a.Header.Values("Vary"), ","); a.body != text || !strings.Contains(varies, "Accept-Encoding") {
					t.Errorf("%s: %d bytes, Vary: %s", path, len(a.body), varies)
				}
				a.has(t, "Content-Encoding", "")
			}
			part := o.get(path, 206, "Accept-Encoding", "gzip", "Range", "bytes=0-99")
			part.has(t, "Content-Encoding", "")
			if part.body != text[:100] {
				t.Errorf("a part of %s: %q", path, part.body)
			}
		}
		for path, want := range map[string]string{"/long.mpd": long, "/a.m4s": text} {
			a := o.get(path, 200, "Accept-Encoding", "gzip")
			a.has(t, "Content-Encoding", "")
			if a.body != want {
				t.Errorf("%s: %d bytes", path, len(a.body))
			}
		}
		f := o.follow("/grows.txt", "Accept-Encoding", "gzip")
		f.hears(grows)
		reply{Response: f.Response}.has(t, "Content-Encoding", "")
	})
	u.ends(201)
	for _, option := range []string{"--no-compressed", "--compressed"} {
		if code, body := curl(t, option, o.url+"/a.mpd"); code != 200 || body != text {
			t.Errorf("curl %s: %d, %d bytes", option, code, len(body))
		}
	}
	for _, never := range []string{"--zmax=0", "--no-z"} {
		o := startOrigin(t, never, dir)
		a := o.get("/a.mpd", 200, "Accept-Encoding", "gzip")
		a.has(t, "Content-Encoding", "")
		if a.body != text {
			t.Errorf("%s: %d bytes", never, len(a.body))
		}
	}
}

// testDeflate: who takes deflate only gets that, and who likes it more, too.
func testDeflate(t *testing.T) {
	text := strings.Repeat(letters, 40)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.mpd"), text)
	o := startOrigin(t, dir)
	o.overEach(func(t *testing.T, o *originRun) {
		for _, accept := range []string{"deflate", "deflate, gzip;q=0.5", "gzip;q=0, deflate", "br, deflate"} {
			a := o.get("/a.mpd", 200, "Accept-Encoding", accept)
			a.has(t, "Content-Encoding", "deflate")
			a.has(t, "Content-Length", strconv.Itoa(len(a.body)))
			if a.plain(t) != text || len(a.body) >= len(text) {
				t.Errorf("%q: %d bytes are not %d", accept, len(a.body), len(text))
			}
		}
		o.get("/a.mpd", 200, "Accept-Encoding", "deflate, gzip").has(t, "Content-Encoding", "gzip")
	})
	if code, body := curl(t, "--compressed", "-H", "Accept-Encoding: deflate", o.url+"/a.mpd"); code != 200 || body != text {
		t.Errorf("curl: %d, %d bytes", code, len(body))
	}
}

// testCacheControl: caches are told what is said of complete objects, and nothing wrong of others.
func testCacheControl(t *testing.T) {
	for name, want := range map[string]struct {
		said, header string
		tag          bool
	}{"nothing": {"", "", true}, "something": {"max-age=60, public", "max-age=60, public", true}, "none": {"none", "", false}} {
		t.Run(name, func(t *testing.T) {
			o, _ := startOriginDir(t, "--cache-control", want.said)
			o.put("/a.m4s", letters, 201)
			o.beginSeen("/grows.m4s", "x")
			o.overEach(func(t *testing.T, o *originRun) {
				for _, a := range []reply{
					o.get("/a.m4s", 200), o.get("/a.m4s", 206, "Range", "bytes=0-3"), o.ask(http.MethodHead, "/a.m4s", ""),
					o.get("/a.m4s", 304, "If-Modified-Since", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)),
				} {
					a.has(t, "Cache-Control", want.header)
					if tag := a.Header.Get("Etag"); want.tag != strongTag.MatchString(tag) || !want.tag && tag != "" {
						t.Errorf("%s: tag %q", a.Status, tag)
					}
				}
				f := o.follow("/grows.m4s")
				reply{Response: f.Response}.has(t, "Cache-Control", "no-cache")
				if a := o.get("/none.m4s", 404); strings.Contains(a.Header.Get("Cache-Control"), "max-age=60") {
					t.Errorf("404: Cache-Control: %s", a.Header.Get("Cache-Control"))
				}
			})
		})
	}
}

// everyAnswer asks for an answer of each kind: each must be of that status.
func (o *originRun) everyAnswer() (all []reply) {
	o.t.Helper()
	for _, c := range []struct {
		method, path string
		status       int
		header       []string
	}{
		{"GET", "/a.m4s", 200, nil},
		{"HEAD", "/a.m4s", 200, nil},
		{"GET", "/a.m4s", 206, []string{"Range", "bytes=0-3"}},
		{"GET", "/a.m4s", 304, []string{"If-None-Match", "*"}},
		{"GET", "/a.m4s", 412, []string{"If-Match", `"x"`}},
		{"GET", "/a.m4s", 416, []string{"Range", "bytes=99-"}},
		{"GET", "/", 403, nil},
		{"GET", "/none.m4s", 404, nil},
		{"PUT", "/a.m4s", 200, nil},
		{"PUT", "/a.m4s", 400, []string{"Content-Range", "bytes 0-3/4"}},
		{"PUT", "/%2e%2e/x", 403, nil},
		{"DELETE", "/none.m4s", 204, nil},
		{"OPTIONS", "/a.m4s", 200, nil},
		{"PATCH", "/a.m4s", 501, nil},
	} {
		body := ""
		if c.method == http.MethodPut {
			body = letters
		}
		a := o.ask(c.method, c.path, body, c.header...)
		if a.StatusCode != c.status {
			o.t.Errorf("%s %s: %s, want %d", c.method, c.path, a.Status, c.status)
		}
		all = append(all, a)
	}
	return all
}

// testServerUTC: each answer says what time it was here.
func testServerUTC(t *testing.T) {
	o, _ := startOriginDir(t, "--sutc")
	o.put("/a.m4s", letters, 201)
	o.beginSeen("/grows.m4s", "x")
	o.overEach(func(t *testing.T, o *originRun) {
		before := time.Now().UnixMilli()
		all := o.everyAnswer()
		all = append(all, reply{Response: o.follow("/grows.m4s").Response})
		after := time.Now().UnixMilli()
		for _, a := range all {
			then, err := strconv.ParseInt(a.Header.Get("Server-UTC"), 10, 64)
			if err != nil || then < before || then > after || len(a.Header["Server-Utc"]) != 1 {
				t.Errorf("%s %s: Server-UTC: %q, want one from %d to %d", a.Request.Method, a.Status, a.Header["Server-Utc"], before, after)
			}
		}
	})
	o, _ = startOriginDir(t)
	o.get("/none", 404).has(t, "Server-UTC", "")
}

// testHeaders: what is added is in every answer; what cannot be added is no origin.
func testHeaders(t *testing.T) {
	o, _ := startOriginDir(t, "--hdrs", "X-One,1,X-Two,two words; q=1,X-One,once more")
	o.put("/a.m4s", letters, 201)
	o.overEach(func(t *testing.T, o *originRun) {
		for _, a := range o.everyAnswer() {
			if got := a.Header["X-One"]; !slices.Equal(got, []string{"1", "once more"}) || a.Header.Get("X-Two") != "two words; q=1" {
				t.Errorf("%s %s: X-One: %q, X-Two: %q", a.Request.Method, a.Status, got, a.Header.Get("X-Two"))
			}
		}
	})
	dir := t.TempDir()
	for headers, want := range map[string]string{
		"X-One,1,X-Two": "hdrs", "X One,1": "X One", "X-One,1\r\nX-Two: 2": "X-One", ",1": "name",
	} {
		if said := refusesToStart(t, "origin", "--listen", freePort(t), "--hdrs", headers, dir); !strings.Contains(said, want) {
			t.Errorf("--hdrs %q: it says %q, want %s in it", headers, said, want)
		}
	}
}
