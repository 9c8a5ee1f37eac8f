package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/health"
	"sluice/internal/pool"
	"sluice/internal/testkit"
)

// Lines 50 and 62: a remote that fails its checks gets nobody, its sessions are ended when that
// is wanted, and it comes back.
func TestChecks(t *testing.T) {
	s := serveAt(t, "tcp", nobody(t).String(), named("a"))
	c := one(s.remote("a"))
	c.Pools[0].Check = health.Check{Kind: health.TCP, Every: 20 * time.Millisecond, Rise: 1, Fall: 1}
	c.Pools[0].EndDown = true
	h := open(t, c)
	client := h.dial(0)
	first(t, client, 2)
	s.l.Close()
	h.log.wait(t, "remote down", "remote=a", "connection refused")
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
	h.records.wait(t, "remote=a", "cause=down")
	h.log.wait(t, "sessions ended: their remote is down", "sessions=1")
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "remote=-", "cause=no-remote", "no remote is up")
	s.close()
	serveAt(t, "tcp", s.addr.String(), named("a"))
	h.log.wait(t, "remote up", "remote=a")
	h.log.wait(t, "a pool is back")
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}

	// Without checks it is up, also if it is not.
	c.Pools[0].Check = health.Check{Kind: health.TCP, Every: 20 * time.Millisecond, Rise: 1, Fall: 1, Port: nobody(t).IP.Port()}
	if err := h.Reload(c, nil); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error { return isUp(h, false) })
	c.Pools[0].Check = health.Check{}
	if err := h.Reload(c, nil); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error { return isUp(h, true) })
}

func isUp(h *house, want bool) error {
	if r := h.Status().Pools[0].Remotes[0]; r.Up != want {
		return fmt.Errorf("up is %v: %s", r.Up, r.Reason)
	}
	return nil
}

// Checks come with what sessions come with: a PROXY header of our own, and TLS.
func TestChecksLikeSessions(t *testing.T) {
	id := newIdentity(t, "app.internal")
	asked := make(chan string, 100)
	s := serve(t, func(c net.Conn) {
		head := make([]byte, 16)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		id.over(func(c net.Conn) { asked <- fmt.Sprintf("%x", head[12:16]) + rest(t, c) })(c)
	})
	c := one(s.remote("a"))
	c.Pools[0].Check = health.Check{Kind: health.Talk, Every: time.Hour, Send: []byte("hi")}
	c.Pools[0].Proxy, c.Pools[0].TLS = ProxyV2, &RemoteTLS{CA: id.file, Name: "app.internal"}
	c.Pools[0].Check.Kind = health.TLS
	open(t, c)
	if got := <-asked; got != "20000000" { // version 2, LOCAL, UNSPEC, nothing more
		t.Errorf("got %s", got)
	}
}

// Line 51: sessions wait for room, in order, and not for ever.
func TestQueue(t *testing.T) {
	x := new(held)
	r := serve(t, x.talk).remote("a")
	r.MaxConns = 1
	c := one(r)
	c.Listeners[0].Within = 100 * time.Millisecond
	h := open(t, c)
	a := h.dial(0)
	first(t, a, 5)
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	line := h.records.wait(t, "cause=full")
	if got, _ := h.records.find("queue=0.000", "cause=full"); got != "" {
		t.Errorf("it has not waited: %s", line)
	}

	c.Listeners[0].Within = 0
	if err := h.Reload(c, nil); err != nil {
		t.Fatal(err)
	}
	b := h.dial(0)
	testkit.Eventually(t, func() error {
		if n := h.Status().Pools[0].Waiting; n != 1 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	a.Close()
	first(t, b, 5)
	if n := x.most.Load(); n > 1 {
		t.Errorf("%d sessions at once", n)
	}

	c.Pools[0].Queue = -1
	if err := h.Reload(c, nil); err != nil {
		t.Fatal(err)
	}
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "queue=0.000", "cause=full")
}

// Line 36: bounded tries when all are down.
func TestTriesAreBounded(t *testing.T) {
	c := one()
	for i := range 10 {
		c.Pools[0].Remotes = append(c.Pools[0].Remotes, Remote{Name: fmt.Sprint("r", i), Addr: nobody(t)})
	}
	c.Pools[0].Balance = pool.First
	c.Listeners[0].Tries = 4
	var failed lines
	h := open(t, c, func(o *Options) {
		o.Trace = func(e Event, s *flow.Session, _ error) {
			if e == Failed {
				_, _ = failed.Write([]byte(s.Remote.Name + "\n"))
			}
		}
	})
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "cause=no-remote", "remote=r3", "connection refused")
	if got := failed.String(); got != "r0\nr1\nr2\nr3\n" {
		t.Errorf("tried %q", got)
	}
	if n := h.Status().Totals.ConnectFails; n != 4 {
		t.Errorf("%d failures are counted", n)
	}
}

