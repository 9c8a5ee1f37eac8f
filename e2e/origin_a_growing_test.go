//go:build e2e && linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// own is a path that no other subtest has.
func (o *originRun) own(name string) string { return "/" + path.Base(o.t.Name()) + "/" + name }

// testGrows: what is being uploaded is read piece by piece, by those who were there first and by those who come late. How long a piece takes
// make bench-origin prints.
func testGrows(t *testing.T) {
	o, _ := startOriginDir(t)
	o.overEach(func(t *testing.T, o *originRun) {
		at := o.own("seg-1.m4s")
		u := o.beginSeen(at, "")
		early := o.follow(at)
		u.says("one")
		early.hears("one")
		late := o.follow(at, "Accept-Encoding", "gzip")
		late.hears("one")
		for _, f := range []*follower{early, late} {
			if chunked := slices.Equal(f.TransferEncoding, []string{"chunked"}); chunked != (f.ProtoMajor == 1) || f.ContentLength >= 0 || f.StatusCode != 200 {
				t.Errorf("the head of what grows: %s %v, length %d", f.Status, f.TransferEncoding, f.ContentLength)
			}
			a := reply{Response: f.Response}
			a.has(t, "Cache-Control", "no-cache")
			a.has(t, "Content-Type", "video/iso.segment")
			for _, name := range []string{"Etag", "Content-Length", "Last-Modified", "Content-Encoding"} {
				a.has(t, name, "")
			}
		}
		for i := range 20 {
			piece := fmt.Sprintf("piece %d;", i)
			u.says(piece)
			early.hears(piece)
			late.hears(piece)
		}
		u.ends(201)
		early.hearsEnd(false)
		late.hearsEnd(false)
	})
}

// testEnd: the last chunk comes with the writer's end, and what came is the file.
func testEnd(t *testing.T) {
	o, dir := startOriginDir(t)
	o.overEach(func(_ *testing.T, o *originRun) {
		at, text := o.own("a.m4s"), strings.Repeat(letters, 40_000)
		u := o.beginSeen(at, text[:1000])
		f := o.follow(at)
		f.hears(text[:1000])
		u.says(text[1000:])
		u.ends(201)
		f.hears(text[1000:])
		f.hearsEnd(false)
		if file := readFile(t, filepath.Join(dir, at)); file != text {
			t.Errorf("the file has %d bytes, or others, want %d", len(file), len(text))
		}
	})
	u := o.beginSeen("/raw.m4s", "one")
	c := bufio.NewReader(say(t, o.addr, "GET /raw.m4s HTTP/1.1\r\nHost: x\r\n\r\nGET /raw.m4s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
	var chunks string
	for !strings.HasSuffix(chunks, "one\r\n") {
		line, err := c.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		chunks += line
	}
	u.says("two")
	u.ends(201)
	rest, err := io.ReadAll(c)
	if chunk, next, _ := strings.Cut(string(rest), "0\r\n\r\n"); err != nil || !strings.HasSuffix(chunks, "\r\n\r\n3\r\none\r\n") || chunk != "3\r\ntwo\r\n" ||
		!strings.HasPrefix(next, "HTTP/1.1 200 ") || !strings.HasSuffix(next, "\r\n\r\nonetwo") {
		t.Errorf("%q %q, %v", chunks, rest, err)
	}
}

// testHundredReaders: whenever they come, readers get the same.
func testHundredReaders(t *testing.T) {
	o, dir := startOriginDir(t, "--maxc=0", "--maxp=0")
	o.overEach(func(t *testing.T, o *originRun) {
		const pieces = 40
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		comes := make([]int, 100) // readers, and after which piece
		for i := range comes {
			comes[i] = random.IntN(pieces)
		}
		u := o.beginSeen(o.own("a.m4s"), "")
		var readers []*pending
		var all strings.Builder
		for i := range pieces {
			piece := strings.Repeat(strconv.Itoa(i)+",", random.IntN(5000))
			all.WriteString(piece)
			u.says(piece)
			for _, at := range comes {
				if at == i {
					readers = append(readers, o.later(o.own("a.m4s")))
				}
			}
		}
		o.active(1 + len(comes)) // none comes after the end
		u.ends(201)
		for i, r := range readers {
			if a := r.answered(200); a.body != all.String() || a.ContentLength >= 0 {
				t.Errorf("seed %d: reader %d has %d bytes of %d, or others", seed, i, len(a.body), all.Len())
			}
		}
		if file := readFile(t, filepath.Join(dir, o.own("a.m4s"))); file != all.String() {
			t.Errorf("seed %d: the file has %d bytes of %d, or others", seed, len(file), all.Len())
		}
	})
	o.active(0)
}

// testCompleted: when it has ended it is an object like any other.
func testCompleted(t *testing.T) {
	o, _ := startOriginDir(t)
	o.overEach(func(t *testing.T, o *originRun) {
		at := o.own("a.m4s")
		u := o.beginSeen(at, letters[:13])
		f := o.follow(at)
		f.hears(letters[:13])
		u.says(letters[13:])
		u.ends(201)
		a := o.get(at, 200)
		a.has(t, "Content-Length", "26")
		if a.body != letters || len(a.TransferEncoding) > 0 || !strongTag.MatchString(a.Header.Get("Etag")) || a.Header.Get("Last-Modified") == "" {
			t.Errorf("complete: %q, %v %v", a.body, a.TransferEncoding, a.Header)
		}
		a.has(t, "Cache-Control", "")
		o.get(at, 206, "Range", "bytes=2-3").has(t, "Content-Range", "bytes 2-3/26")
		o.get(at, 304, "If-None-Match", a.Header.Get("Etag"))
		f.hears(letters[13:])
		f.hearsEnd(false)
	})
}
