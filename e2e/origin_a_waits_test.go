//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testRangeOfGrowing: a part that is there comes at once, one that is to come is waited for.
func testRangeOfGrowing(t *testing.T) {
	o, _ := startOriginDir(t, "--maxp=0")
	o.overEach(func(t *testing.T, o *originRun) {
		at := o.own("a.m4s")
		u := o.beginSeen(at, letters[:10])
		there := o.get(at, 206, "Range", "bytes=2-5")
		there.has(t, "Content-Range", "bytes 2-5/*") // how long it will be nobody knows
		there.has(t, "Content-Length", "4")
		there.has(t, "Cache-Control", "no-cache")
		there.has(t, "Etag", "")
		if there.body != "cdef" {
			t.Errorf("what is there: %q", there.body)
		}
		o.get(at, 416, "Range", "bytes=5-2")
		next := o.later(at, "Range", "bytes=8-12")
		o.active(2)
		next.unanswered()
		u.says(letters[10:12])
		next.unanswered() // one is missing
		u.says(letters[12:13])
		a := next.answered(206)
		a.has(t, "Content-Range", "bytes 8-12/*")
		if a.body != "ijklm" {
			t.Errorf("what came: %q", a.body)
		}
		o.endsShorter(u, at)
	})
	o.active(0)
}

// endsShorter ends an object of 13 bytes with 22: who waits for more gets what there is, or is told that there is no more.
func (o *originRun) endsShorter(u *upload, at string) {
	o.t.Helper()
	cut := o.later(at, "Range", "bytes=20-30")
	none := o.later(at, "Range", "bytes=22-30")
	two := o.later(at, "Range", "bytes=0-1,20-21")
	o.active(4)
	for _, p := range []*pending{cut, none, two} {
		p.unanswered()
	}
	u.says(letters[13:22])
	u.ends(201)
	a := cut.answered(206)
	a.has(o.t, "Content-Range", "bytes 20-21/22")
	a.has(o.t, "Content-Length", "2")
	if a.body != "uv" {
		o.t.Errorf("what there is: %q", a.body)
	}
	none.answered(416).has(o.t, "Content-Range", "bytes */22")
	wantParts(o.t, two.answered(206), "bytes 0-1/22", "ab", "bytes 20-21/22", "uv")
}

// testOpenRange: a range without an end comes as it comes to those who take that, and else when its end is known.
func testOpenRange(t *testing.T) {
	o, _ := startOriginDir(t, "--maxp=0")
	o.overEach(func(t *testing.T, o *originRun) {
		at := o.own("a.m4s")
		u := o.beginSeen(at, letters[:10])
		var open []*follower
		for _, header := range [][2]string{
			{"X-Allow-Open-Partial-Range", "1"}, {"X-Allow-Open-Partial-Range", "true"}, {"X-Allow-Open-Partial-Range", "yes"}, {"User-Agent", "GPAC/26.08-DEV"},
		} {
			f := o.follow(at, "Range", "bytes=3-", header[0], header[1])
			a := reply{Response: f.Response}
			a.has(t, "Content-Range", "bytes 3-/*")
			if f.StatusCode != 206 || f.ContentLength >= 0 {
				t.Errorf("%s: %s: %s, length %d", header[0], header[1], f.Status, f.ContentLength)
			}
			f.hears(letters[3:10])
			open = append(open, f)
		}
		all := o.follow(at, "Range", "bytes=0-") // as players ask by habit
		reply{Response: all.Response}.has(t, "Content-Range", "")
		if all.StatusCode != 200 {
			t.Errorf("bytes=0-: %s", all.Status)
		}
		all.hears(letters[:10])
		rest, tail := o.later(at, "Range", "bytes=3-"), o.later(at, "Range", "bytes=-4")
		o.active(1 + len(open) + 3)
		u.says(letters[10:])
		for _, f := range append(open, all) {
			f.hears(letters[10:])
		}
		rest.unanswered()
		tail.unanswered()
		u.ends(201)
		for _, f := range append(open, all) {
			f.hearsEnd(false)
		}
		a := rest.answered(206)
		a.has(t, "Content-Range", "bytes 3-25/26")
		b := tail.answered(206)
		b.has(t, "Content-Range", "bytes 22-25/26")
		if a.body != letters[3:] || b.body != letters[22:] {
			t.Errorf("at the end: %q, %q", a.body, b.body)
		}
	})
	testOpenRangeFFmpeg(t, o)
}

// testOpenRangeFFmpeg: ffmpeg, which asks for bytes=0-, plays what is being uploaded before it has ended.
func testOpenRangeFFmpeg(t *testing.T, o *originRun) {
	file := h264.file(t)
	text := readFile(t, file)
	u := o.beginSeen("/clip.ts", text[:len(text)/2])
	packets := func(from string) []string {
		return []string{"-v", "error", "-nostdin", "-i", from, "-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "framecrc", "-"}
	}
	p := testkit.Start(t, "ffmpeg", packets(o.url+"/clip.ts")...)
	p.WaitLine(`^0, `) // a packet
	u.says(text[len(text)/2:])
	u.ends(201)
	if err := p.Wait(); err != nil {
		t.Errorf("ffmpeg: %v", err)
	}
	want, err := exec.Command("ffmpeg", packets(file)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Output(); got != string(want) {
		t.Errorf("ffmpeg has read %d packets, want %d", strings.Count(got, "\n"), strings.Count(string(want), "\n"))
	}
}

// testWhole: where nothing is chunked, what grows is waited for.
func testWhole(t *testing.T) {
	o, dir := startOriginDir(t, "--cte=0", "--maxp=0")
	o.overEach(func(t *testing.T, o *originRun) {
		at := o.own("a.m4s")
		u := o.begin(at, letters[:10])
		o.eventually(func(st report.Origin) error {
			for _, m := range st.Mounts {
				if m.Bytes == 10 {
					return nil
				}
			}
			return fmt.Errorf("nothing has come: %+v", st.Mounts)
		})
		o.get(at, 304, "If-None-Match", "*")
		get, part := o.later(at), o.later(at, "Range", "bytes=2-5")
		o.active(3)
		get.unanswered()
		part.unanswered()
		u.says(letters[10:])
		get.unanswered()
		u.ends(201)
		a := get.answered(200)
		a.has(t, "Content-Length", "26")
		if a.body != letters || len(a.TransferEncoding) > 0 {
			t.Errorf("%q, %v", a.body, a.TransferEncoding)
		}
		part.answered(206).has(t, "Content-Range", "bytes 2-5/26")
		broken := o.begin(o.own("b.m4s"), "x")
		o.eventually(func(st report.Origin) error {
			if n := st.Mounts[0].Objects; n != 1 {
				return fmt.Errorf("%d objects are being written", n)
			}
			return nil
		})
		waits := o.later(o.own("b.m4s"))
		o.active(2)
		broken.breaks()
		waits.answered(404)
		if head := o.ask(http.MethodHead, at, ""); head.ContentLength != 26 {
			t.Errorf("HEAD: %v", head.Header)
		}
	})
	wantFiles(t, dir, "h1/a.m4s", "h2/a.m4s")
}
