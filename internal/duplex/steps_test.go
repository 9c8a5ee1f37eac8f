package duplex

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// begin starts a session whose client is near.
func begin(t *testing.T, d *desk, plan flow.Plan) (g *Group, s *flow.Session, near *net.TCPConn) {
	t.Helper()
	near, far := tcpPair(t)
	g = New(d, 0)
	ctx, stop := context.WithCancel(t.Context())
	s = &flow.Session{ID: ids.Add(1), Listener: &flow.Listener{Name: "door"}, Begun: time.Now()}
	g.Start(ctx, s, far, plan)
	t.Cleanup(func() { stop(); g.Wait() })
	return g, s, near
}

func dial(l net.Listener) flow.Plan {
	return flow.Plan{Step: flow.Dial, Target: &flow.Target{Name: "r", Pool: "p", Addr: flow.FromNet(l.Addr())}}
}

// refusing is an address where nobody listens.
func refusing(t *testing.T) flow.Plan {
	l := listenTCP(t)
	p := dial(l)
	l.Close()
	return p
}

func everyone(flow.View) bool { return true }

// TestRefused: the client waits while others are tried (acceptance 34).
func TestRefused(t *testing.T) {
	testkit.NoLeaks(t)
	d, l := newDesk(), listenTCP(t)
	tried := 0
	d.failed = func(s *flow.Session, err error) flow.Plan {
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		if tried++; tried < 3 {
			return refusing(t)
		}
		return dial(l)
	}
	_, s, near := begin(t, d, refusing(t))
	send(t, near, "early")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect(t, c, "early")
	near.Close()
	c.Close()
	if d.end(t); tried != 3 || s.Remote.Name != "r" || s.Connected.IsZero() {
		t.Errorf("%d tries, connected to %q at %v", tried, s.Remote.Name, s.Connected)
	}
}

// TestSilentRemotes: a remote that says nothing in the handshake is tried for as long as the plan
// says, and then it has failed (acceptance 17).
func TestSilentRemotes(t *testing.T) {
	testkit.NoLeaks(t)
	l := listenTCP(t)
	plan := dial(l)
	plan.Target.TLS, plan.Within = clientTLS(), 50*time.Millisecond
	d := newDesk()
	why := make(chan error, 1)
	d.failed = func(s *flow.Session, err error) flow.Plan {
		why <- err
		return flow.Plan{Step: flow.End, Cause: flow.CauseNoRemote, Err: err}
	}
	_, _, near := begin(t, d, plan)
	if err := <-why; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "TLS handshake") {
		t.Error(err)
	}
	expectEnd(t, near)
	expectOutcome(t, d.end(t), flow.CauseNoRemote, 0, 0)
}

// TestWrongRemotes: remotes that speak no TLS, or for somebody else.
func TestWrongRemotes(t *testing.T) {
	testkit.NoLeaks(t)
	for what, answer := range map[string]func(c net.Conn){
		"first record does not look like a TLS handshake": func(c net.Conn) { io.WriteString(c, "220 mail.example\r\n") },
		"not tv.other": func(c net.Conn) { tls.Server(c, serverTLS()).Handshake() },
	} {
		l := listenTCP(t)
		plan := dial(l)
		plan.Target.TLS = clientTLS()
		plan.Target.TLS.ServerName = "tv.other"
		d := newDesk()
		_, _, near := begin(t, d, plan)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		answer(c)
		expectEnd(t, near)
		if s := d.end(t); s.Cause != flow.CauseNoRemote || !strings.Contains(fmt.Sprint(s.Err), what) {
			t.Error(outcome(s))
		}
		c.Close()
	}
}

