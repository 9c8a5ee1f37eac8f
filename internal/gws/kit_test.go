package gws

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/netx"
	"sluice/internal/report"
	"sluice/internal/uri"
)

// house is a running gws.
type house struct {
	t      *testing.T
	addr   string // of the user port
	path   string // of the control socket
	log    *lines
	server *Server
	stop   func() // ends Run and waits for it
}

func open(t *testing.T, c Config, change ...func(*Server)) *house {
	t.Helper()
	return openBy(t, c, []Door{{}}, change...)
}

// openBy is open with those doors; each gets a listener. The first is the user port.
func openBy(t *testing.T, c Config, doors []Door, change ...func(*Server)) *house {
	t.Helper()
	for i := range doors {
		network, address := "tcp", "127.0.0.1:0"
		if doors[i].Local {
			network, address = "unix", filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		doors[i].Listener = l
	}
	h := &house{t: t, addr: doors[0].Addr().String(), path: filepath.Join(t.TempDir(), "s"), log: newLines()}
	control, err := netx.ListenHandoff(h.path)
	if err != nil {
		t.Fatal(err)
	}
	if h.server, err = New(c, doors, control, slog.New(slog.NewTextHandler(h.log, nil))); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(h.server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.server.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// lines is a log in which a test can wait for an event.
type lines struct {
	mu   sync.Mutex
	more *sync.Cond
	all  []string
}

func newLines() *lines {
	l := &lines{}
	l.more = sync.NewCond(&l.mu)
	return l
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	l.more.Broadcast()
	return len(b), nil
}

// wait waits until a line has all the parts, for as long as the test may last.
func (l *lines) wait(parts ...string) { l.waitMore(0, parts...) }

// waitMore waits until more than n lines have all the parts.
func (l *lines) waitMore(n int, parts ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.countLocked(parts) <= n {
		l.more.Wait()
	}
}

func (l *lines) count(parts ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.countLocked(parts)
}

func (l *lines) countLocked(parts []string) (n int) {
	for _, line := range l.all {
		if hasAll(line, parts) {
			n++
		}
	}
	return n
}

func hasAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// peer is an engine that does what the test says: a real peer of the protocol.
type peer struct {
	t    *testing.T
	id   string
	sock *net.UnixConn
	conn *handoff.Conn
}

// dial connects without a word.
func (h *house) dial(id string) *peer {
	h.t.Helper()
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: h.path, Net: "unixpacket"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return &peer{t: h.t, id: id, sock: c, conn: handoff.NewConn(c)}
}

// channelOf is a channel of those sources with the settings of lineup.Defaults.
func channelOf(name string, sources ...string) lineup.Channel {
	c := lineup.Channel{Name: name, Settings: lineup.Defaults()}
	for _, s := range sources {
		src, err := uri.ParseSource(strings.ToLower(s))
		if err != nil {
			panic(err)
		}
		c.Sources = append(c.Sources, src)
	}
	return c
}

// arrived is a channel as an engine gets it: without what only gws knows.
func arrived(t *testing.T, c lineup.Channel) lineup.Channel {
	t.Helper()
	b, err := handoff.Encode(nil, handoff.Pin{Channel: c})
	if err != nil {
		t.Fatal(err)
	}
	m, err := handoff.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return m.(handoff.Pin).Channel
}

// lineupOf is those channels; change is made to the settings of all others.
func lineupOf(t *testing.T, change func(*lineup.Settings), channels ...lineup.Channel) *lineup.Lineup {
	t.Helper()
	settings := lineup.Defaults()
	if change != nil {
		change(&settings)
	}
	l, err := lineup.New(settings, channels)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// engine attaches an engine that carries those channels.
func (h *house) engine(id string, channels ...report.Channel) *peer {
	h.t.Helper()
	before := h.log.count("engine attached", "engine="+id)
	e := h.dial(id)
	e.send(hello(id))
	e.send(handoff.Report{Last: true, Engine: report.Engine{ID: id, Channels: channels}})
	if w, ok := e.recv().(handoff.Welcome); !ok || w.Version != handoff.Version || w.PID != os.Getpid() {
		h.t.Fatalf("engine %s: no Welcome, %#v", id, w)
	}
	h.log.waitMore(before, "engine attached", "engine="+id)
	return e
}

func hello(id string) handoff.Hello {
	return handoff.Hello{Version: handoff.Version, Engine: id, PID: 4711, Build: "1.0"}
}

func (e *peer) send(m handoff.Message) {
	e.t.Helper()
	if err := e.conn.Send(m); err != nil {
		e.t.Fatal(err)
	}
}

// recv expects a message without a descriptor.
func (e *peer) recv() handoff.Message {
	e.t.Helper()
	m, fd, err := e.conn.Recv()
	if err != nil || fd != -1 {
		e.t.Fatalf("engine %s: %#v, descriptor %d, %v", e.id, m, fd, err)
	}
	return m
}

// readable waits until a message is there and leaves it there.
func (e *peer) readable() {
	e.t.Helper()
	raw, err := e.sock.SyscallConn()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	}); err != nil {
		e.t.Fatal(err)
	}
}

// attach expects a client.
func (e *peer) attach() (handoff.Attach, *os.File) {
	e.t.Helper()
	m, fd, err := e.conn.Recv()
	a, ok := m.(handoff.Attach)
	if err != nil || !ok || fd < 0 {
		e.t.Fatalf("engine %s: %#v, descriptor %d, %v; want an Attach", e.id, m, fd, err)
	}
	f := os.NewFile(uintptr(fd), a.Peer)
	e.t.Cleanup(func() { f.Close() })
	return a, f
}

// serve takes a client, writes head and body to it and lets go.
func (e *peer) serve(body string) handoff.Attach {
	e.t.Helper()
	a, f := e.attach()
	e.write(f, string(a.Head))
	e.send(handoff.Started{ID: a.ID})
	e.write(f, body)
	f.Close()
	return a
}

func (e *peer) write(f *os.File, s string) {
	e.t.Helper()
	if _, err := f.WriteString(s); err != nil {
		e.t.Fatal(err)
	}
}

// die is what the kernel does for a killed process.
func (e *peer) die(open ...*os.File) {
	for _, f := range open {
		f.Close()
	}
	e.conn.Close()
}

const get = "GET /udp/239.1.1.1:5000?token=secret HTTP/1.1\r\nHost: h\r\n\r\n"

// ask sends a request from a real client.
func (h *house) ask(request string) *net.TCPConn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		h.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// all reads until the end of the connection, which must not be a reset.
func (h *house) all(c net.Conn) string {
	h.t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		h.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// answer is the one answer to a request, to its end.
func (h *house) answer(request string) (*http.Response, string) {
	h.t.Helper()
	method, _, _ := strings.Cut(request, " ")
	return h.read(h.ask(request), method)
}

// read is the answer that comes by c, to its end.
func (h *house) read(c net.Conn, method string) (*http.Response, string) {
	h.t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		h.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return r, string(body)
}
