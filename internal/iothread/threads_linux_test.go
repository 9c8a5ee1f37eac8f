package iothread

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
	"sluice/internal/netx"
	"sluice/internal/testkit"
)

// run runs threads until the test ends, and waits until they have what they wait in.
func run(t testing.TB, c Config, d *desk) *Threads {
	t.Helper()
	threads, err := New(c, d, quiet())
	if err != nil {
		t.Fatal(err)
	}
	start(t, threads)
	testkit.Eventually(t, func() error {
		for _, th := range threads.threads {
			if !th.inbox.post(func() bool { return true }) {
				return fmt.Errorf("thread %d does not run yet", th.number)
			}
		}
		return nil
	})
	return threads
}

// kept is the most that a direction of any session keeps.
func kept(p *Threads) (most int) {
	parts := make([]int, len(p.threads))
	p.visit(func(t *thread) func(s *session) {
		return func(s *session) {
			for _, d := range s.streams {
				n := len(d.kept)
				if d.pipe != nil {
					n += d.pipe.n
				}
				parts[t.number] = max(parts[t.number], n)
			}
		}
	})
	for _, n := range parts {
		most = max(most, n)
	}
	return most
}

// TestSlowReader: while one side does not read, a session keeps no more than it may, and the other
// side is not read; then all comes.
func TestSlowReader(t *testing.T) {
	testkit.NoLeaks(t)
	for _, tt := range []struct {
		name string
		l    flow.Listener
		most int
	}{
		{"copied", flow.Listener{Copy: true}, defaultBuffer},
		{"small", flow.Listener{Buffer: 16 << 10}, 16 << 10},
		{"spliced", flow.Listener{Buffer: 100 << 10}, 100 << 10},
		{"as much as a pipe takes", flow.Listener{}, pipeSize},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const size = 40 << 20
			s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) { c.Write(make([]byte, size)) })
			d := &desk{target: &flow.Target{Addr: s.addr}}
			threads := run(t, Config{}, d)
			c := dialTo(t, listen(t, threads, tt.l))
			testkit.Eventually(t, func() error {
				if kept(threads) == 0 {
					return errors.New("nothing is kept yet")
				}
				return nil
			})
			var n, part int64
			var err error
			for n < size && err == nil {
				if have := kept(threads); have > tt.most {
					t.Fatalf("%d bytes are kept, want %d at most", have, tt.most)
				}
				part, err = io.CopyN(io.Discard, c, 1<<20)
				n += part
			}
			if n != size || err != nil {
				t.Errorf("%d bytes came, %v", n, err)
			}
			reads(t, c, "")
			c.Close()
			if end := closed(t, d, 1)[0]; end.Down != size || end.Cause != flow.CauseRemote {
				t.Errorf("%d bytes down, cause %s", end.Down, end.Cause)
			}
		})
	}
}

// TestMeetsItself: the kernel has one port for both ends, at which nobody listens.
func TestMeetsItself(t *testing.T) {
	testkit.NoLeaks(t)
	const ports = "/proc/sys/net/ipv4/ip_local_port_range"
	old, err := os.ReadFile(ports)
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(ports, old, 0)
	d := &desk{target: &flow.Target{Addr: must("127.0.0.1:40001")}}
	d.open = func(*flow.Session) flow.Plan {
		if err := os.WriteFile(ports, []byte("40001 40001"), 0); err != nil {
			t.Error(err)
		}
		return d.dial()
	}
	addr := listen(t, run(t, Config{}, d), flow.Listener{})
	for i := range 2 { // nothing is left of the first one
		if err := os.WriteFile(ports, old, 0); err != nil {
			t.Fatal(err)
		}
		reads(t, dialTo(t, addr), "")
		if end := closed(t, d, i+1)[i]; end.Cause != flow.CauseNoRemote || !errors.Is(end.Err, errItself) {
			t.Errorf("cause %s, %v", end.Cause, end.Err)
		}
	}
}

// TestTakenProbes: a client that is taken is probed as its listener has it, or the system.
func TestTakenProbes(t *testing.T) {
	testkit.NoLeaks(t)
	taken := make(chan net.Conn, 1)
	d := &desk{
		open: func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Take} },
		take: func(_ *flow.Session, c net.Conn) { taken <- c },
	}
	fresh, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	system := probesOf(fresh)
	unix.Close(fresh)
	threads := run(t, Config{}, d)
	for _, tt := range []struct {
		l    flow.Listener
		want probes
	}{
		{flow.Listener{Name: "system"}, system},
		{flow.Listener{Name: "own", KeepAlive: flow.KeepAlive{Idle: time.Minute}}, probes{60, system[1], system[2]}},
	} {
		c := dialTo(t, listen(t, threads, tt.l))
		mine := <-taken
		raw, err := mine.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got probes
		raw.Control(func(fd uintptr) { got = probesOf(int(fd)) })
		if got != tt.want {
			t.Errorf("%s: probes %d, want %d", tt.l.Name, got, tt.want)
		}
		mine.Close()
		c.Close()
	}
}

