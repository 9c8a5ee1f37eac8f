package relay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// house is a relay that runs.
type house struct {
	*Relay
	t       *testing.T
	log     *lines
	records *lines
	stop    func()             // ends Run as TERM does and waits for it
	kill    context.CancelFunc // as the second TERM does
}

// open runs a relay until the test is over.
func open(t *testing.T, c Config, change ...func(*Options)) *house {
	t.Helper()
	testkit.NoLeaks(t)
	h := &house{t: t, log: new(lines), records: new(lines)}
	o := Options{
		Log:    slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Record: func(line []byte) { _, _ = h.records.Write(line) },
	}
	for _, f := range change {
		f(&o)
	}
	r, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	h.Relay = r
	ctx, cancel := context.WithCancel(context.Background())
	killed, kill := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, killed) }()
	h.kill = kill
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		kill()
	})
	t.Cleanup(func() {
		kill()
		h.stop()
		if t.Failed() {
			t.Logf("log:\n%s\nsessions:\n%s", h.log, h.records)
		}
	})
	return h
}

// addr is where listener number i listens.
func (h *house) addr(i int) flow.Addr { return h.Addrs()[i] }

// dial connects to listener number i.
func (h *house) dial(i int) net.Conn { return dial(h.t, h.addr(i)) }

func dial(t *testing.T, a flow.Addr) net.Conn {
	t.Helper()
	c, err := flow.Connect(t.Context(), netip.Addr{}, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// local is a listening socket at a port of the system's choice.
func local() []Socket {
	return []Socket{{Addr: flow.Addr{IP: netip.MustParseAddrPort("127.0.0.1:0")}}}
}

// one is a relay from a listener to a pool of these remotes.
func one(remotes ...Remote) Config {
	c := Config{
		Listeners: []Listener{{Name: "in", Addrs: local(), Pool: "app"}},
		Pools:     []Pool{{Remotes: remotes}},
	}
	c.Pools[0].Name = "app"
	return c
}

// lines is a log in which a test can look for an event.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "")
}

// find is the first line that has all the parts.
func (l *lines) find(parts ...string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.all, func(line string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) })
	})
	if at < 0 {
		return "", false
	}
	return l.all[at], true
}

// wait waits for a line that has all the parts.
func (l *lines) wait(t *testing.T, parts ...string) string {
	t.Helper()
	var line string
	testkit.Eventually(t, func() error {
		var ok bool
		if line, ok = l.find(parts...); !ok {
			return fmt.Errorf("no line has %q in\n%s", parts, l)
		}
		return nil
	})
	return line
}

// server is a remote that runs what a test wants for each connection.
type server struct {
	addr flow.Addr
	l    net.Listener
	all  sync.WaitGroup
}

// serve runs talk for each connection, which is closed then.
func serve(t *testing.T, talk func(c net.Conn)) *server {
	t.Helper()
	return serveAt(t, "tcp", "127.0.0.1:0", talk)
}

func serveAt(t *testing.T, network, addr string, talk func(c net.Conn)) *server {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: flow.FromNet(l.Addr()), l: l}
	s.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() {
				defer c.Close()
				talk(c)
			})
		}
	})
	t.Cleanup(s.close)
	return s
}

// close ends the server when its connections have ended.
func (s *server) close() {
	s.l.Close()
	s.all.Wait()
}

// remote is the server as a remote.
func (s *server) remote(name string) Remote { return Remote{Name: name, Addr: s.addr} }

// named says its name, reads to the end and says what it has read.
func named(name string) func(net.Conn) {
	return func(c net.Conn) {
		fmt.Fprintf(c, "%s:", name)
		text, err := io.ReadAll(c)
		if err != nil {
			return
		}
		_, _ = c.Write(text)
	}
}

// talk sends text, ends its side and returns the answer.
func talk(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	return rest(t, c)
}

// rest is what comes until the end.
func rest(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", got, err)
	}
	return string(got)
}

// first is the next n bytes.
func first(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if k, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("after %q: %v", b[:k], err)
	}
	return string(b)
}

// nobody is an address at which nobody listens. The port is held: nobody gets it by chance, and who
// asks for it may still listen there (SO_REUSEADDR).
func nobody(t *testing.T) flow.Addr {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	in4 := at.(*syscall.SockaddrInet4)
	return flow.Addr{IP: netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port))}
}

// quiet is for relays that do not run.
func quiet() Options { return Options{Log: slog.New(slog.DiscardHandler)} }
