//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// bystander reads what somebody uploads, and notices nothing of what goes on beside it.
func (o *originRun) bystander() (noticesNothing func()) {
	o.t.Helper()
	u := o.beginSeen("/beside/seg-1.m4s", "begun")
	f := o.follow("/beside/seg-1.m4s")
	f.hears("begun")
	return func() {
		o.t.Helper()
		u.says("more")
		f.hears("more")
		u.ends(201)
		f.hearsEnd(false)
		o.get("/beside/seg-1.m4s", 200)
	}
}

// guarded is an origin of a directory beside which there is a file that nobody may read, write or remove; untouched
// looks after it, and wants nothing besides what names says to be in the directory of them all.
func guarded(t *testing.T, args ...string) (o *originRun, dir string, untouched func()) {
	t.Helper()
	above := t.TempDir()
	dir = filepath.Join(above, "files")
	for _, d := range []string{dir, filepath.Join(dir, "sub"), filepath.Join(above, "outside")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(above, "outside", "secret.txt"), "secret")
	put(t, filepath.Join(dir, "inside.txt"), "inside")
	o = startOrigin(t, append([]string{"--rdirs", dir, "--wdir", dir, "--dlist"}, args...)...)
	return o, dir, func() {
		t.Helper()
		holds(t, filepath.Join(above, "outside", "secret.txt"), "secret")
		onlyThere(t, filepath.Join(above, "outside"), "secret.txt")
		onlyThere(t, above, "files", "outside")
	}
}

// testTraversal: a path that leads out is 404 for who reads and 403 for who writes, however it is spelled; some spellings are no
// request at all.
func testTraversal(t *testing.T) {
	o, dir, untouched := guarded(t)
	check := o.bystander()
	for _, up := range []string{
		"/../outside/", "/sub/../../outside/", "/%2e%2e/outside/", "/%2E./outside/", "/.%2e/outside/", "/..%2foutside%2f", "/..%2Foutside/",
		"/%2e%2e%2foutside%2f", "/..%5coutside%5c", "/..\\outside\\", "//outside/", "/./../outside/", "/sub/%2e%2e/%2e%2e/outside/", "/..%00/outside/",
		"/...//outside/", "/%u002e%u002e/outside/", "//" + filepath.Dir(dir) + "/outside/", "/sub/./../../outside/", "/%252e%252e/../../outside/",
	} {
		o.refused("GET "+up+"secret.txt", 400, 404)
		o.refused("HEAD "+up+"secret.txt", 400, 404)
		o.refused("GET "+up, 400, 404)
		o.refused("PUT "+up+"secret.txt", 400, 403)
		o.refused("PUT "+up+"new.txt", 400, 403)
		o.refused("DELETE "+up+"secret.txt", 400, 403)
		untouched()
	}
	for _, hidden := range []string{"/.sluice-", "/..;/outside/", "/..%252foutside/", "/sub/.../"} { // what begins with a dot is not there
		o.refused("GET "+hidden+"secret.txt", 404)
		o.refused("PUT "+hidden+"secret.txt", 403)
		o.refused("DELETE "+hidden+"secret.txt", 204)
		untouched()
	}
	for _, odd := range []string{"/%252e%252e/outside/", "/%e2%80%a5/outside/", "/sub/%EF%BC%8E%EF%BC%8E%EF%BC%8Foutside/"} { // names like any other
		o.refused("GET "+odd+"secret.txt", 404)
		o.refused("PUT "+odd+"secret.txt", 201)
		untouched()
	}
	holds(t, filepath.Join(dir, "inside.txt"), "inside")
	check()
}

// refused sends a request line as it stands, with a body of three bytes where there may be one, and wants one of these answers.
func (o *originRun) refused(request string, want ...int) {
	o.t.Helper()
	w := wireTo(o.t, o.addr, "")
	defer w.Close()
	if strings.HasPrefix(request, "PUT ") {
		w.says(request, "Content-Length: 3", "Connection: close")
		_, _ = io.WriteString(w, "bad") // who is refused may be closed before
	} else {
		w.says(request, "Connection: close")
	}
	if a := w.hears(request); !slices.Contains(want, a.StatusCode) || a.body == "secret" {
		o.t.Errorf("%q: %s %.80q, want one of %d", request, a.Status, a.body, want)
	}
}

