//go:build e2e && linux

package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// puts sends an upload with its length and its body, wants a status, and an answer that says where it ends.
func (w *wire) puts(status int, request, body string, lines ...string) reply {
	w.t.Helper()
	w.says(request, append(lines, "Content-Length: "+strconv.Itoa(len(body)))...)
	if _, err := io.WriteString(w, body); err != nil {
		w.t.Fatalf("%s: %v", request, err)
	}
	a := w.hears(request)
	if a.StatusCode != status || a.ContentLength < 0 {
		w.t.Fatalf("%s: %s, length %d, %q; want %d with a length", request, a.Status, a.ContentLength, a.body, status)
	}
	return a
}

// puts is puts on a connection of its own.
func (o *originRun) puts(status int, request, body string, lines ...string) reply {
	o.t.Helper()
	w := wireTo(o.t, o.addr, "")
	defer w.Close()
	return w.puts(status, request, body, lines...)
}

// holds wants a file to have a content.
func holds(t *testing.T, path, text string) {
	t.Helper()
	if got := readFile(t, path); got != text {
		t.Errorf("%s has %.80q (%d bytes), want %.80q (%d)", path, got, len(got), text, len(text))
	}
}

// testPut: PUT and POST are one, and say what has become of the object and where it is; a hundred come one behind the other on one connection.
func testPut(t *testing.T) {
	o, dir := startOriginDir(t)
	w := wireTo(t, o.addr, "")
	for i, method := range slices.Repeat([]string{"PUT", "POST"}, 50) {
		name, status := "seg-"+strconv.Itoa(i/4)+".m4s", 200
		if i%4 == 0 {
			status = 201
		}
		text := strings.Repeat(letters, i)
		a := w.puts(status, method+" /live/"+name, text)
		a.has(t, "Content-Location", "/live/"+name)
		a.has(t, "Content-Length", "0")
		holds(t, filepath.Join(dir, "live", name), text)
	}
	w.puts(201, "PUT /a%20b%3Fc.m4s", letters).has(t, "Content-Location", "/a%20b%3Fc.m4s")
	holds(t, filepath.Join(dir, "a b?c.m4s"), letters)
	o.overEach(func(t *testing.T, o *originRun) {
		path := "/" + filepath.Base(t.Name()) + ".m4s"
		for _, status := range []int{201, 200} {
			a := o.put(path, letters, status)
			a.has(t, "Content-Location", path)
			a.has(t, "Content-Length", "0")
		}
		holds(t, filepath.Join(dir, path), letters)
	})
	testPutCurl(t, o, dir)
}

// testPutCurl: curl sees the end of each answer, and uses the connection again.
func testPutCurl(t *testing.T, o *originRun, dir string) {
	file := put(t, filepath.Join(t.TempDir(), "one"), letters)
	args := []string{"-w", "%{http_code} %{num_connects}\n"}
	for _, how := range [][]string{{"-T", file}, {"-T", file}, {"--data-binary", "@" + file}, {"-X", "DELETE"}} {
		args = append(append(args, how...), o.url+"/curl.m4s", "--next", "-w", "%{http_code} %{num_connects}\n")
	}
	args = append(args, "-X", "DELETE", o.url+"/curl.m4s")
	if got, want := curls(t, args...), "201 1\n200 0\n200 0\n200 0\n204 0\n"; got != want {
		t.Errorf("curl has %q, want %q", got, want)
	}
}

// testPutChunked: what has no length comes in chunks or by HTTP/2, and who asks whether to go on is told.
func testPutChunked(t *testing.T) {
	o, dir := startOriginDir(t)
	w := wireTo(t, o.addr, "")
	w.says("PUT /raw.m4s", "Transfer-Encoding: chunked", "Expect: 100-continue")
	if line := hearsLine(t, w.r); line != "HTTP/1.1 100 Continue\r" {
		t.Fatalf("who expects to be told to go on is told %q", line)
	}
	hears(t, w.r, "\r\n")
	says(t, w, "3\r\nabc\r\n")
	says(t, w, "4;name=value\r\ndefg\r\n0\r\nX-Trailer: x\r\n\r\n")
	if a := w.hears("PUT /raw.m4s"); a.StatusCode != 201 {
		t.Errorf("chunks: %s", a.Status)
	}
	holds(t, filepath.Join(dir, "raw.m4s"), "abcdefg")
	w.puts(200, "PUT /raw.m4s", letters) // the connection goes on
	o.overEach(func(t *testing.T, o *originRun) {
		name := filepath.Base(t.Name()) + ".m4s"
		u := o.begin("/"+name, "one")
		u.says("two")
		u.ends(201)
		holds(t, filepath.Join(dir, name), "onetwo")
	})
	testPutChunkedCurl(t, o, dir)
}

