package receive

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/store"
	"sluice/internal/testkit"
)

// Acceptance 32: new and replaced, PUT and POST; a hundred on one connection.
func TestHundredUploadsOnOneConnection(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{}, st)
		c := s.dial()
		for i := range 100 {
			method, status := "PUT", 200
			if i == 0 {
				status = 201
			} else if i%2 == 1 {
				method = "POST"
			}
			if i%3 == 0 {
				c.send("%s /a/b%%20c.m4s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab%d\r\n0\r\n\r\n", method, i%10)
			} else {
				c.send("%s /a/b%%20c.m4s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab%d", method, i%10)
			}
			a := c.answer()
			if a.StatusCode != status || a.ContentLength != 0 || a.Close || a.Header.Get("Content-Location") != "/a/b%20c.m4s" {
				t.Fatalf("%d: %s, length %d, close %v, %v", i, a.Status, a.ContentLength, a.Close, a.Header)
			}
		}
		want(t, st, "a/b c.m4s", "ab9")
	})
}

// Acceptance 32, 33: the same by a client that pools connections, by both versions of HTTP, with a length and without.
func TestUploadsByClient(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		for _, h2 := range []bool{false, true} {
			s := newOrigin(t, Options{Stall: testkit.Patience}, st)
			c := s.client(h2)
			body := strings.Repeat("0123456789abcdef", 10000)
			name := map[bool]string{false: "h1", true: "h2"}[h2]
			for i := range 100 {
				var r io.Reader = strings.NewReader(body)
				if i%2 == 1 {
					r = io.MultiReader(r) // of no known length
				}
				if a := s.do(c, "PUT", "/"+name, r); (a.StatusCode != 201) == (i == 0) || a.ContentLength != 0 {
					t.Fatalf("h2 %v, %d: %s, length %d", h2, i, a.Status, a.ContentLength)
				}
				if e := <-s.ended; e.err != nil || e.received != int64(len(body)) {
					t.Fatalf("received %d, %v", e.received, e.err)
				}
			}
			if n := s.conns.Load(); n != 1 {
				t.Errorf("h2 %v: %d connections", h2, n)
			}
			want(t, st, name, body)
		}
	})
}

// One request each, what is answered, and what is there then.
func TestAnswers(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{MaxSize: 10}, st)
		for _, name := range []string{"there", "dir/file"} {
			if status := s.put("/"+name, "old"); status != 201 {
				t.Fatal(status)
			}
		}
		for _, c := range []struct {
			why, head, body string
			status          int
			name, after     string
		}{
			{"parents are made (35)", "PUT /x/y/z HTTP/1.1\r\nContent-Length: 2", "ab", 201, "x/y/z", "ab"},
			{"no length, not chunked (36)", "PUT /a HTTP/1.1", "", 411, "a", ""},
			{"the same, POST (36)", "POST /there HTTP/1.1", "", 411, "there", "old"},
			{"HTTP/1.0 without a length (36)", "PUT /a HTTP/1.0", "", 411, "a", ""},
			{"HTTP/1.0", "PUT /ten HTTP/1.0\r\nContent-Length: 1", "x", 201, "ten", "x"},
			{"as long as may be (37)", "PUT /max HTTP/1.1\r\nContent-Length: 10", "0123456789", 201, "max", "0123456789"},
			{"chunked, as long as may be (37)", "PUT /max HTTP/1.1\r\nTransfer-Encoding: chunked", "a\r\n9876543210\r\n0\r\n\r\n", 200, "max", "9876543210"},
			{"too long (37)", "PUT /a HTTP/1.1\r\nContent-Length: 11", "01234567890", 413, "a", ""},
			{"chunked, too long (37)", "PUT /there HTTP/1.1\r\nTransfer-Encoding: chunked", "b\r\n01234567890\r\n0\r\n\r\n", 413, "there", "old"},
			{"Content-Range (38)", "PUT /there HTTP/1.1\r\nContent-Range: bytes 0-1/3\r\nContent-Length: 2", "xx", 400, "there", "old"},
			{"a directory", "PUT /dir HTTP/1.1\r\nContent-Length: 1", "x", 409, "dir/file", "old"},
			{"below an object", "PUT /there/x HTTP/1.1\r\nContent-Length: 1", "x", 409, "there", "old"},
			{"no name (40)", "PUT / HTTP/1.1\r\nContent-Length: 1", "x", 403, "there", "old"},
			{"out of the root (40)", "PUT /dir/../../out HTTP/1.1\r\nContent-Length: 1", "x", 403, "out", ""},
			{"the same, encoded (40)", "PUT /%2e%2e/out HTTP/1.1\r\nContent-Length: 1", "x", 403, "out", ""},
			{"a hidden name", "PUT /.hidden HTTP/1.1\r\nContent-Length: 1", "x", 403, ".hidden", ""},
			{"a coding that is not known", "PUT /a HTTP/1.1\r\nContent-Encoding: br\r\nContent-Length: 1", "x", 415, "a", ""},
			{"two codings", "PUT /a HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: 1", "x", 415, "a", ""},
			{"no coding at all", "PUT /id HTTP/1.1\r\nContent-Encoding: identity\r\nContent-Length: 1", "x", 201, "id", "x"},
			{"a broken chunk", "PUT /there HTTP/1.1\r\nTransfer-Encoding: chunked", "2\r\nabX", 400, "there", "old"},
			{"a chunk of no size", "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked", "zz\r\nab\r\n", 400, "a", ""},
			{"no end of its chunks", "PUT /there HTTP/1.1\r\nTransfer-Encoding: chunked", "2\r\nab\r\n", 400, "there", "old"},
			{"shorter than it said", "PUT /there HTTP/1.1\r\nContent-Length: 9", "abc", 400, "there", "old"},
		} {
			r := s.dial()
			r.send("%s\r\nHost: h\r\n\r\n%s", c.head, c.body)
			if err := r.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if a := r.answer(); a.StatusCode != c.status {
				t.Errorf("%s: %s", c.why, a.Status)
			} else if c.status == 415 && a.Header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("%s: %v", c.why, a.Header)
			}
			want(t, st, c.name, c.after)
		}
	})
}

