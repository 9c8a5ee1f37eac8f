package receive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/store"
	"sluice/internal/testkit"
)

// origin is a server of nothing but uploads, as the role has it: HTTP/1.1 and HTTP/2, no limit for a whole request.
type origin struct {
	t     *testing.T
	x     *Receiver
	st    store.Store
	addr  string
	conns atomic.Int32 // connections that were ever made
	ended chan ended   // an upload each; a test takes what it waits for
}

// ended is what Put has returned.
type ended struct {
	received int64
	err      error
}

func newOrigin(t *testing.T, o Options, st store.Store) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &origin{t: t, x: New(o), st: st, addr: l.Addr().String(), ended: make(chan ended, 1000)}
	s.x.initWait = 0
	srv := httpx.NewServer(s, httpx.Options{HeaderTimeout: testkit.Patience, ReadTimeout: -1, WriteTimeout: -1}, slog.New(slog.DiscardHandler))
	srv.Protocols = protocols(true, true)
	srv.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s
}

func protocols(h1, h2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(h1)
	p.SetUnencryptedHTTP2(h2)
	return p
}

func (s *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(r.URL.Path, "/")
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		n, err := s.x.Put(w, r, s.st, name, r.URL.Path)
		s.ended <- ended{n, err}
	case http.MethodDelete:
		if err := s.x.Delete(w, r, s.st, name); err != nil {
			s.ended <- ended{0, err}
		}
	}
}

// client speaks HTTP/1.1, or HTTP/2 alone.
func (s *origin) client(h2 bool) *http.Client {
	tr := &http.Transport{Protocols: protocols(!h2, h2)}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// do sends a request and returns its answer, whose body was read.
func (s *origin) do(c *http.Client, method, path string, body io.Reader, header ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequest(method, "http://"+s.addr+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// put uploads by HTTP/1.1 on a connection of its own.
func (s *origin) put(path, body string, header ...string) int {
	s.t.Helper()
	c := s.client(false)
	defer c.CloseIdleConnections()
	return s.do(c, "PUT", path, strings.NewReader(body), header...).StatusCode
}

// raw is a connection to say anything on.
type raw struct {
	t *testing.T
	*net.TCPConn
	r *bufio.Reader
}

func (s *origin) dial() *raw {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		s.t.Fatal(err)
	}
	return &raw{s.t, c.(*net.TCPConn), bufio.NewReader(c)}
}

func (c *raw) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one; it is no 100.
func (c *raw) answer() *http.Response {
	c.t.Helper()
	a, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if a.ContentLength < 0 {
		c.t.Errorf("%s has no Content-Length", a.Status)
	}
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		c.t.Fatal(err)
	}
	a.Body.Close()
	return a
}

// closed waits for the server to close.
func (c *raw) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); len(b) > 0 || errors.Is(err, context.DeadlineExceeded) {
		c.t.Errorf("still there: %q, %v", b, err)
	}
}

// stores runs a test with each kind of store.
func stores(t *testing.T, f func(t *testing.T, st store.Store)) {
	for name, open := range map[string]func(t *testing.T) (store.Store, error){
		"directory": func(t *testing.T) (store.Store, error) {
			return store.NewDir(store.DirConfig{Path: t.TempDir(), Writable: true})
		},
		"memory": func(*testing.T) (store.Store, error) {
			return store.NewMemory(store.MemoryConfig{Retention: store.Retention{Segments: 100}}), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			st, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			})
			f(t, st)
		})
	}
}

// memory is a store for what all have in common.
func memory(t *testing.T) store.Store {
	st := store.NewMemory(store.MemoryConfig{})
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// read is the complete object of that name; "" if there is none.
func read(t *testing.T, st store.Store, name string) string {
	t.Helper()
	i, err := st.Open(name)
	if err != nil {
		return ""
	}
	defer i.Close()
	if i.Content == nil {
		return ""
	}
	b, err := io.ReadAll(i.Content)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// want fails unless the complete object of that name is body; "" = there is none.
func want(t *testing.T, st store.Store, name, body string) {
	t.Helper()
	if got := read(t, st, name); got != body {
		t.Errorf("%s: %q, want %q", name, got, body)
	}
}

// follower reads an object while it grows.
type follower struct {
	*io.PipeReader
	ended chan error // what Copy has returned
}

// follow opens an object once it grows.
func follow(t *testing.T, st store.Store, name string) *follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	if err := st.Await(ctx, name); err != nil {
		t.Fatal(err)
	}
	i, err := st.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if i.Object == nil {
		t.Fatalf("%s does not grow", name)
	}
	r, err := i.Object.Reader(0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	in, out := io.Pipe()
	f := &follower{in, make(chan error, 1)}
	go func() {
		defer r.Close()
		_, err := r.Copy(t.Context(), out, nil)
		out.Close()
		f.ended <- err
	}()
	t.Cleanup(func() { in.Close() })
	return f
}

// next reads exactly that.
func (f *follower) next(t *testing.T, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(f, b); err != nil || string(b) != want {
		t.Fatalf("%q, %v, want %q", b, err, want)
	}
}

// broken waits for the end, which must not be one in order.
func (f *follower) broken(t *testing.T) {
	t.Helper()
	if b, err := io.ReadAll(f); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if err := <-f.ended; err == nil || !strings.Contains(err.Error(), "broken off") {
		t.Errorf("the reader was told %v", err)
	}
}
