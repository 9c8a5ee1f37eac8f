package iothread

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/netx"
	"sluice/internal/testkit"
)

// desk is a Desk that sends every client to one target, unless a test has it do something else.
type desk struct {
	target *flow.Target
	within time.Duration

	open      func(s *flow.Session) flow.Plan
	look      func(s *flow.Session, head []byte, now bool) flow.Plan
	failed    func(s *flow.Session, err error) flow.Plan
	again     func(s *flow.Session, late bool) flow.Plan
	take      func(s *flow.Session, c net.Conn)
	connected func(s *flow.Session)

	mu     sync.Mutex // guards closed
	opened int
	closed []flow.Session
	ends   chan flow.Session // the same, one at a time; nil: nobody waits
}

func (d *desk) dial() flow.Plan {
	return flow.Plan{Step: flow.Dial, Target: d.target, Within: d.within}
}

func (d *desk) Open(s *flow.Session) flow.Plan {
	d.mu.Lock()
	d.opened++
	d.mu.Unlock()
	if d.open != nil {
		return d.open(s)
	}
	return d.dial()
}

func (d *desk) Look(s *flow.Session, head []byte, now bool) flow.Plan {
	if d.look != nil {
		return d.look(s, head, now)
	}
	return flow.Plan{Cause: flow.CauseHello}
}

func (d *desk) Failed(s *flow.Session, err error) flow.Plan {
	if d.failed != nil {
		return d.failed(s, err)
	}
	return flow.Plan{Cause: flow.CauseNoRemote, Err: err}
}

func (d *desk) Again(s *flow.Session, late bool) flow.Plan { return d.again(s, late) }

func (d *desk) Connected(s *flow.Session) {
	if d.connected != nil {
		d.connected(s)
	}
}

func (d *desk) Take(s *flow.Session, c net.Conn) { d.take(s, c) }

func (d *desk) Close(s *flow.Session) {
	d.mu.Lock()
	d.closed = append(d.closed, *s)
	d.mu.Unlock()
	if d.ends != nil {
		d.ends <- *s
	}
}

// counts says how many sessions were opened and closed.
func (d *desk) counts() (opened, closed int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened, len(d.closed)
}

// carrier is what both kinds of threads have.
type carrier interface {
	flow.Core
	Run(ctx context.Context) error
	Listen(l *flow.Listener, socket *os.File) error
	Change(l *flow.Listener) error
	Pause(name string, on bool)
	Close(name string, addr flow.Addr)
	Figures() Figures
}

// start runs c until the test ends; stop does so before.
func start(t testing.TB, c carrier) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// listen has c listen at a new socket, and says where.
func listen(t testing.TB, c carrier, l flow.Listener) flow.Addr {
	t.Helper()
	if l.Name == "" {
		l.Name = "test"
	}
	socket := netx.StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0")}
	if l.Addr.Network == flow.Unix {
		socket.Path = l.Addr.Path
	} else if l.Addr.IP.IsValid() {
		socket.Addr = l.Addr.IP
	}
	f, err := netx.ListenStream(socket)
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr.Network != flow.Unix {
		at, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		l.Addr = flow.FromNet(at.Addr())
		at.Close()
	}
	if err := c.Listen(&l, f); err != nil {
		t.Fatal(err)
	}
	return l.Addr
}

// server is a remote of a test: each of its connections is served by a goroutine.
type server struct {
	addr flow.Addr
	all  sync.WaitGroup
}

// serve runs a server until the test ends.
func serve(t testing.TB, network, address string, each func(c halfConn)) *server {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: flow.FromNet(l.Addr())}
	s.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() {
				defer c.Close()
				each(c.(halfConn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.all.Wait()
	})
	return s
}

// halfConn is a connection that can end its side.
type halfConn interface {
	net.Conn
	CloseWrite() error
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

// echo sends back what it gets, and ends when the other side has. It uses no pipe: tests count
// descriptors.
func echo(c halfConn) {
	io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

func dialTo(t testing.TB, to flow.Addr) halfConn {
	t.Helper()
	c, err := flow.Connect(t.Context(), netip.Addr{}, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testkit.Patience))
	return c.(halfConn)
}

// reads checks what c delivers to its end.
func reads(t testing.TB, c io.Reader, want string) {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != want {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
}

// closed waits for the end of n sessions.
func closed(t testing.TB, d *desk, n int) []flow.Session {
	t.Helper()
	testkit.Eventually(t, func() error {
		if _, have := d.counts(); have < n {
			return fmt.Errorf("%d of %d sessions have ended", have, n)
		}
		return nil
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.closed) != n {
		t.Errorf("%d sessions were closed, want %d", len(d.closed), n)
	}
	return d.closed
}

// descriptors are the open ones of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

var errTest = errors.New("of the test")

// silent is where a socket listens whose queue is full: who connects gets no answer.
func silent(t testing.TB) flow.Addr {
	t.Helper()
	f, err := netx.ListenStream(netx.StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Backlog: 1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	addr := flow.FromNet(l.Addr())
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		c, err := flow.Connect(ctx, netip.Addr{}, addr)
		cancel()
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
}