// Acceptance 36: an object of nothing, when that is said, by HTTP/2 also when it is not.
func TestEmptyUpload(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{}, st)
		c := s.dial()
		c.send("PUT /zero HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		c.send("PUT /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		for range 2 {
			if a := c.answer(); a.StatusCode != 201 {
				t.Error(a.Status)
			}
		}
		if a := s.do(s.client(true), "PUT", "/h2", nil); a.StatusCode != 201 {
			t.Error(a.Status)
		}
		for _, name := range []string{"zero", "chunked", "h2"} {
			if i, err := st.Stat(name); err != nil || i.Size != 0 || i.Growing {
				t.Errorf("%s: %+v, %v", name, i, err)
			}
		}
	})
}

// Acceptance 37: what is announced as too long is refused before any of it is asked for, and the connection is closed.
func TestTooLongIsNotRead(t *testing.T) {
	s := newOrigin(t, Options{MaxSize: 1 << 20}, memory(t))
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		c := s.dial()
		c.send("PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n%s\r\n", expect)
		a := c.answer() // which would be 100
		if a.StatusCode != 413 || !a.Close {
			t.Errorf("%s, close %v", a.Status, a.Close)
		}
		c.closed()
	}
}

// Acceptance 37: readers of what turns out to be too long see it break, whether or not what breaks off is kept, and what stood there before stays.
func TestTooLongBreaksReaders(t *testing.T) {
	for _, keep := range []bool{false, true} {
		stores(t, func(t *testing.T, st store.Store) {
			s := newOrigin(t, Options{MaxSize: 10, Keep: keep}, st)
			c := s.dial()
			c.send("PUT /seg-1.m4s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n")
			f := follow(t, st, "seg-1.m4s")
			f.next(t, "01234567")
			c.send("8\r\n01234567\r\n")
			f.broken(t)
			if a := c.answer(); a.StatusCode != 413 || !a.Close {
				t.Errorf("%s, close %v", a.Status, a.Close)
			}
			if e := <-s.ended; e.err == nil {
				t.Error("taken")
			}
			if _, err := st.Stat("seg-1.m4s"); err == nil {
				t.Error("something stayed")
			}
			if status := s.put("/seg-1.m4s", "before"); status != 201 {
				t.Error(status)
			}
			c = s.dial()
			c.send("PUT /seg-1.m4s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n")
			if a := c.answer(); a.StatusCode != 413 {
				t.Error(a.Status)
			}
			want(t, st, "seg-1.m4s", "before")
		})
	}
}