// testLinksOut: links to what is outside are not there for who reads, and are not followed by who writes; those that stay inside are.
func testLinksOut(t *testing.T) {
	o, dir, untouched := guarded(t)
	check := o.bystander()
	for name, to := range map[string]string{
		"file": "../outside/secret.txt", "rooted": filepath.Join(filepath.Dir(dir), "outside/secret.txt"), "place": "../outside",
		"sub/chain": "../file", "loop": "loop", "system": "/proc/self/environ", "fine": "sub/../inside.txt", "nowhere": "../outside/new.txt",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"file", "rooted", "place/secret.txt", "place/", "place", "sub/chain", "loop", "system", "nowhere"} {
		o.get("/"+name, 404)
	}
	for _, name := range []string{"place/secret.txt", "place/new.txt", "place/deep/new.txt"} {
		o.put("/"+name, "bad", 403)
		untouched()
	}
	for _, name := range []string{"file", "rooted", "nowhere", "sub/chain"} { // the link is replaced, or it is refused
		if a := o.ask(http.MethodPut, "/"+name, "bad"); !slices.Contains([]int{200, 201, 403}, a.StatusCode) {
			t.Errorf("PUT /%s: %s %q", name, a.Status, a.body)
		}
		untouched()
	}
	if a := o.ask(http.MethodDelete, "/place/secret.txt", ""); !slices.Contains([]int{204, 403}, a.StatusCode) {
		t.Errorf("DELETE through a link: %s %q", a.Status, a.body)
	}
	untouched()
	if a := o.get("/fine", 200); a.body != "inside" {
		t.Errorf("a link inside reads %q", a.body)
	}
	check()
}

// testBadUploads: what stops, breaks off or says too much is answered, or its connection is closed; its readers see that it broke, the next upload
// of the name is taken, and nothing is left of it.
func testBadUploads(t *testing.T) {
	o, dir, _ := guarded(t, "--upload-stall", "1s", "--maxs", "100000")
	check := o.bystanderOfOthers()
	names := []string{"inside.txt", "sub"}
	for name, bad := range map[string]struct {
		lines  []string
		body   string
		leaves bool // the client closes
		status int  // 0 = no answer, or none that anybody could wait for
	}{
		"stops":            {[]string{"Content-Length: 100"}, "abc", false, 408},
		"stops-in-chunk":   {[]string{"Transfer-Encoding: chunked"}, "64\r\nabc", false, 408},
		"stops-after":      {[]string{"Transfer-Encoding: chunked"}, "3\r\nabc\r\n", false, 408},
		"shorter":          {[]string{"Content-Length: 100"}, "abc", true, 0},
		"no-last-chunk":    {[]string{"Transfer-Encoding: chunked"}, "3\r\nabc\r\n", true, 0},
		"bad-chunk":        {[]string{"Transfer-Encoding: chunked"}, "3\r\nabc\r\nnonsense\r\n", false, 400},
		"huge-chunk":       {[]string{"Transfer-Encoding: chunked"}, "3\r\nabc\r\nffffffffffffffffff\r\n", false, 400},
		"chunk-too-long":   {[]string{"Transfer-Encoding: chunked"}, "3\r\nabcdef\r\n0\r\n\r\n", false, 400},
		"both":             {[]string{"Transfer-Encoding: chunked", "Content-Length: 3"}, "3\r\nabc\r\n", true, 0},
		"two-lengths":      {[]string{"Content-Length: 3", "Content-Length: 4"}, "abcd", false, 400},
		"negative":         {[]string{"Content-Length: -3"}, "abc", false, 400},
		"unknown-transfer": {[]string{"Transfer-Encoding: gzip, chunked"}, "3\r\nabc\r\n0\r\n\r\n", false, 501},
		"not-gzip":         {[]string{"Content-Length: 3", "Content-Encoding: gzip"}, "abc", false, 400},
		"never-ends":       {[]string{"Transfer-Encoding: chunked"}, strings.Repeat("2710\r\n"+strings.Repeat("x", 10_000)+"\r\n", 11), false, 413},
	} {
		t.Run(name, func(t *testing.T) {
			one := *o
			one.t = t
			path := "/" + name + ".m4s"
			w := wireTo(t, o.addr, "")
			defer w.Close()
			// In one piece: what net/http refuses by its head it does not wait for, and what came behind its back would make the end a
			// reset. It may be closed in the midst of it.
			_, _ = io.WriteString(w, spelled("PUT "+path, bad.lines...)+bad.body)
			if bad.leaves {
				one.appears(path)
				f := one.follow(path)
				f.hears("abc")
				w.Close()
				f.hearsEnd(true)
			} else if a := w.hears("PUT " + path); a.StatusCode != bad.status {
				t.Errorf("%s %q, want %d", a.Status, a.body, bad.status)
			}
			one.get(path, 404)
			one.put(path, "good", 201)
		})
		names = append(names, name+".m4s")
	}
	check()
	testkit.Eventually(t, func() error { return isAll(dir, names) })
}