func testPutChunkedCurl(t *testing.T, o *originRun, dir string) {
	file := put(t, filepath.Join(t.TempDir(), "one"), strings.Repeat(letters, 100_000))
	for _, args := range [][]string{
		{"-T", file, "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"},
		{"-T", file, "-H", "Expect: 100-continue"},
		{"-T", file, "--http2-prior-knowledge"},
	} {
		said := curls(t, append(args, "-v", o.url+"/curl.m4s")...)
		if strings.Contains(said, "> Expect") && !strings.Contains(said, "< HTTP/1.1 100 Continue") {
			t.Errorf("curl %v is not told to go on: %s", args, said)
		}
		if got := readFile(t, filepath.Join(dir, "curl.m4s")); got != readFile(t, file) {
			t.Errorf("curl %v has uploaded %d bytes, or others", args, len(got))
		}
	}
}

// testNoWriteDirectory: where nothing is written, nothing of an upload is read, and what is permitted is said.
func testNoWriteDirectory(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.m4s"), letters)
	o := startOrigin(t, dir)
	for _, request := range []string{"PUT /a.m4s", "POST /new.m4s", "DELETE /a.m4s", "PUT /"} {
		w := wireTo(t, o.addr, "")
		w.says(request, "Content-Length: 1000", "Expect: 100-continue")
		a := w.hears(request) // of 100 it would make a wrong status
		if a.StatusCode != http.StatusMethodNotAllowed || a.ContentLength < 0 {
			t.Errorf("%s: %s, want 405 with a length", request, a.Status)
		}
		a.has(t, "Allow", "GET,HEAD,OPTIONS")
		w.Close()
	}
	holds(t, filepath.Join(dir, "a.m4s"), letters)
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("the directory has %v, %v", list, err)
	}
	o.overEach(func(t *testing.T, o *originRun) {
		o.put("/a.m4s", "x", 405).has(t, "Allow", "GET,HEAD,OPTIONS")
	})
}

// testParents: directories on the way are made; what is a file on the way is no directory.
func testParents(t *testing.T) {
	o, dir := startOriginDir(t)
	o.put("/a/b/c/d.m4s", letters, 201)
	holds(t, filepath.Join(dir, "a/b/c/d.m4s"), letters)
	o.put("/a/b/e.m4s", letters, 201)
	if a := o.put("/a/b/e.m4s/f.m4s", letters, 409); !strings.Contains(a.body, "directory") {
		t.Errorf("below an object: %q", a.body)
	}
	o.put("/a/b", letters, 409)
	o.put("/a/b/", letters, 403)
	memory := startOrigin(t, "--rdirs", "gmem", "--wdir", "gmem")
	memory.put("/a/b/c/d.m4s", letters, 201)
	if got := memory.get("/a/b/c/d.m4s", 200).body; got != letters {
		t.Errorf("the memory has %q", got)
	}
}

// testNoLength: HTTP/1 wants to know where an upload ends; that it is empty is a length, too.
func testNoLength(t *testing.T) {
	o, dir := startOriginDir(t)
	for _, method := range []string{"PUT", "POST"} {
		path := filepath.Join(dir, method+".m4s")
		w := wireTo(t, o.addr, "")
		w.wants(411, method+" /"+method+".m4s")
		w.Close()
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s without a length makes a file", method)
		}
		o.puts(201, method+" /"+method+".m4s", "")
		holds(t, path, "")
		o.puts(200, method+" /"+method+".m4s", "")
	}
	o.overEach(func(t *testing.T, o *originRun) {
		name := filepath.Base(t.Name()) + ".m4s"
		o.begin("/"+name, "").ends(201) // in chunks, of which there are none
		holds(t, filepath.Join(dir, name), "")
	})
}

