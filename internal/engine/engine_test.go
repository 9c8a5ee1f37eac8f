package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice/internal/engine"
	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/netx"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

func TestMain(m *testing.M) { testkit.MainInNamespace(m) }

// office plays gws: the real protocol on a real socket.
type office struct {
	t    *testing.T
	path string
	ln   *net.UnixListener
	conn *handoff.Conn

	noData time.Duration // of the channels that it asks for; 0 = the default
}

func openOffice(t *testing.T) *office {
	o := &office{t: t, path: filepath.Join(t.TempDir(), "handoff.socket")}
	o.open()
	t.Cleanup(o.close)
	return o
}

func (o *office) open() {
	var err error
	if o.ln, err = netx.ListenHandoff(o.path); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) close() {
	o.ln.Close()
	if o.conn != nil {
		o.conn.Close()
	}
}

// admit takes the next engine in and returns what it said.
func (o *office) admit() (handoff.Hello, handoff.Report) {
	o.t.Helper()
	c, err := o.ln.AcceptUnix()
	if err != nil {
		o.t.Fatal(err)
	}
	o.conn = handoff.NewConn(c)
	hello := expect[handoff.Hello](o)
	r := expect[handoff.Report](o)
	if err := o.conn.Send(handoff.Welcome{Version: handoff.Version, PID: 1}); err != nil {
		o.t.Fatal(err)
	}
	return hello, r
}

func expect[M handoff.Message](o *office) M {
	o.t.Helper()
	for {
		m, _, err := o.conn.Recv()
		if err != nil {
			o.t.Fatal(err)
		}
		switch m := m.(type) {
		case M:
			return m
		case handoff.ChannelOpen, handoff.ChannelEnd, handoff.ClientEnd, handoff.Rates:
		default:
			o.t.Fatalf("engine said %#v", m)
		}
	}
}

// client is a TCP connection whose server side is handed over.
func (o *office) client(id uint64, source string) *net.TCPConn {
	o.t.Helper()
	return o.clientBy("tcp", "127.0.0.1:0", id, source).(*net.TCPConn)
}

// clientBy is client for a connection of any network.
func (o *office) clientBy(network, address string, id uint64, source string) net.Conn {
	o.t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		o.t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { c.Close() })
	server, err := ln.Accept()
	if err != nil {
		o.t.Fatal(err)
	}
	defer server.Close()
	from, err := uri.ParseSource(source)
	if err != nil {
		o.t.Fatal(err)
	}
	to := lineup.Channel{Sources: []uri.Source{from}, Settings: lineup.Defaults()}
	if o.noData > 0 {
		to.NoData = o.noData
	}
	err = o.conn.SendSocket(handoff.Attach{ID: id, Channel: to, Peer: "192.0.2.1:1", Head: []byte("HEAD\n")}, server.(syscall.Conn))
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

func start(t *testing.T, c engine.Config) (stop func() error) {
	t.Helper()
	c.ID, c.Build, c.Interface = "1", "test", "lo"
	c.Sources = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	e, err := engine.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	var once bool
	stop = func() error {
		cancel()
		if once {
			return nil
		}
		once = true
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("engine: %v", err)
		}
		goleak.VerifyNone(t)
	})
	return stop
}

