//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testBrokenOff: readers of what breaks off are broken off, too, and what has come of it goes; or it stays.
func testBrokenOff(t *testing.T) {
	t.Run("delete", func(t *testing.T) {
		o, dir := startOriginDir(t, "--maxp=0")
		o.put("/old.m4s", "old", 201)
		o.overEach(func(_ *testing.T, o *originRun) {
			at := o.own("a.m4s")
			o.breaksReaders(at)
			o.get(at, 404)
			o.breaksReplacement("/old.m4s")
			o.eventuallyHas("/old.m4s", "old")
		})
		wantFiles(t, dir, "old.m4s")
	})
	t.Run("keep", func(t *testing.T) {
		o, dir := startOriginDir(t, "--maxp=0", "--on-abort=keep")
		o.overEach(func(_ *testing.T, o *originRun) {
			at := o.own("a.m4s")
			o.breaksReaders(at)
			o.eventuallyHas(at, "one\n")
			o.breaksReplacement(at)
			o.eventuallyHas(at, "new")
		})
		wantFiles(t, dir, "h1/a.m4s", "h2/a.m4s")
	})
}

// breaksReaders breaks off an upload: none of its readers takes what it has for all, in whatever way it reads, and who waits for more is
// told that there is none.
func (o *originRun) breaksReaders(at string) {
	o.t.Helper()
	u := o.beginSeen(at, "one\n")
	f := o.follow(at)
	f.hears("one\n")
	waits := o.later(at, "Range", "bytes=6-7")
	raw := say(o.t, o.addr, "GET "+at+" HTTP/1.1\r\nHost: x\r\n\r\n")
	partial := testkit.Start(o.t, "curl", "-sSN", "--http1.1", o.url+at)
	reset := testkit.Start(o.t, "curl", "-sSN", "--http2-prior-knowledge", o.url+at)
	for _, p := range []*testkit.Proc{partial, reset} {
		p.WaitLine("one")
	}
	o.active(6)
	u.breaks()
	f.hearsEnd(true)
	waits.answered(404)
	if got, _ := io.ReadAll(raw); !strings.HasSuffix(string(got), "\r\n\r\n4\r\none\n\r\n") {
		o.t.Errorf("on the wire is %q, want no more than one chunk", got)
	}
	// 18: the file is partial; 92: a stream of HTTP/2 was reset.
	if err1, err2 := partial.Wait(), reset.Wait(); fmt.Sprint(err1, ", ", err2) != "exit status 18, exit status 92" {
		o.t.Errorf("curl: %v: %s, %v: %s", err1, partial.Output(), err2, reset.Output())
	}
}

// breaksReplacement breaks off what is to replace something, when somebody reads it.
func (o *originRun) breaksReplacement(at string) {
	o.t.Helper()
	u := o.begin(at, "new")
	o.eventually(func(st report.Origin) error {
		for _, m := range st.Mounts {
			if m.Bytes == 3 {
				return nil
			}
		}
		return fmt.Errorf("nothing of it has come: %+v", st.Mounts)
	})
	f := o.follow(at)
	f.hears("new")
	u.breaks()
	f.hearsEnd(true)
}

// eventuallyHas waits until an object is complete, and this. Its readers are told of an end before the disk has it.
func (o *originRun) eventuallyHas(at, text string) {
	o.t.Helper()
	testkit.Eventually(o.t, func() error {
		if a := o.ask("GET", at, ""); a.StatusCode != 200 || a.body != text || a.ContentLength != int64(len(text)) {
			return fmt.Errorf("GET %s: %s %q, length %d", at, a.Status, a.body, a.ContentLength)
		}
		return nil
	})
}

// wantFiles wants exactly these files in a directory, hidden ones too.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			got = append(got, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("in the directory is %q, %v; want %q", got, err, want)
	}
}