// bystanderOfOthers is bystander of an origin that ends uploads which say nothing: they are told apart by what they send.
func (o *originRun) bystanderOfOthers() func() {
	o.t.Helper()
	o.put("/beside/seg-1.m4s", strings.Repeat("x", 50_000), 201)
	f := o.follow("/beside/seg-1.m4s")
	f.hears("x")
	return func() {
		o.t.Helper()
		f.hears(strings.Repeat("x", 49_999))
		f.hearsEnd(false)
	}
}

// isAll wants a directory to have these files, "beside", and no others, hidden ones included.
func isAll(dir string, names []string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(list) != len(names)+1 {
		return fmt.Errorf("there are %v, want %q and what is beside", list, names)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// testBrokenRanges: what is no range, is beyond the object, or is far too many is answered at once, and as one whole answer at most.
func testBrokenRanges(t *testing.T) {
	o, dir := startOriginDir(t)
	check := o.bystander()
	const text = "0123456789"
	put(t, filepath.Join(dir, "ten.txt"), text)
	for value, want := range map[string]int{
		"bytes=": 416, "bytes=-": 416, "bytes=x-y": 416, "bytes=5-2": 416, "bytes=--1": 416, "bytes=-0": 416, "bytes=10-": 416, "bytes=99-100": 416,
		"bytes=1-2-3": 416, "bytes=,": 416, "bytes=0x1-2": 416, "bytes=+1-2": 416, "bytes=1.5-2": 416, "bytes 0-1": 200, "0-1": 200, "lines=0-1": 200,
		"bytes=99999999999999999999-": 416, "bytes=0-99999999999999999999": 206, "bytes=-99999999999999999999": 206, "bytes=9223372036854775807-": 416,
		"bytes=-1,": 206, "bytes= 1 - 2": 416, "": 200, "bytes=0-0,-1": 206,
		"bytes=0-," + strings.Repeat("0-,", 2000) + "0-": 200, strings.Repeat("bytes=0-1,", 100) + "1-2": 200,
	} {
		a := o.ask(http.MethodGet, "/ten.txt", "", "Range", value)
		if a.StatusCode != want || len(a.body) > 1000 || want == 200 && a.body != text {
			t.Errorf("Range: %.60q: %s, %.80q; want %d", value, a.Status, a.body, want)
		}
		if want == 416 {
			a.has(t, "Content-Range", "bytes */10")
		}
	}
	check()
}

// testTwoWriters: the second is told that there is a first, whose readers notice nothing; the name is free as soon as that one has ended, or broken off.
func testTwoWriters(t *testing.T) {
	o, dir := startOriginDir(t)
	o.overEach(func(t *testing.T, o *originRun) {
		path := "/" + filepath.Base(t.Name()) + ".m4s"
		for _, whole := range []bool{true, false} {
			u := o.beginSeen(path+fmt.Sprint(whole), "one")
			path := path + fmt.Sprint(whole)
			f := o.follow(path)
			f.hears("one")
			o.put(path, "second", 409)
			if a := o.ask(http.MethodPut, path, "xx", "Range", "bytes=0-1"); a.StatusCode != 409 {
				t.Errorf("a patch of what is being written: %s %q", a.Status, a.body)
			}
			u.says("two")
			f.hears("two")
			if whole {
				u.ends(201)
				f.hearsEnd(false)
				holds(t, filepath.Join(dir, path), "onetwo")
				o.put(path, "third", 200)
				continue
			}
			u.breaks()
			f.hearsEnd(true)
			seen(t, filepath.Join(dir, path), false)
			o.put(path, "third", 201)
		}
	})
}

// testFullDisk: an upload for which there is no room is 507, its readers see that it broke, nothing is left of it, and who reads or
// replaces something small goes on.
func testFullDisk(t *testing.T) {
	dir := testkit.SmallDisk(t, 1<<20)
	o := startOrigin(t, "--rdirs", dir, "--wdir", dir)
	o.put("/small.m4s", "small", 201)
	check := o.bystander()
	big := string(bytes.Repeat([]byte("x"), 2<<20))
	o.put("/big.m4s", big, http.StatusInsufficientStorage)

	u := o.beginSeen("/grows.m4s", "begun")
	f := o.follow("/grows.m4s")
	f.hears("begun")
	_, _ = io.WriteString(u.body, big) // until there is no more room
	u.body.Close()
	if <-u.done; u.err == nil && u.resp.StatusCode != http.StatusInsufficientStorage {
		t.Errorf("an upload beyond the end of the disk: %s", u.resp.Status)
	}
	if n, err := io.Copy(io.Discard, f.Body); err == nil {
		t.Errorf("its reader sees an end in good order, behind %d bytes", n)
	}
	check()
	onlyThere(t, dir, "beside", "small.m4s")
	o.put("/small.m4s", "other", 200)
	o.put("/new.m4s", "new", 201)
	if a := o.get("/small.m4s", 200); a.body != "other" {
		t.Errorf("after it the disk reads %q", a.body)
	}
}

// testByteReader: readers that take next to nothing hold up neither the writer nor other readers, whether the object grows or is
// complete; they are ended, and nobody else.
func testByteReader(t *testing.T) {
	o, dir := startOriginDir(t, "--stall", "2s", "--maxp", "0")
	if err := os.WriteFile(filepath.Join(dir, "whole.m4s"), make([]byte, 32<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	u := o.beginSeen("/grows.m4s", "begun")
	for _, path := range []string{"/whole.m4s", "/grows.m4s", "/grows.m4s"} {
		w := narrowWire(t, o.addr)
		w.says("GET " + path)
		if _, err := io.ReadFull(w, make([]byte, 12)); err != nil { // a byte or so, and no more
			t.Fatal(err)
		}
	}
	f := o.follow("/grows.m4s")
	f.hears("begun")
	piece := strings.Repeat("x", 1<<20)
	for range 24 {
		u.says(piece)
		f.hears(piece)
	}
	if a := o.get("/whole.m4s", 200); len(a.body) != 32<<20 {
		t.Errorf("another reader gets %d bytes", len(a.body))
	}
	u.ends(201)
	f.hearsEnd(false)
	o.eventually(func(st report.Origin) error {
		if st.Active != 0 {
			return fmt.Errorf("%d requests are being answered yet", st.Active)
		}
		return nil
	})
}

// narrowWire is a connection that takes as little as can be.
func narrowWire(t *testing.T, addr string) *wire {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err == nil {
		err = c.(*net.TCPConn).SetReadBuffer(1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return wireOn(t, c)
}