// broadcast sends numbered packets to a group until the test ends.
func broadcast(t *testing.T, group string) (send func(n int)) {
	t.Helper()
	addr, err := net.ResolveUDPAddr("udp", group)
	if err != nil {
		t.Fatal(err)
	}
	c, err := netx.DialUDP(netx.SendConfig{Addr: addr.AddrPort(), Interface: "lo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	packet := bytes.Repeat([]byte{0x47, 0x1F, 0xFF, 0x10}, 47)
	return func(n int) {
		for range n {
			if _, err := c.Write(bytes.Repeat(packet, 7)); err != nil {
				t.Error(err)
			}
		}
	}
}

// onAir sends a datagram to a group every other millisecond until the test ends.
func onAir(t *testing.T, group string) {
	send := broadcast(t, group)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				send(1)
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
}

// awaitReadable waits until there is something to read, and reads nothing.
func awaitReadable(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) bool {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n > 0 || err != nil && !errors.Is(err, unix.EAGAIN)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// opened waits until the engine has the channel open.
func (o *office) opened(tag string) {
	o.t.Helper()
	for {
		m, _, err := o.conn.Recv()
		if err != nil {
			o.t.Fatal(err)
		}
		if open, ok := m.(handoff.ChannelOpen); ok && open.Tag == tag {
			return
		}
	}
}

func readFull(t *testing.T, c net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestServes(t *testing.T) {
	o := openOffice(t)
	start(t, engine.Config{Socket: o.path})
	hello, r := o.admit()
	if hello.Engine != "1" || hello.Version != handoff.Version || r.Query != 0 || !r.Last || len(r.Engine.Channels) != 0 {
		t.Fatalf("introduced itself as %+v, %+v", hello, r)
	}
	c := o.client(1, "udp://239.6.0.1:5000")
	o.opened("UDP://239.6.0.1:5000")
	broadcast(t, "239.6.0.1:5000")(3)
	if s := expect[handoff.Started](o); s.ID != 1 {
		t.Fatalf("started %d", s.ID)
	}
	got := readFull(t, c, 5+3*7*188)
	if !bytes.HasPrefix(got, []byte("HEAD\nG")) {
		t.Errorf("got %q…", got[:8])
	}
	if err := o.conn.Send(handoff.Query{ID: 7}); err != nil {
		t.Fatal(err)
	}
	r = expect[handoff.Report](o)
	if r.Query != 7 || len(r.Engine.Channels) != 1 || len(r.Engine.Channels[0].Clients) != 1 || r.Engine.Channels[0].Clients[0].ID != 1 {
		t.Errorf("report %+v", r)
	}
	c.Close()
	broadcast(t, "239.6.0.1:5000")(100)
	if end := awaitEnd(o); end.ID != 1 || end.Reason != "client gone" {
		t.Errorf("%+v", end)
	}
}

// patience is the no-data time of a channel that is refused with code: only one that is refused for that time has a short one.
func patience(code int) time.Duration {
	if code == 504 {
		return 50 * time.Millisecond
	}
	return time.Hour
}

func TestRefuses(t *testing.T) {
	o := openOffice(t)
	start(t, engine.Config{Socket: o.path})
	o.admit()
	for i, tt := range []struct {
		source string
		code   int
	}{
		{"udp://239.6.0.2:5000", 504},
		{"udp://192.0.2.1:5000", 503}, // not an address of this machine
	} {
		o.noData = patience(tt.code)
		c := o.client(uint64(i+1), tt.source)
		r := expect[handoff.Refused](o)
		if r.ID != uint64(i+1) || r.Code != tt.code || r.Reason == "" {
			t.Errorf("%s: %+v, want code %d", tt.source, r, tt.code)
		}
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
			t.Errorf("%s: the client got %q, %v; gws has to answer", tt.source, b, err)
		}
	}
}

// TestRepeatedAttach: the second socket under an ID is closed, the first has its one
// answer.
func TestRepeatedAttach(t *testing.T) {
	o := openOffice(t)
	start(t, engine.Config{Socket: o.path})
	o.admit()
	first := o.client(5, "udp://239.6.0.3:5000")
	second := o.client(5, "udp://239.6.0.3:5000")
	if b, err := io.ReadAll(second); len(b) > 0 || err != nil {
		t.Errorf("second got %q, %v", b, err)
	}
	o.opened("UDP://239.6.0.3:5000")
	broadcast(t, "239.6.0.3:5000")(1)
	expect[handoff.Started](o)
	readFull(t, first, 5+7*188)
}

// TestGwsGoesAndComes: the stream goes on without gws; the next one is told what runs.
func TestGwsGoesAndComes(t *testing.T) {
	o := openOffice(t)
	start(t, engine.Config{Socket: o.path, ReconnectDelay: time.Millisecond, ReconnectAttempts: 10_000})
	o.admit()
	c := o.client(1, "udp://239.6.0.4:5000")
	o.opened("UDP://239.6.0.4:5000")
	send := broadcast(t, "239.6.0.4:5000")
	send(1)
	expect[handoff.Started](o)
	readFull(t, c, 5+7*188)
	for _, how := range []string{"closed", "spoke nonsense"} {
		if how == "closed" {
			o.close()
		} else if err := o.conn.Send(handoff.Started{ID: 1}); err != nil { // an engine's word
			t.Fatal(err)
		}
		send(2)
		readFull(t, c, 2*7*188)
		if how == "closed" {
			o.open()
		}
		_, r := o.admit()
		if len(r.Engine.Channels) != 1 || len(r.Engine.Channels[0].Clients) != 1 {
			t.Fatalf("after gws %s the engine reports %+v", how, r.Engine)
		}
	}
}

// TestGwsDies kills gws at every moment of an exchange. The client gets exactly one
// answer, from the engine, or a closed connection; and the next gws is served.
func TestGwsDies(t *testing.T) {
	const source = "udp://239.6.0.6:5000"
	for _, tt := range []struct {
		moment string
		silent bool                             // the source sends nothing: the engine refuses
		die    func(o *office) (c *net.TCPConn) // c is the client, if there was one
	}{
		{"before Welcome", false, func(o *office) *net.TCPConn {
			c, err := o.ln.AcceptUnix()
			if err != nil {
				o.t.Fatal(err)
			}
			o.conn = handoff.NewConn(c)
			expect[handoff.Hello](o)
			return nil
		}},
		{"before Attach", false, func(o *office) *net.TCPConn {
			o.admit()
			return nil
		}},
		{"with Attach unread", false, func(o *office) *net.TCPConn {
			o.admit()
			return o.client(1, source)
		}},
		{"with the source open", false, func(o *office) *net.TCPConn {
			o.admit()
			c := o.client(1, source)
			o.opened("UDP://239.6.0.6:5000")
			return c
		}},
		{"with Started unread", false, func(o *office) *net.TCPConn {
			o.admit()
			c := o.client(1, source)
			awaitReadable(o.t, c)
			return c
		}},
		{"after Started", false, func(o *office) *net.TCPConn {
			o.admit()
			c := o.client(1, source)
			expect[handoff.Started](o)
			return c
		}},
		{"before Refused", true, func(o *office) *net.TCPConn {
			o.admit()
			return o.client(1, source)
		}},
		{"after Refused", true, func(o *office) *net.TCPConn {
			o.admit()
			c := o.client(1, source)
			expect[handoff.Refused](o)
			return c
		}},
	} {
		t.Run(tt.moment, func(t *testing.T) {
			o := openOffice(t)
			if tt.silent {
				o.noData = 20 * time.Millisecond
			}
			start(t, engine.Config{Socket: o.path, ReconnectDelay: time.Millisecond, ReconnectAttempts: 10_000})
			if !tt.silent {
				onAir(t, "239.6.0.6:5000")
			}
			c := tt.die(o)
			o.close()
			if c != nil {
				oneAnswer(t, c, tt.silent)
			}
			o.open()
			o.admit()
			next := o.client(2, source)
			if tt.silent {
				expect[handoff.Refused](o)
			}
			oneAnswer(t, next, tt.silent)
		})
	}
}

// oneAnswer reads what a client gets: of a silent source nothing and the end, else the
// head, once, and the stream.
func oneAnswer(t *testing.T, c *net.TCPConn, silent bool) {
	t.Helper()
	if silent {
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
			t.Errorf("the client got %q, %v", b, err)
		}
		return
	}
	got := readFull(t, c, 5+20*7*188)
	if !bytes.HasPrefix(got, []byte("HEAD\nG")) || bytes.Count(got, []byte("HEAD")) != 1 {
		t.Errorf("the client got %q…", got[:16])
	}
}

func TestGivesUpWithoutGws(t *testing.T) {
	e, err := engine.New(engine.Config{
		ID: "1", Socket: filepath.Join(t.TempDir(), "none"), ReconnectAttempts: 3, ReconnectDelay: time.Millisecond,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err == nil {
		t.Error("ended without an error")
	}
}

// TestEndsInOrder: on the end of its context the engine gives clients what is left,
// ends their connections cleanly and tells gws.
func TestEndsInOrder(t *testing.T) {
	o := openOffice(t)
	stop := start(t, engine.Config{Socket: o.path})
	o.admit()
	c := o.client(1, "udp://239.6.0.5:5000")
	o.opened("UDP://239.6.0.5:5000")
	broadcast(t, "239.6.0.5:5000")(1)
	expect[handoff.Started](o)
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	b, err := io.ReadAll(c)
	c.Close()
	if err != nil || len(b) != 5+7*188 {
		t.Errorf("client got %d bytes, %v", len(b), err)
	}
	var told []string
	for {
		m, _, err := o.conn.Recv()
		if err != nil {
			break
		}
		told = append(told, fmt.Sprintf("%T", m))
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want := "[handoff.Bye handoff.ChannelEnd handoff.ClientEnd]"; fmt.Sprint(told) != want {
		t.Errorf("gws was told %v, want %s", told, want)
	}
}

// TestEndsWithClientsWaiting: a client that nothing was written to gets no answer from an
// engine that ends; its socket is closed before the connection, so that gws can give it
// to another engine.
func TestEndsWithClientsWaiting(t *testing.T) {
	o := openOffice(t)
	stop := start(t, engine.Config{Socket: o.path})
	o.admit()
	c := o.client(1, "udp://239.6.0.7:5000")
	o.opened("UDP://239.6.0.7:5000")
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	oneAnswer(t, c, true)
	for {
		m, _, err := o.conn.Recv()
		if err != nil {
			break
		}
		switch m.(type) {
		case handoff.Bye, handoff.ChannelEnd:
		default:
			t.Errorf("gws was told %#v", m)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestGwsComes: an engine that was there first does not wait for its next attempt.
func TestGwsComes(t *testing.T) {
	o := &office{t: t, path: filepath.Join(t.TempDir(), "handoff.socket")}
	t.Cleanup(o.close)
	failed := make(seen, 1)
	e, err := engine.New(engine.Config{ID: "1", Socket: o.path, ReconnectDelay: time.Hour}, slog.New(slog.NewTextHandler(failed, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	<-failed
	o.open()
	o.admit()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// seen takes the first line of a log.
type seen chan string

func (s seen) Write(line []byte) (int, error) {
	select {
	case s <- string(line):
	default:
	}
	return len(line), nil
}

// TestUNIXClient: a client by a UNIX socket, which the origin is, gets its stream and the whole
// end of it as one by TCP does, is counted, and is missed when it goes.
func TestUNIXClient(t *testing.T) {
	o := openOffice(t)
	stop := start(t, engine.Config{Socket: o.path})
	o.admit()
	const source, bytesOf = "udp://239.6.0.9:5000", 7 * 188
	dir := t.TempDir()
	stays := o.clientBy("unix", filepath.Join(dir, "1"), 1, source)
	o.opened("UDP://239.6.0.9:5000")
	send := broadcast(t, "239.6.0.9:5000")
	send(3)
	expect[handoff.Started](o)
	if got := readFull(t, stays, 5+3*bytesOf); !bytes.HasPrefix(got, []byte("HEAD\nG")) {
		t.Errorf("got %q…", got[:8])
	}
	leaves := o.clientBy("unix", filepath.Join(dir, "2"), 2, source)
	expect[handoff.Started](o)
	leaves.Close()
	if end := awaitEnd(o); end.ID != 2 || end.Reason != "client gone" {
		t.Errorf("%+v", end)
	}
	send(1)
	readFull(t, stays, bytesOf)
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	if rest, err := io.ReadAll(stays); err != nil || len(rest) != 0 {
		t.Errorf("at the end: %d bytes, %v", len(rest), err)
	}
	stays.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if end := awaitEnd(o); end.ID != 1 || end.Bytes != 4*bytesOf {
		t.Errorf("%+v", end)
	}
}

// awaitEnd waits until the engine tells that a client has ended.
func awaitEnd(o *office) handoff.ClientEnd {
	o.t.Helper()
	for {
		m, _, err := o.conn.Recv()
		if err != nil {
			o.t.Fatal(err)
		}
		if end, ok := m.(handoff.ClientEnd); ok {
			return end
		}
	}
}
