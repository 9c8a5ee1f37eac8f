package origin

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReading(t *testing.T) {
	root := dir(t, map[string]string{"a.txt": "hello", "d/b.m4s": "0123456789", "d/<b>.txt": "x", ".hidden": "x", "empty/": ""})
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	for _, listing := range []bool{false, true} {
		r := start(t, Config{Read: []Mount{mountOf(t, "", root)}, Listing: listing, Time: "/time"}, nil)
		dirs := map[bool]int{false: 403, true: 200}[listing]
		for path, want := range map[string]int{
			"/a.txt": 200, "/d/b.m4s": 200, "/a.txt?x=/../y": 200, "/d/%62.m4s": 200, "/none": 404, "/d/none": 404, "/a.txt/": 404, "/a.txt/b": 404,
			"/": dirs, "/d": dirs, "/d/": dirs, "/empty/": dirs, "/none/": 404,
			// 16: traversal, however it is spelled, links out of the root, what is hidden
			"/../etc/passwd": 404, "/%2e%2e/etc/passwd": 404, "/d/..%2fa.txt": 404, "/d/../a.txt": 404, "//a.txt": 404, "/d//b.m4s": 404,
			`/d\b.m4s`: 404, "/d%5cb.m4s": 404, "/a.txt%00": 404, "/out": 404, "/.hidden": 404,
			"/time": 200, "/favicon.ico": 204,
		} {
			res, body := r.ask("GET " + path)
			if res.StatusCode != want {
				t.Errorf("GET %s: %d %q, want %d", path, res.StatusCode, body, want)
			}
			if res.StatusCode != 204 && res.Header.Get("Content-Length") == "" && len(res.TransferEncoding) == 0 {
				t.Errorf("GET %s: no length: %v", path, res.Header)
			}
			head, _ := r.ask("HEAD " + path)
			if head.StatusCode != want {
				t.Errorf("HEAD %s: %d, want %d", path, head.StatusCode, want)
			}
		}
		if _, body := r.ask("GET /a.txt"); body != "hello" {
			t.Errorf("%q", body)
		}
		if !listing {
			continue
		}
		_, body := r.ask("GET /d") // 15
		if !strings.Contains(body, `href="/d/b.m4s"`) || !strings.Contains(body, "&lt;b&gt;") || strings.Contains(body, "<b>") {
			t.Errorf("listing %s", body)
		}
	}
}