// waitError waits until a socket has an error.
func waitError(c net.Conn) error {
	for {
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
	}
}

// TestPrelude is larger than what a socket takes at once; it comes whole, before what the client sends.
func TestPrelude(t *testing.T) {
	testkit.NoLeaks(t)
	prelude := strings.Repeat("0123456789", 1<<20)
	got := make(chan string, 1)
	read := make(chan struct{})
	s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) {
		<-read
		all, _ := io.ReadAll(c)
		got <- string(all)
	})
	d := &desk{target: &flow.Target{Addr: s.addr, Prelude: []byte(prelude)}}
	c := dialTo(t, listen(t, run(t, Config{}, d), flow.Listener{}))
	io.WriteString(c, "and then")
	c.CloseWrite()
	close(read)
	if all := <-got; all != prelude+"and then" {
		t.Errorf("%d bytes came, not the %d that were sent", len(all), len(prelude)+8)
	}
	if end := closed(t, d, 1)[0]; end.Up != 8 {
		t.Errorf("%d bytes up", end.Up)
	}
}

// TestNoPipes: without a budget, or by order, all is copied.
func TestNoPipes(t *testing.T) {
	testkit.NoLeaks(t)
	for _, tt := range []struct {
		c Config
		l flow.Listener
	}{{Config{Pipes: 1}, flow.Listener{}}, {Config{Copy: true}, flow.Listener{}}, {Config{}, flow.Listener{Copy: true}}} {
		s := serve(t, "tcp", "127.0.0.1:0", func(c halfConn) { c.Write(make([]byte, 8<<20)) })
		d := &desk{target: &flow.Target{Addr: s.addr}}
		threads := run(t, tt.c, d)
		c := dialTo(t, listen(t, threads, tt.l))
		if n, err := io.Copy(io.Discard, c); n != 8<<20 || err != nil {
			t.Errorf("%d bytes came, %v", n, err)
		}
		c.Close()
		closed(t, d, 1)
		testkit.Eventually(t, func() error {
			if f := threads.Figures(); f.Spliced != 0 || f.Copied != 8<<20 || f.Pipes != 0 {
				return fmt.Errorf("%+v", f)
			}
			return nil
		})
	}
}

// TestTurns: sessions go to the threads in turn.
func TestTurns(t *testing.T) {
	testkit.NoLeaks(t)
	threads := make(chan int, 12)
	d := &desk{open: func(s *flow.Session) flow.Plan {
		threads <- s.Thread
		return flow.Plan{Step: flow.Look}
	}}
	addr := listen(t, run(t, Config{Threads: 3}, d), flow.Listener{})
	for i := range 12 {
		dialTo(t, addr)
		if n := <-threads; n != i%3 {
			t.Errorf("session %d is carried by thread %d", i, n)
		}
	}
}

// TestSmallReceiveBuffer: a head that the kernel has no room for is all there will be.
func TestSmallReceiveBuffer(t *testing.T) {
	testkit.NoLeaks(t)
	last := make(chan int, 1)
	d := &desk{
		open: func(*flow.Session) flow.Plan { return flow.Plan{Step: flow.Look} },
		look: func(_ *flow.Session, head []byte, now bool) flow.Plan {
			if !now {
				return flow.Plan{Step: flow.Look}
			}
			last <- len(head)
			return flow.Plan{Cause: flow.CauseHello, Reset: true}
		},
	}
	f, err := netx.ListenStream(netx.StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := f.SyscallConn()
	var a unix.Sockaddr
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 8192)
		a, _ = unix.Getsockname(int(fd))
	})
	addr := flow.Addr{IP: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(a.(*unix.SockaddrInet4).Port))}
	threads := run(t, Config{}, d)
	if err := threads.Listen(&flow.Listener{Addr: addr}, f); err != nil {
		t.Fatal(err)
	}
	c := dialTo(t, addr)
	go c.Write(make([]byte, 60_000)) // ends with the connection
	if n := <-last; n == 0 || n >= 60_000 {
		t.Errorf("%d bytes were all", n)
	}
}

// TestUnixCloses: what a client of a UNIX socket has sent is delivered though it has gone before there was a remote.
func TestUnixCloses(t *testing.T) {
	testkit.NoLeaks(t)
	got := make(chan string, 1)
	s := serve(t, "unix", filepath.Join(t.TempDir(), "remote"), func(c halfConn) {
		all, _ := io.ReadAll(c)
		got <- string(all)
	})
	waits := make(chan *flow.Session, 1)
	d := &desk{target: &flow.Target{Addr: s.addr}}
	d.open = func(s *flow.Session) flow.Plan {
		waits <- s
		return flow.Plan{Step: flow.Wait}
	}
	d.again = func(*flow.Session, bool) flow.Plan { return d.dial() }
	addr := listen(t, run(t, Config{}, d), flow.Listener{Addr: flow.Addr{Network: flow.Unix, Path: filepath.Join(t.TempDir(), "door")}})
	c := dialTo(t, addr)
	io.WriteString(c, "a line")
	c.Close()
	(<-waits).Wake()
	if all := <-got; all != "a line" {
		t.Errorf("%q came", all)
	}
	closed(t, d, 1)
}

