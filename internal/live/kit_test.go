package live

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// station is the other side of Channels: what the test writes is the channel of each viewer.
type station struct {
	kind    string
	refusal error
	sockets func() (far, near net.Conn) // nil = streams are pipes, which can be broken off
	viewers chan *viewer                // those that have asked, in order
}

// viewer is one who watches, seen from the channel.
type viewer struct {
	Query
	io.WriteCloser
	breakOff func(error)
}

func newStation(kind string) *station { return &station{kind: kind, viewers: make(chan *viewer, 16)} }

func (s *station) Watch(ctx context.Context, q Query) (*Stream, error) {
	if s.refusal != nil {
		return nil, s.refusal
	}
	if s.sockets != nil {
		far, near := s.sockets()
		s.viewers <- &viewer{Query: q, WriteCloser: far}
		return NewStream(near, bufio.NewReader(near), s.kind), nil
	}
	r, w := io.Pipe()
	s.viewers <- &viewer{Query: q, WriteCloser: w, breakOff: func(err error) { w.CloseWithError(err) }}
	return &Stream{ReadCloser: r, Type: s.kind}, nil
}

// next is the next viewer.
func (s *station) next(t *testing.T) *viewer {
	t.Helper()
	return await(t, s.viewers)
}

// write writes all of b.
func (v *viewer) write(t *testing.T, b []byte) {
	t.Helper()
	if _, err := v.Write(b); err != nil {
		t.Errorf("the channel is not taken: %v", err)
	}
}

// await waits for what c brings.
func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case x := <-c:
		return x
	case <-time.After(testkit.Patience):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

// unixPair makes pairs of UNIX sockets as an engine and the origin have them.
func unixPair(t *testing.T) func() (far, near net.Conn) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func() (far, near net.Conn) {
		near, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			panic(err)
		}
		far, err = l.Accept()
		if err != nil {
			panic(err)
		}
		return far, near
	}
}

// serve serves h over HTTP/1 and HTTP/2 without TLS until the test is over.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = protocols(true, true)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func protocols(one, two bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(one)
	p.SetUnencryptedHTTP2(two)
	return p
}

// clients are one that speaks HTTP/1.1 and one that speaks HTTP/2.
func clients(t *testing.T) map[string]*http.Client {
	out := make(map[string]*http.Client)
	for name, p := range map[string]*http.Protocols{"HTTP/1.1": protocols(true, false), "HTTP/2": protocols(false, true)} {
		transport := &http.Transport{Protocols: p}
		t.Cleanup(transport.CloseIdleConnections)
		out[name] = &http.Client{Transport: transport}
	}
	return out
}

// client1 is one that speaks HTTP/1.1.
func client1(t *testing.T) *http.Client { return clients(t)["HTTP/1.1"] }

// get begins a request; header is pairs.
func get(t *testing.T, c *http.Client, method, url string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// status asks, and returns the status alone.
func status(t *testing.T, c *http.Client, method, url string, header ...string) int {
	t.Helper()
	answer := get(t, c, method, url, header...)
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// dial opens a connection to a server and writes a request.
func dial(t *testing.T, s *httptest.Server, request string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// random is n bytes that nothing repeats.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// read reads exactly what is wanted.
func read(t *testing.T, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil {
		t.Fatalf("%d bytes of %d: %v", n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("other bytes than were sent")
	}
}

// diary keeps what is logged.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (d *diary) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(b)
}

func (d *diary) log() *slog.Logger { return slog.New(slog.NewTextHandler(d, nil)) }

// await waits for a line with that in it.
func (d *diary) await(t *testing.T, part string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !strings.Contains(d.text.String(), part) {
			return fmt.Errorf("no %q in %q", part, d.text.String())
		}
		return nil
	})
}

// watched waits until so many clients are there.
func watched(t *testing.T, p *Player, want int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if n := p.Clients(); n != want {
			return fmt.Errorf("%d clients, want %d", n, want)
		}
		return nil
	})
}

var errStorm = errors.New("a storm took the mast")

var discard = slog.New(slog.DiscardHandler)

// must ends the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