// testTooLong: what says that it is too long is not read; what turns out to be is broken off, and nothing stays of it.
func testTooLong(t *testing.T) {
	o, dir := startOriginDir(t, "--maxs", "1000")
	put(t, filepath.Join(dir, "old.m4s"), letters)
	for _, name := range []string{"old.m4s", "new.m4s"} {
		w := wireTo(t, o.addr, "")
		w.wants(413, "PUT /"+name, "Content-Length: 1001", "Expect: 100-continue")
		w.ends()
		w = wireTo(t, o.addr, "")
		w.wants(413, "PUT /"+name, "Content-Length: 99999999999") // of which nothing is sent
		w.ends()
		w = wireTo(t, o.addr, "")
		w.says("PUT /"+name, "Transfer-Encoding: chunked")
		says(t, w, "3e8\r\n"+strings.Repeat("x", 1000)+"\r\n1\r\ny\r\n") // and no end
		if a := w.hears("PUT /" + name); a.StatusCode != 413 || !strings.Contains(a.body, "longer") {
			t.Errorf("PUT of 1001 bytes in chunks: %s %q", a.Status, a.body)
		}
		w.ends()
	}
	o.put("/exact.m4s", strings.Repeat("x", 1000), 201)
	holds(t, filepath.Join(dir, "old.m4s"), letters)
	onlyThere(t, dir, "exact.m4s", "old.m4s")
	o.overEach(func(t *testing.T, o *originRun) {
		o.put("/new.m4s", strings.Repeat("x", 1001), 413)
		u := o.beginSeen("/new.m4s", "abc")
		f := o.follow("/new.m4s")
		f.hears("abc")
		_, _ = io.WriteString(u.body, strings.Repeat("x", 1000)) // it is broken off in the midst of it
		if <-u.done; u.err == nil && u.resp.StatusCode != 413 {
			t.Errorf("an upload that becomes too long is answered %s", u.resp.Status)
		}
		if rest, err := io.ReadAll(f.Body); err == nil {
			t.Errorf("its reader sees an end in good order behind %d more bytes", len(rest))
		}
	})
	onlyThere(t, dir, "exact.m4s", "old.m4s")
	source := startOrigin(t, "--hmode", "source", "--viewers", freePort(t), "--maxs", "1000")
	source.put("/cam.ts", strings.Repeat("x", 100_000), 201)
}

// onlyThere wants a directory to have these files and no others, hidden ones included.
func onlyThere(t *testing.T, dir string, names ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, names) {
		t.Errorf("%s has %q, want %q", dir, got, names)
	}
}

// testPatch: an upload for ranges changes these bytes, all of them or none.
func testPatch(t *testing.T) {
	o, dir := startOriginDir(t)
	path := put(t, filepath.Join(dir, "a.m4s"), letters)
	for _, p := range []struct {
		ranges, body string
		status       int
		after        string
	}{
		{"bytes=0-1,4-5", "ABEF", 200, "ABcdEFghijklmnopqrstuvwxyz"},
		{"bytes=2-2,bytes=25-25", "CZ", 200, "ABCdEFghijklmnopqrstuvwxyZ"},
		{"bytes=24-27", "yz12", 200, "ABCdEFghijklmnopqrstuvwxyz12"},
		{"bytes=0-1,4-5", "abcde", 416, ""}, // more than is described
		{"bytes=0-1,4-5", "abc", 416, ""},   // less
		{"bytes=0-1,x", "ab", 416, ""},
		{"bytes=1-0", "ab", 416, ""},
		{"bytes=100-101", "ab", 416, ""}, // would leave a hole
		{"lines=0-1", "ab", 416, ""},
	} {
		before := readFile(t, path)
		o.puts(p.status, "PUT /a.m4s", p.body, "Range: "+p.ranges)
		if p.after == "" {
			p.after = before
		}
		holds(t, path, p.after)
	}
	for chunk, status := range map[string]int{"5\r\nABCDE": 416, "3\r\nABC": 400} { // the same, as it turns out
		w := wireTo(t, o.addr, "")
		w.says("PUT /a.m4s", "Range: bytes=0-1,4-5", "Transfer-Encoding: chunked")
		says(t, w, chunk+"\r\n0\r\n\r\n")
		if a := w.hears("PUT /a.m4s"); a.StatusCode != status {
			t.Errorf("ranges of 4 bytes, a body of %q: %s %q, want %d", chunk, a.Status, a.body, status)
		}
	}
	before := readFile(t, path)
	o.overEach(func(t *testing.T, o *originRun) {
		for header, status := range map[string]int{"bytes=0-1": 416, "bytes=0-2": 200, "bytes=0-3": 416} {
			if a := o.ask(http.MethodPut, "/a.m4s", "ABC", "Range", header); a.StatusCode != status {
				t.Errorf("three bytes for Range: %s: %s, want %d", header, a.Status, status)
			}
		}
		if a := o.ask(http.MethodPut, "/a.m4s", "x", "Content-Range", "bytes 0-0/26"); a.StatusCode != 400 { // RFC 9110, 14.5
			t.Errorf("Content-Range: %s, want 400", a.Status)
		}
		if a := o.ask(http.MethodPut, "/none.m4s", "x", "Range", "bytes=0-0"); a.StatusCode != 404 {
			t.Errorf("a range of nothing: %s, want 404", a.Status)
		}
	})
	holds(t, path, "ABC"+before[3:])
	onlyThere(t, dir, "a.m4s")
}