// TestWait: a session is asked again when it is woken, and when its time is over.
func TestWait(t *testing.T) {
	testkit.NoLeaks(t)
	d, l := newDesk(), listenTCP(t)
	asked := make(chan bool)
	d.again = func(s *flow.Session, late bool) flow.Plan {
		asked <- late
		switch {
		case late:
			return dial(l)
		case s.Queued > 0 && s.Keep == nil:
			s.Keep = "woken before"
			return flow.Plan{Step: flow.Wait}
		}
		return flow.Plan{Step: flow.Wait, Within: time.Millisecond}
	}
	_, s, _ := begin(t, d, flow.Plan{Step: flow.Wait, Within: time.Hour})
	for range 2 {
		s.Wake()
		if <-asked {
			t.Error("late when it was woken")
		}
	}
	if !<-asked {
		t.Error("not late")
	}
	s.Wake() // in vain: it does not wait
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).SetLinger(0)
	<-d.connected
	c.Close()
	expectOutcome(t, d.end(t), flow.CauseRemote, 0, 0)
	s.Wake() // in vain: it is over
}

// TestGoneWhileWaiting: a client that breaks off is missed before there is a remote, also when it has said something;
// one that has only ended its side is not.
func TestGoneWhileWaiting(t *testing.T) {
	testkit.NoLeaks(t)
	l := listenTCP(t)
	for _, said := range []string{"", "word"} {
		d := newDesk()
		_, _, near := begin(t, d, flow.Plan{Step: flow.Wait, Within: time.Hour})
		send(t, near, said)
		near.SetLinger(0)
		near.Close()
		end := d.end(t)
		expectOutcome(t, end, flow.CauseClient, 0, 0)
		if !errors.Is(end.Err, syscall.ECONNRESET) {
			t.Error(outcome(end))
		}
	}
	d := newDesk()
	d.again = func(*flow.Session, bool) flow.Plan { return dial(l) }
	_, s, near := begin(t, d, flow.Plan{Step: flow.Wait})
	send(t, near, "word")
	closeWrite(t, near)
	s.Wake()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, c, "word")
	expectEnd(t, c)
	c.Close()
	expectOutcome(t, d.end(t), flow.CauseClient, 4, 0)
}

// TestEnds: a session ends in each of its steps, by an order or with its context.
func TestEnds(t *testing.T) {
	silent := listenTCP(t)
	handshake := dial(silent)
	handshake.Target.TLS = clientTLS()
	full := dial(fullListener(t))
	for name, plan := range map[string]flow.Plan{
		"wait": {Step: flow.Wait}, "wait for a time": {Step: flow.Wait, Within: time.Hour},
		"dial": full, "handshake": handshake, "relay": dial(silent),
	} {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reset %v", name, reset), func(t *testing.T) {
				testkit.NoLeaks(t)
				d := newDesk()
				g, _, near := begin(t, d, plan)
				if name == "relay" {
					<-d.connected
				}
				if n := g.End(everyone, flow.CauseKilled, reset); n != 1 {
					t.Errorf("%d sessions ended", n)
				}
				expectOutcome(t, d.end(t), flow.CauseKilled, 0, 0)
				if reset {
					expectReset(t, near)
				} else {
					expectEnd(t, near)
				}
				if n := g.End(everyone, flow.CauseKilled, reset); n != 0 {
					t.Errorf("%d sessions ended once more", n)
				}
			})
		}
	}
}

// fullListener takes no more connections: they wait for an answer.
func fullListener(t *testing.T) net.Listener {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	l, err := netListener(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for { // the queue has room for one or two
		c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
		if err != nil {
			return l
		}
		t.Cleanup(func() { c.Close() })
	}
}

// TestDrain: the end of the context.
func TestDrain(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := pair(t, in, out, flow.Listener{})
		send(t, p.client, "word")
		expect(t, p.remote, "word")
		p.stop()
		expectOutcome(t, p.desk.end(t), flow.CauseDrain, 4, 0)
		expectReset(t, p.client)
		expectReset(t, p.remote)
	})
}

