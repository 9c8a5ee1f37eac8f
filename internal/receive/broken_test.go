package receive

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/store"
)

// Two writers of one name: the second one is refused, the first one and its readers notice nothing.
func TestTwoWriters(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{}, st)
		first, second := s.dial(), s.dial()
		first.send("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
		f := follow(t, st, "a")
		f.next(t, "one")
		second.send("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		if a := second.answer(); a.StatusCode != 409 {
			t.Error(a.Status)
		}
		first.send("3\r\ntwo\r\n0\r\n\r\n")
		f.next(t, "two")
		if a := first.answer(); a.StatusCode != 201 || a.Close {
			t.Errorf("%s, close %v", a.Status, a.Close)
		}
		want(t, st, "a", "onetwo")
	})
}

// An upload that stops is broken off, its readers with it; with on_abort=keep what came stays.
func TestStall(t *testing.T) {
	for _, keep := range []bool{false, true} {
		stores(t, func(t *testing.T, st store.Store) {
			s := newOrigin(t, Options{Stall: 300 * time.Millisecond, Keep: keep}, st)
			c := s.dial()
			c.send("PUT /h1-1.m4s HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
			if a := c.answer(); a.StatusCode != 408 || !a.Close {
				t.Errorf("%s, close %v", a.Status, a.Close)
			}
			c.closed()
			in, out := io.Pipe()
			defer out.Close()
			go io.WriteString(out, "abc")
			if a := s.do(s.client(true), "PUT", "/h2-1.m4s", in); a.StatusCode != 408 {
				t.Error(a.Status)
			}
			for range 2 {
				if e := <-s.ended; e.received != 3 || e.err == nil {
					t.Errorf("%d, %v", e.received, e.err)
				}
			}
			for _, name := range []string{"h1-1.m4s", "h2-1.m4s"} {
				want(t, st, name, map[bool]string{true: "abc"}[keep])
			}
		})
	}
}

// The time of an upload that has ended is not that of the connection: the next request may be late.
func TestStallIsOfTheBodyOnly(t *testing.T) {
	st := memory(t)
	s := newOrigin(t, Options{Stall: 50 * time.Millisecond}, st)
	c := s.dial()
	for _, name := range []string{"a", "b"} {
		c.send("PUT /%s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", name)
		if a := c.answer(); a.StatusCode != 201 {
			t.Error(a.Status)
		}
		clock := s.dial()
		clock.send("PUT /late HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
		if a := clock.answer(); a.StatusCode != 408 {
			t.Error(a.Status)
		}
	}
}

// A client that goes away breaks its readers, leaves nothing, and what was there before stays.
func TestClientGoesAway(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{}, st)
		if status := s.put("/old-1.m4s", "old"); status != 201 {
			t.Fatal(status)
		}
		<-s.ended
		h2 := func(path string) (leave func()) {
			ctx, cancel := context.WithCancel(t.Context())
			in, out := io.Pipe()
			t.Cleanup(func() { out.Close() })
			r, err := http.NewRequestWithContext(ctx, "PUT", "http://"+s.addr+path, in)
			if err != nil {
				t.Fatal(err)
			}
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				if a, err := s.client(true).Do(r); err == nil {
					a.Body.Close()
					t.Errorf("answered: %s", a.Status)
				}
			}()
			if _, err := io.WriteString(out, "abc"); err != nil {
				t.Fatal(err)
			}
			return func() { cancel(); <-gone }
		}
		h1 := func(head, body string) func(path string) func() {
			return func(path string) func() {
				c := s.dial()
				c.send("PUT %s HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n%s", path, head, body)
				return func() { c.Close() }
			}
		}
		for how, begin := range map[string]func(path string) (leave func()){
			"length":  h1("Content-Length: 100", "abc"),
			"chunked": h1("Transfer-Encoding: chunked", "3\r\nabc\r\n"),
			"h2":      h2,
		} {
			for _, name := range []string{how + "-1.m4s", "old-1.m4s"} {
				began := make(chan struct{}, 1)
				stop := st.Watch(func(e store.Event) {
					if e.What == store.Began {
						began <- struct{}{}
					}
				})
				leave := begin("/" + name)
				<-began
				stop()
				f := follow(t, st, name)
				f.next(t, "abc")
				leave()
				f.broken(t)
				if e := <-s.ended; e.received != 3 || e.err == nil {
					t.Errorf("%s: %d, %v", how, e.received, e.err)
				}
			}
			want(t, st, how+"-1.m4s", "")
			want(t, st, "old-1.m4s", "old")
		}
	})
}

// What is removed while it is written is refused from then on.
func TestRemovedWhileWritten(t *testing.T) {
	stores(t, func(t *testing.T, st store.Store) {
		s := newOrigin(t, Options{}, st)
		c := s.dial()
		c.send("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		f := follow(t, st, "a")
		f.next(t, "abc")
		if a := s.do(s.client(false), "DELETE", "/a", nil); a.StatusCode != 200 {
			t.Error(a.Status)
		}
		f.broken(t)
		c.send("3\r\nabc\r\n0\r\n\r\n")
		if a := c.answer(); a.StatusCode != 409 {
			t.Error(a.Status)
		}
		want(t, st, "a", "")
	})
}

func TestFull(t *testing.T) {
	st := store.NewMemory(store.MemoryConfig{Limit: 100 << 10})
	t.Cleanup(func() { st.Close() })
	s := newOrigin(t, Options{}, st)
	if status := s.put("/a", "abc"); status != 201 {
		t.Fatal(status)
	}
	big := strings.Repeat("x", 200<<10)
	for _, body := range []io.Reader{strings.NewReader(big), io.MultiReader(strings.NewReader(big))} {
		if a := s.do(s.client(true), "PUT", "/b", body); a.StatusCode != 507 {
			t.Error(a.Status)
		}
	}
	want(t, st, "b", "")
	want(t, st, "a", "abc")
}

// A store that may not be written.
func TestDenied(t *testing.T) {
	dir := t.TempDir()
	st, err := store.NewDir(store.DirConfig{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newOrigin(t, Options{}, st)
	if status := s.put("/b", "abc"); status != 403 {
		t.Error(status)
	}
	if status := s.put("/a", "x", "Range", "bytes=0-0"); status != 403 {
		t.Error(status)
	}
	if a := s.do(s.client(false), "DELETE", "/a", nil); a.StatusCode != 403 {
		t.Error(a.Status)
	}
	want(t, st, "a", "abc")
}