func TestSeveralDirectories(t *testing.T) {
	one, two := dir(t, map[string]string{"same": "1", "one": "1"}), dir(t, map[string]string{"same": "2", "two": "2"})
	a, b, c := mountOf(t, "", one), mountOf(t, "", two), mountOf(t, "name", one)
	for _, x := range []struct {
		merge bool
		want  map[string]string // what is read under a path
		root  []string
	}{
		{false, map[string]string{"/" + filepath.Base(two) + "/same": "2", "/name/one": "1"}, []string{"/" + filepath.Base(two) + "/", "/name/"}},
		{true, map[string]string{"/same": "1", "/two": "2", "/name/one": "1"}, []string{"/one", "/two", "/same", "/name/"}},
	} {
		read := []Mount{a, b, c}
		if !x.merge {
			read = read[1:]
		}
		r := start(t, Config{Read: read, Merge: x.merge, Listing: true}, nil)
		for path, want := range x.want {
			if res, body := r.ask("GET " + path); body != want {
				t.Errorf("merge %v: %s: %d %q, want %q", x.merge, path, res.StatusCode, body, want)
			}
		}
		_, list := r.ask("GET /")
		for _, link := range x.root {
			if strings.Count(list, `href="`+link+`"`) != 1 {
				t.Errorf("merge %v: %s is not listed once in %s", x.merge, link, list)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	m := mountOf(t, "", dir(t, map[string]string{"a": "hello"}))
	r := start(t, Config{
		Read: []Mount{m}, ServerUTC: true, Headers: [][2]string{{"X-Own", "1"}}, Agent: "mine/2", Idle: 30 * time.Second,
	}, nil)
	for _, path := range []string{"/a", "/none", "/.."} { // 21, 22: errors, too
		res, _ := r.ask("GET "+path, "Origin: http://o")
		h := res.Header
		for name, want := range map[string]string{
			"Server": "mine/2", "X-Own": "1", "Connection": "keep-alive", "Keep-Alive": "timeout=30", "Access-Control-Allow-Origin": "http://o",
			"Access-Control-Expose-Headers": "*",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
		if len(h.Get("Server-UTC")) != 13 || h.Get("Date") == "" || !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
			t.Errorf("%s: %v", path, h)
		}
	}
	if _, err := New(Config{Read: []Mount{m}, Headers: [][2]string{{"X", "a\r\nb"}}}, r.opts); err == nil {
		t.Error("a header of two lines is sent")
	}
}

func TestClock(t *testing.T) {
	r := start(t, Config{Read: []Mount{memory(t)}, Time: "/time"}, nil)
	before := time.Now().Add(-time.Millisecond)
	res, body := r.ask("GET /time?123")
	at, err := time.Parse(time.RFC3339Nano, body)
	if err != nil || at.Before(before.Truncate(time.Millisecond)) || at.After(time.Now()) {
		t.Errorf("%q, %v", body, err)
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", res.Header)
	}
	if head, _ := r.ask("HEAD /time"); head.Header.Get("Date") == "" {
		t.Errorf("%v", head.Header)
	}
	if res := r.upload("PUT /time", "x"); res.StatusCode != 405 {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestMethodsAndOptions(t *testing.T) {
	root := dir(t, map[string]string{"a": "x"})
	m := mountOf(t, "", root)
	secret := readRules(t, root, "["+root+"]\nru=alice\n")
	for _, c := range []struct {
		conf  Config
		path  string
		allow string
	}{
		{Config{Read: []Mount{m}}, "/a", "GET,HEAD,OPTIONS"},
		{Config{Read: []Mount{m}, Rules: secret}, "/none", "GET,HEAD,OPTIONS"},
		{Config{Read: []Mount{m}, Write: &m}, "/a", "GET,POST,PUT,DELETE,HEAD,OPTIONS"},
		{Config{Write: &m}, "/a", "GET,POST,PUT,DELETE,HEAD,OPTIONS"},
		{Config{Sources: []string{"/"}}, "/a", "POST,PUT,OPTIONS"},
	} {
		r := start(t, c.conf, nil)
		res, body := r.ask("OPTIONS " + c.path) // 57
		if res.StatusCode != 200 || res.Header.Get("Allow") != c.allow || res.Header.Get("Content-Length") != "0" || body != "" {
			t.Errorf("OPTIONS %+v: %d %v", c.conf, res.StatusCode, res.Header)
		}
		res, _ = r.ask("OPTIONS "+c.path, "Origin: http://o", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: range") // 56
		h := res.Header
		if res.StatusCode != 204 || h.Get("Access-Control-Allow-Methods") != c.allow || !strings.HasPrefix(h.Get("Access-Control-Allow-Headers"), "*") ||
			h.Get("Access-Control-Allow-Origin") != "http://o" {
			t.Errorf("preflight %+v: %d %v", c.conf, res.StatusCode, h)
		}
		if res, _ := r.ask("OPTIONS *"); res.StatusCode != 204 {
			t.Errorf("OPTIONS *: %d", res.StatusCode)
		}
		for _, method := range []string{"PATCH", "TRACE", "BREW"} { // 58
			if res, _ := r.ask(method + " /a"); res.StatusCode != 501 {
				t.Errorf("%s: %d", method, res.StatusCode)
			}
		}
		if res, _ := r.ask("CONNECT h:1"); res.StatusCode != 501 {
			t.Errorf("CONNECT: %d", res.StatusCode)
		}
	}
}

func TestWriting(t *testing.T) {
	root := dir(t, nil)
	m := mountOf(t, "", root)
	r := start(t, Config{Read: []Mount{m}, Write: &m, MaxSize: 100}, nil)
	for _, c := range []struct {
		first, body string
		want        int
	}{
		{"PUT /a/b/c.m4s", "one", 201},
		{"PUT /a/b/c.m4s", "two", 200},
		{"POST /d.m4s", "x", 201},
		{"PUT /none.txt", strings.Repeat("x", 101), 413},
		{"PUT /empty.m4s", "", 201},
		// 40
		{"PUT /../x", "x", 403},
		{"PUT /%2e%2e/x", "x", 403},
		{"PUT /a/..%2f..%2fx", "x", 403},
		{"PUT //x", "x", 403},
		{"PUT /.x", "x", 403},
		{"PUT /a/", "x", 403},
		{"PUT /", "x", 403},
		{`PUT /a\..\x`, "x", 403},
	} {
		res := r.upload(c.first, c.body)
		if res.StatusCode != c.want || res.Header.Get("Content-Length") == "" {
			t.Errorf("%s: %d %v, want %d", c.first, res.StatusCode, res.Header, c.want)
		}
	}
	if _, body := r.ask("GET /a/b/c.m4s"); body != "two" {
		t.Errorf("%q", body)
	}
	for _, c := range []struct {
		first string
		want  int
	}{{"DELETE /a/b/c.m4s", 200}, {"DELETE /a/b/c.m4s", 204}, {"DELETE /a/b", 403}, {"DELETE /..", 403}} {
		if res, _ := r.ask(c.first); res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", c.first, res.StatusCode, c.want)
		}
	}
	if st := r.Status(); st.Received == 0 || st.Statuses["2xx"] == 0 || st.Statuses["4xx"] == 0 {
		t.Errorf("%+v", st)
	}
}

func TestNoWriteDirectory(t *testing.T) {
	m := mountOf(t, "", dir(t, nil))
	r := start(t, Config{Read: []Mount{m}}, nil)
	for _, method := range []string{"PUT", "POST", "DELETE"} { // 34
		res := r.upload(method+" /a", "x")
		if res.StatusCode != 405 || res.Header.Get("Allow") != allowRead {
			t.Errorf("%s: %d %v", method, res.StatusCode, res.Header)
		}
	}
	only := start(t, Config{Write: &m}, nil)
	for _, method := range []string{"GET", "HEAD"} { // 71
		if res, _ := only.ask(method + " /a"); res.StatusCode != 403 {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}
}

// TestGrowing: what is being uploaded is read as it comes, over HTTP/1.1 and HTTP/2 (23, 24), and breaks where its writer did (28).
func TestGrowing(t *testing.T) {
	m := memory(t)
	r := start(t, Config{Read: []Mount{m}, Write: &m}, nil)
	for _, c := range []*http.Client{r.h1(), r.h2()} {
		up := begin(t, m.Store, "seg.m4s")
		io.WriteString(up, "first")
		res, err := c.Get("http://" + r.addr + "/seg.m4s")
		if err != nil {
			t.Fatal(err)
		}
		if res.ContentLength != -1 || res.Header.Get("ETag") != "" || res.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%v", res.Header)
		}
		heard := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, heard); err != nil || string(heard) != "first" {
			t.Fatalf("%q, %v", heard, err)
		}
		io.WriteString(up, "second")
		if _, err := up.End(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(res.Body); string(rest) != "second" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		res.Body.Close()

		up = begin(t, m.Store, "broken.m4s")
		io.WriteString(up, "first")
		if res, err = c.Get("http://" + r.addr + "/broken.m4s"); err != nil {
			t.Fatal(err)
		}
		io.ReadFull(res.Body, heard)
		up.Abort(io.ErrClosedPipe)
		if rest, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("a broken object ended in order, after %q", rest)
		}
		res.Body.Close()
		if err := m.Store.Remove("seg.m4s"); err != nil {
			t.Fatal(err)
		}
	}
}

// h1 and h2 are clients of HTTP/1.1, and of HTTP/2 without TLS by prior knowledge.
func (r *running) h1() *http.Client {
	return r.client(func(p *http.Protocols) { p.SetHTTP1(true) }, nil)
}

func (r *running) h2() *http.Client {
	return r.client(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, nil)
}

func (r *running) client(set func(*http.Protocols), secure *tls.Config) *http.Client {
	t := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: secure, DisableCompression: true}
	set(t.Protocols)
	r.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

func TestHTTP2(t *testing.T) { // 62
	m := mountOf(t, "", dir(t, map[string]string{"a": strings.Repeat("x", 1<<20)}))
	r := start(t, Config{Read: []Mount{m}, Write: &m, Idle: 30 * time.Second, Close: true, MaxErrors: 2, Take: time.Minute}, nil)
	c := r.h2()
	for range 3 {
		res, err := c.Get("http://" + r.addr + "/a")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.ProtoMajor != 2 || len(body) != 1<<20 || err != nil || res.Header.Get("Connection") != "" || res.Header.Get("Keep-Alive") != "" {
			t.Errorf("%s, %d bytes, %v, %v", res.Proto, len(body), err, res.Header)
		}
		if res, err = c.Get("http://" + r.addr + "/none"); err != nil || res.StatusCode != 404 {
			t.Fatalf("%v %v", res, err)
		}
		res.Body.Close()
	}
	req, err := http.NewRequest("PUT", "http://"+r.addr+"/up.m4s", io.MultiReader(strings.NewReader("of no length")))
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil || res.StatusCode != 201 { // 33
		t.Fatalf("%v %v", res, err)
	}
	res.Body.Close()
	if n := r.Status().Connections; n != 1 { // 52: errors end no connection of HTTP/2, nor does close
		t.Errorf("%d connections", n)
	}
}

func TestCORSOnErrors(t *testing.T) { // 55
	for _, c := range []struct {
		cors   CORS
		origin string
		want   string
	}{{CORSAuto, "http://o", "http://o"}, {CORSAuto, "", ""}, {CORSOff, "http://o", ""}, {CORSOn, "", "*"}} {
		r := start(t, Config{Read: []Mount{memory(t)}, CORS: c.cors}, nil)
		res, _ := r.ask("GET /none", "Origin: "+c.origin)
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != c.want || res.StatusCode != 404 {
			t.Errorf("%+v: %d %q", c, res.StatusCode, got)
		}
	}
}

func TestMemoryIsServed(t *testing.T) {
	m := memory(t)
	put(t, m.Store, "live/seg-1.m4s", "x")
	r := start(t, Config{Read: []Mount{m}}, nil)
	if res, body := r.ask("GET /live/seg-1.m4s"); res.StatusCode != 200 || body != "x" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	if st := r.Status(); len(st.Mounts) != 1 || st.Mounts[0].Path != "gmem" || st.Mounts[0].Objects != 1 {
		t.Errorf("%+v", st.Mounts)
	}
}