// TestGoneWhileWaiting: a client that breaks off is noticed while it waits and while we connect.
func TestGoneWhileWaiting(t *testing.T) {
	testkit.NoLeaks(t)
	for _, plan := range []flow.Plan{{Step: flow.Wait}, {Step: flow.Dial, Target: &flow.Target{Addr: silent(t)}}} {
		d := &desk{open: func(*flow.Session) flow.Plan { return plan }}
		c := dialTo(t, listen(t, run(t, Config{}, d), flow.Listener{}))
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		if end := closed(t, d, 1)[0]; end.Cause != flow.CauseClient || !errors.Is(end.Err, syscall.ECONNRESET) {
			t.Errorf("step %d: cause %s, %v", plan.Step, end.Cause, end.Err)
		}
	}
}

// TestIdleCost: a session that is quiet costs two descriptors, and less than a kilobyte.
func TestIdleCost(t *testing.T) {
	testkit.NoLeaks(t)
	if size := unsafe.Sizeof(session{}) + 2*unsafe.Sizeof(&session{}); size > 1024 {
		t.Errorf("a session takes %d bytes", size)
	}
	s := serve(t, "tcp", "127.0.0.1:0", echo)
	d := &desk{target: &flow.Target{Addr: s.addr}}
	threads := run(t, Config{Threads: 2}, d)
	addr := listen(t, threads, flow.Listener{})
	open := func() {
		c := dialTo(t, addr)
		io.WriteString(c, "x")
		io.ReadFull(c, make([]byte, 1))
	}
	open() // and what the runtime opens once
	before := descriptors(t)
	const n = 200
	for range n {
		open()
	}
	if each := descriptors(t) - before; each != 4*n { // and one each of the client and the remote
		t.Errorf("%d descriptors for %d sessions with both ends", each, n)
	}
}

// TestRefuses what cannot be done.
func TestRefuses(t *testing.T) {
	testkit.NoLeaks(t)
	if _, err := New(Config{Threads: -1}, &desk{}, quiet()); err == nil {
		t.Error("-1 threads")
	}
	threads, err := New(Config{}, &desk{}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := threads.Listen(&flow.Listener{Name: "null"}, f); err == nil || !strings.Contains(err.Error(), "listener null: socket of -: this is no listening socket") {
		t.Errorf("listens at a file: %v", err)
	}
	if err := f.Close(); err == nil {
		t.Error("the file is still open")
	}
	stop := start(t, threads)
	stop()
	s, err := netx.ListenStream(netx.StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	if err := threads.Listen(&flow.Listener{}, s); !errors.Is(err, errEnded) {
		t.Errorf("listens after the end: %v", err)
	}
}

// TestEarly: clients that have connected before the threads had the socket, or before it had another Listener,
// have the options of the one that holds when they are accepted.
func TestEarly(t *testing.T) {
	testkit.NoLeaks(t)
	remote := serve(t, "tcp", "127.0.0.1:0", echo)
	d := &desk{target: &flow.Target{Addr: remote.addr}}
	fds := make(chan int, 1)
	d.open = func(s *flow.Session) flow.Plan { fds <- s.ClientFD; return d.dial() }
	threads := run(t, Config{}, d)
	f, err := netx.ListenStream(netx.StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	at, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	l := flow.Listener{Name: "early", Addr: flow.FromNet(at.Addr()), NoDelay: true, DSCP: 46}
	at.Close()
	want := func(c halfConn, noDelay, dscp int) {
		t.Helper()
		io.WriteString(c, "x")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // the session goes on: its socket is looked at
			t.Fatal(err)
		}
		fd := <-fds
		for _, o := range []struct{ level, option, want int }{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, noDelay}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}, {unix.IPPROTO_IP, unix.IP_TOS, dscp << 2},
		} {
			if got, err := unix.GetsockoptInt(fd, o.level, o.option); err != nil || got != o.want {
				t.Errorf("option %d/%d is %d, %v; want %d", o.level, o.option, got, err, o.want)
			}
		}
	}
	first := dialTo(t, l.Addr)
	if err := threads.Listen(&l, f); err != nil {
		t.Fatal(err)
	}
	want(first, 1, 46)
	want(dialTo(t, l.Addr), 1, 46)
	threads.Pause(l.Name, true)
	second := dialTo(t, l.Addr)
	next := l
	next.NoDelay, next.DSCP = false, 8
	if err := threads.Change(&next); err != nil {
		t.Fatal(err)
	}
	threads.Pause(l.Name, false)
	want(second, 0, 8)
	want(dialTo(t, l.Addr), 0, 8)
}