// What is ours is not held against a remote.
func TestOurFaults(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("socket: %w", syscall.EMFILE): true,
		syscall.EADDRNOTAVAIL:                    false,
		syscall.ECONNREFUSED:                     false,
		syscall.EHOSTUNREACH:                     false,
		errors.New("timeout"):                    false,
	} {
		if got := ours(err); got != want {
			t.Errorf("%v is ours: %v", err, got)
		}
	}
}

// Line 54: sessions are named, and one is ended by its number.
func TestKill(t *testing.T) {
	s := serve(t, named("a"))
	h := open(t, one(s.remote("a")))
	a, b := h.dial(0), h.dial(0)
	first(t, a, 2)
	first(t, b, 2)
	var id uint64
	testkit.Eventually(t, func() error {
		st := h.Status()
		for _, x := range st.Sessions {
			if x.Client == a.LocalAddr().String() && x.Down == 2 && x.Pool == "app" && x.Remote == "a" && x.Listener == "in" {
				id = x.ID
			}
		}
		if id == 0 || len(st.Sessions) != 2 || st.Totals.Sessions != 2 || st.Totals.Down != 4 || st.Pools[0].Remotes[0].Down64 != 4 || st.Totals.ConnectTime[len(st.Totals.ConnectTime)-1] != 2 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	if !h.Kill(id) {
		t.Error("there is no such session")
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
	if got := talk(t, b, "x"); got != "x" {
		t.Errorf("the other session got %q", got)
	}
	h.records.wait(t, "cause=killed")
	if h.Kill(id) {
		t.Error("it was ended twice")
	}
}

// The turns of a session, in order, with what is known at each.
func TestTrace(t *testing.T) {
	var turns lines
	names := map[Event]string{Accepted: "accepted", Dialing: "dialing", Failed: "failed", Connected: "connected", Ended: "ended"}
	s := serve(t, named("a"))
	c := one(Remote{Name: "gone", Addr: nobody(t)}, s.remote("a"))
	c.Pools[0].Balance = pool.First
	h := open(t, c, func(o *Options) {
		o.Trace = func(e Event, s *flow.Session, err error) {
			_, remote := s.Destination()
			_, _ = turns.Write(fmt.Appendf(nil, "%s %s %v %v;", names[e], remote, err != nil, s.ClientFD >= 0))
		}
	})
	talk(t, h.dial(0), "x")
	h.records.wait(t, "cause=client")
	if got, want := turns.String(), "accepted  false true;dialing gone false true;failed gone true true;dialing a false true;connected a false true;ended a false true;"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Line 17: a remote that does not answer costs the time for one try, and the next is tried.
func TestConnectTimeout(t *testing.T) {
	c := one(Remote{Name: "mute", Addr: mute(t)}, serve(t, named("a")).remote("a"))
	c.Pools[0].Balance = pool.First
	c.Listeners[0].Connect = 50 * time.Millisecond
	h := open(t, c)
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	if r := h.Status().Pools[0].Remotes[0]; r.Failures != 1 || !r.Ejected {
		t.Errorf("the remote that is mute: %+v", r)
	}

	// All tries together have their time, too.
	c.Pools[0].Remotes = c.Pools[0].Remotes[:1]
	c.Listeners[0].Connect, c.Listeners[0].Within = time.Hour, 50*time.Millisecond
	if err := h.Reload(c, nil); err != nil {
		t.Fatal(err)
	}
	if got := rest(t, h.dial(0)); got != "" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "remote=mute", "cause=no-remote")
}

// mute is an address where connections are neither taken nor refused: the queue is full.
func mute(t *testing.T) flow.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if ctl := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); ctl != nil || err != nil {
		t.Fatal(ctl, err)
	}
	for {
		c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
		if err != nil {
			return flow.FromNet(l.Addr())
		}
		t.Cleanup(func() { c.Close() })
	}
}

// Line 39: the local address of connections.
func TestLocalAddress(t *testing.T) {
	s := serve(t, func(c net.Conn) { fmt.Fprint(c, flow.FromNet(c.RemoteAddr()).IP.Addr()) })
	c := one(s.remote("a"))
	c.Pools[0].From = netip.MustParseAddr("127.0.0.9")
	h := open(t, c)
	if got := rest(t, h.dial(0)); got != "127.0.0.9" {
		t.Errorf("got %q", got)
	}
}