// TestKilledWhileWriting: neither side takes anything.
func TestKilledWhileWriting(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := pair(t, in, out, flow.Listener{})
		var all sync.WaitGroup
		for _, c := range []net.Conn{p.client, p.remote} {
			all.Go(func() { io.Copy(c, endless{}) })
		}
		quiet := func(v flow.View) bool { return v.Up > 1<<17 && v.Down > 1<<17 && v.Quiet > 20*time.Millisecond }
		testkit.Eventually(t, func() error {
			if p.group.End(quiet, flow.CauseKilled, false) == 0 {
				return errors.New("it still takes something")
			}
			return nil
		})
		s := p.desk.end(t)
		if s.Cause != flow.CauseKilled {
			t.Error(outcome(s))
		}
		all.Wait()
	})
}

// TestIdle: nothing comes, and the session ends in good order (acceptance 37).
func TestIdle(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := pair(t, in, out, flow.Listener{Idle: 50 * time.Millisecond})
		expectOutcome(t, p.desk.end(t), flow.CauseIdle, 0, 0)
		expectEnd(t, p.client)
		expectEnd(t, p.remote)
	})
}

// TestHalfCloseTime: one side has ended, the other says nothing (acceptance 12).
func TestHalfCloseTime(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := pair(t, in, out, flow.Listener{HalfClose: 50 * time.Millisecond, Idle: time.Hour})
		closeWrite(t, p.client)
		expectEnd(t, p.remote)
		expectOutcome(t, p.desk.end(t), flow.CauseHalfClosed, 0, 0)
		expectEnd(t, p.client)
	})
}

// TestViews: what others see of a session.
func TestViews(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := pair(t, in, out, flow.Listener{Name: "door"})
		send(t, p.client, "question")
		expect(t, p.remote, "question")
		send(t, p.remote, "answer")
		expect(t, p.client, "answer")
		testkit.Eventually(t, func() error {
			views := p.group.Views()
			if len(views) != 1 || p.group.Count() != 1 {
				return fmt.Errorf("%d sessions", len(views))
			}
			v := views[0]
			if v.ID != p.s.ID || v.Listener != "door" || v.Remote != "r" || v.Pool != "p" || v.TLS != (in || out) || v.Connected.IsZero() || v.Up != 8 || v.Down != 6 {
				return fmt.Errorf("%+v", v)
			}
			return nil
		})
		if n := p.group.End(func(v flow.View) bool { return v.ID != p.s.ID }, flow.CauseKilled, true); n != 0 {
			t.Errorf("%d others ended", n)
		}
		p.stop()
		p.desk.end(t)
		if p.group.Count() != 0 || len(p.group.Views()) != 0 {
			t.Error("it is still seen")
		}
	})
}