// testDelete: what is deleted is gone for who comes then, and not for who has begun to read.
func testDelete(t *testing.T) {
	text := string(bytes.Repeat([]byte(letters), 1<<20)) // no socket has room for it
	dir := t.TempDir()
	for name, o := range map[string]*originRun{
		"directory": startOrigin(t, "--rdirs", dir, "--wdir", dir),
		"memory":    startOrigin(t, "--rdirs", "gmem", "--wdir", "gmem"),
	} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			o.overEach(testDeleteOne)
			o.put("/live/large.m4s", text, 201)
			f := o.follow("/live/large.m4s")
			f.hears(letters)
			o.puts(200, "DELETE /live/large.m4s", "").has(t, "Content-Length", "0")
			o.get("/live/large.m4s", 404)
			rest, err := io.ReadAll(f.Body)
			if err != nil || string(rest) != text[len(letters):] {
				t.Errorf("a reader of what was deleted has %d more bytes, %v, want %d", len(rest), err, len(text)-len(letters))
			}
		})
	}
	seen(t, filepath.Join(dir, "live"), true) // without the profile directories stay
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	one := startOrigin(t, "--rdirs", dir, "--wdir", dir)
	if a := one.ask(http.MethodDelete, "/empty", ""); a.StatusCode != 403 {
		t.Errorf("DELETE of a directory: %s, want 403", a.Status)
	}
	onlyThere(t, dir, "empty", "live")
}

func testDeleteOne(t *testing.T, o *originRun) {
	o.put("/live/a.m4s", letters, 201)
	for _, status := range []int{200, 204} {
		if a := o.ask(http.MethodDelete, "/live/a.m4s", ""); a.StatusCode != status || a.body != "" {
			t.Errorf("DELETE: %s %q, want %d", a.Status, a.body, status)
		}
	}
	o.put("/live/b.m4s", letters, 201)
	for _, path := range []string{"/live", "/live/", "/"} {
		if a := o.ask(http.MethodDelete, path, ""); a.StatusCode != 403 {
			t.Errorf("DELETE %s: %s, want 403", path, a.Status)
		}
	}
	if got := o.get("/live/b.m4s", 200).body; got != letters {
		t.Errorf("what is in a directory that was not deleted: %q", got)
	}
	if a := o.ask(http.MethodDelete, "/live/b.m4s", ""); a.StatusCode != 200 {
		t.Error(a.Status)
	}
}

// testUploadOutside: nothing is written outside of the directory, however the path is spelled, and no link leads out.
func testUploadOutside(t *testing.T) {
	around := t.TempDir()
	dir, outside := filepath.Join(around, "in"), filepath.Join(around, "out")
	for _, d := range []string{dir, outside} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := put(t, filepath.Join(outside, "a.m4s"), letters)
	for name, to := range map[string]string{"link": outside, "file.m4s": file, "new.m4s": filepath.Join(outside, "b.m4s")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	o := startOrigin(t, "--rdirs", dir, "--wdir", dir)
	for _, path := range []string{
		"/../out/a.m4s", "/%2e%2e/out/a.m4s", "/..%2fout/a.m4s", "/x/../../out/a.m4s", "/%2E%2E%2Fout%2Fa.m4s", `/..\out\a.m4s`, "/..%5cout/a.m4s",
		"/x/%2e%2e/%2e%2e/out/a.m4s", "//out/a.m4s", "/a%00.m4s", "/./a.m4s",
	} {
		for _, method := range []string{"PUT ", "POST ", "DELETE "} {
			o.puts(403, method+path, "x")
		}
	}
	for _, path := range []string{"/link/a.m4s", "/link/b.m4s", "/file.m4s", "/new.m4s"} {
		if a := o.puts(403, "PUT "+path, "x"); strings.Contains(a.body, around) {
			t.Errorf("the answer tells where things are: %q", a.body)
		}
		o.puts(204, "DELETE "+path, "") // as little is there as for who reads
	}
	holds(t, file, letters)
	onlyThere(t, outside, "a.m4s")
	if code, _ := curl(t, "--path-as-is", "-T", file, o.url+"/../out/c.m4s"); code != 403 {
		t.Errorf("curl: %d, want 403", code)
	}
}