// Acceptance 33: who waits for 100 Continue gets it once, and only if his upload is wanted.
func TestExpect(t *testing.T) {
	st := memory(t)
	s := newOrigin(t, Options{}, st)
	c := s.dial()
	c.send("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", line, err)
	}
	if line, err = c.r.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	c.send("abc")
	if a := c.answer(); a.StatusCode != 201 || a.Close {
		t.Errorf("%s, close %v", a.Status, a.Close)
	}
	want(t, st, "a", "abc")
	c.send("PUT /a/b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if a := c.answer(); a.StatusCode != 409 || !a.Close {
		t.Errorf("%s, close %v", a.Status, a.Close)
	}
	c.closed()
}

// Each piece is there for readers before the next one is sent, by both versions of HTTP.
func TestPiecesAreThereAtOnce(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{Stall: testkit.Patience}, st)
		for name, h2 := range map[string]bool{"h1-1.m4s": false, "h2-1.m4s": true} {
			in, out := io.Pipe()
			answered := make(chan int, 1)
			go func() { answered <- s.do(s.client(h2), "PUT", "/"+name, in).StatusCode }()
			var f *follower
			for i, piece := range []string{"first", "second", "third"} {
				if _, err := io.WriteString(out, piece); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					f = follow(t, st, name)
				}
				f.next(t, piece)
			}
			out.Close()
			if status := <-answered; status != 201 {
				t.Errorf("%s: %d", name, status)
			}
			if err := <-f.ended; err != nil {
				t.Error(err)
			}
			want(t, st, name, "firstsecondthird")
		}
	})
}

// Manifests are seen when they are complete; the old one until then.
func TestHiddenUntilComplete(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{}, st)
		for _, name := range []string{"live.mpd", "live.m3u8"} {
			if status := s.put("/"+name, "old"); status != 201 {
				t.Fatal(status)
			}
			c := s.dial()
			began := make(chan struct{}, 1)
			stop := st.Watch(func(e store.Event) {
				if e.What == store.Began {
					began <- struct{}{}
				}
			})
			c.send("PUT /%s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnew\r\n", name)
			<-began
			stop()
			want(t, st, name, "old")
			c.send("0\r\n\r\n")
			if a := c.answer(); a.StatusCode != 200 {
				t.Error(a.Status)
			}
			want(t, st, name, "new")
		}
	})
}

// Acceptance 39, 40.
func TestDelete(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{}, st)
		for _, name := range []string{"a", "dir/b"} {
			if status := s.put("/"+name, "abc"); status != 201 {
				t.Fatal(status)
			}
		}
		i, err := st.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		c := s.dial()
		for _, d := range []struct {
			path   string
			status int
		}{{"/a", 200}, {"/a", 204}, {"/none/x", 204}, {"/dir", 403}, {"/", 403}, {"/%2e%2e/x", 403}, {"/dir/b", 200}} {
			c.send("DELETE %s HTTP/1.1\r\nHost: h\r\n\r\n", d.path)
			if a := c.answer(); a.StatusCode != d.status || a.Close {
				t.Errorf("%s: %s, close %v", d.path, a.Status, a.Close)
			}
		}
		if b, err := io.ReadAll(i.Content); err != nil || string(b) != "abc" {
			t.Errorf("a reader of what was removed got %q, %v", b, err)
		}
	})
}

// What curl does, with a length and without, with Expect and without.
func TestCurl(t *testing.T) {
	testkit.Need(t, "curl")
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{Stall: testkit.Patience}, st)
		file := filepath.Join(t.TempDir(), "file")
		body := bytes.Repeat([]byte("0123456789abcdef"), 200000) // enough for Expect
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		url := "http://" + s.addr
		for name, args := range map[string][]string{
			"put":     {"-T", file, url + "/put"},
			"chunked": {"-T", "-", url + "/chunked"},
			"post":    {"--data-binary", "@" + file, "-H", "Expect: 100-continue", url + "/post"},
			"twice":   {"-T", file, url + "/twice", "-T", file, url + "/again"},
		} {
			cmd := exec.Command("curl", append([]string{"-sS", "--fail", "--max-time", "60", "-w", "%{http_code} "}, args...)...)
			cmd.Stdin = bytes.NewReader(body)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Trim(string(out), "201 ") != "" {
				t.Errorf("%s: %v: %s", name, err, out)
			}
			if got := read(t, st, name); got != string(body) {
				t.Errorf("%s: %d bytes", name, len(got))
			}
		}
	})
}