// TestUnix: a remote at a UNIX socket. It ends both directions at once, which is no reset.
func TestUnix(t *testing.T) {
	testkit.NoLeaks(t)
	path := filepath.Join(t.TempDir(), "x.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newDesk()
	_, _, near := begin(t, d, flow.Plan{Step: flow.Dial, Target: &flow.Target{Addr: flow.Addr{Network: flow.Unix, Path: path}}})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	send(t, near, "question")
	expect(t, c, "question")
	send(t, c, "answer")
	c.Close()
	expect(t, near, "answer")
	expectEnd(t, near)
	near.Close()
	expectOutcome(t, d.end(t), flow.CauseRemote, 8, 6)
}

// TestOddPlans: what cannot be done is an end.
func TestOddPlans(t *testing.T) {
	testkit.NoLeaks(t)
	for _, plan := range []flow.Plan{{Step: flow.Take}, {Step: flow.Look}} {
		d := newDesk()
		_, _, near := begin(t, d, plan)
		expectEnd(t, near)
		if s := d.end(t); s.Cause != flow.CauseError || s.Err == nil {
			t.Error(outcome(s))
		}
	}
	d := newDesk()
	_, _, near := begin(t, d, flow.Plan{Cause: flow.CauseLimit, Reset: true})
	expectReset(t, near)
	expectOutcome(t, d.end(t), flow.CauseLimit, 0, 0)
}

// TestNoSocket: connections that cannot be carried are closed.
func TestNoSocket(t *testing.T) {
	testkit.NoLeaks(t)
	near, far := net.Pipe()
	d := newDesk()
	g := New(d, 0)
	g.Start(t.Context(), &flow.Session{Listener: &flow.Listener{}}, pipe{far}, flow.Plan{Step: flow.Wait})
	expectEnd(t, near)
	if s := d.end(t); s.Cause != flow.CauseError {
		t.Error(outcome(s))
	}
	g.Wait()
	if _, err := Server(t.Context(), far, serverTLS()); err == nil {
		t.Error("a pipe is taken")
	}
}

type pipe struct{ net.Conn }

func (pipe) CloseWrite() error { return nil }

// TestServer: clients that speak no TLS, break off, or say nothing.
func TestServer(t *testing.T) {
	testkit.NoLeaks(t)
	for what, c := range map[string]func(near *net.TCPConn, stop func()){
		"first record does not look like a TLS handshake": func(near *net.TCPConn, _ func()) { io.WriteString(near, "GET / HTTP/1.1\r\n") },
		"EOF":              func(near *net.TCPConn, _ func()) { near.CloseWrite() },
		"context canceled": func(_ *net.TCPConn, stop func()) { stop() },
	} {
		near, far := tcpPair(t)
		ctx, stop := context.WithCancel(t.Context())
		c(near, stop)
		if _, err := Server(ctx, far, serverTLS()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		stop()
		if _, err := io.Copy(io.Discard, near); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err) // it is closed
		}
	}
}

// TestMany: many sessions leave nothing behind.
func TestMany(t *testing.T) {
	testkit.NoLeaks(t)
	const many = 1000
	d := newDesk()
	d.connected, d.closed = make(chan *flow.Session, many), make(chan *flow.Session, many)
	g := New(d, 0)
	front, back := listenTCP(t), listenTCP(t)
	var all sync.WaitGroup
	all.Go(func() {
		for range many {
			c, err := back.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			all.Go(func() { io.Copy(c, c); c.Close() })
		}
	})
	all.Go(func() {
		for i := range many {
			c, err := front.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			all.Go(func() {
				secure, err := Server(t.Context(), c, serverTLS())
				if err != nil {
					t.Error(err)
					return
				}
				s := &flow.Session{ID: uint64(i), Listener: &flow.Listener{Idle: time.Hour, HalfClose: time.Hour}}
				g.Start(t.Context(), s, secure, dial(back))
			})
		}
	})
	turn := make(chan struct{}, 50)
	for i := range many {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			c, err := tls.Dial("tcp", front.Addr().String(), clientTLS())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			send(t, c, strings.Repeat("x", i))
			closeWrite(t, c)
			if n, err := io.Copy(io.Discard, c); n != int64(i) || err != nil {
				t.Error(n, err)
			}
		})
	}
	all.Wait()
	g.Wait()
	causes := make(map[flow.Cause]int)
	for range many {
		causes[(<-d.closed).Cause]++
	}
	if causes[flow.CauseClient] != many || g.Count() != 0 {
		t.Error(causes, g.Count())
	}
}

// TestOptions: both sockets have what the listener wants.
func TestOptions(t *testing.T) {
	for _, delay := range []bool{false, true} {
		l := flow.Listener{NoDelay: !delay, KeepAlive: flow.KeepAlive{Off: delay, Count: 3}}
		p := pair(t, true, true, l)
		for _, fd := range []int{p.s.ClientFD, p.s.RemoteFD} {
			nodelay, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
			probes, failed := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
			if err != nil || failed != nil {
				t.Fatal(err, failed)
			}
			if (nodelay == 0) != delay || (probes == 0) != delay {
				t.Errorf("no delay %d, probes %d", nodelay, probes)
			}
		}
	}
}
