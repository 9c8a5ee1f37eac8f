package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// Line 46: nobody is refused while the configuration is exchanged, and sessions go on.
func TestReloadRefusesNobody(t *testing.T) {
	a, b := serve(t, named("a")), serve(t, named("b"))
	h := open(t, one(a.remote("a")))
	old := h.dial(0)
	first(t, old, 2)

	at, done := h.addr(0), make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				conn, err := flow.Connect(t.Context(), netip.Addr{}, at)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = io.ReadFull(conn, make([]byte, 2))
				conn.Close()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 50 {
		next := one([]*server{a, b}[i%2].remote("x"))
		next.Listeners[0].Idle = time.Duration(i) * time.Hour
		if err := h.Reload(next, nil); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	clients.Wait()
	if got := talk(t, old, "x"); got != "x" {
		t.Errorf("the session of before got %q", got)
	}
	if got := first(t, h.dial(0), 2); got != "b:" {
		t.Errorf("the last configuration is not in use: %q", got)
	}
}

// A socket goes from one listener to another without being closed.
func TestReloadMovesASocket(t *testing.T) {
	a, b := serve(t, named("a")), serve(t, named("b"))
	c := one(a.remote("a"))
	c.Listeners[0].Addrs[0].Addr = nobody(t)
	h := open(t, c)
	waiting := h.dial(0)
	first(t, waiting, 2)
	next := one(b.remote("b"))
	next.Listeners[0].Name = "other"
	next.Listeners[0].Addrs = c.Listeners[0].Addrs
	if err := h.Reload(next, nil); err != nil {
		t.Fatal(err)
	}
	if got := talk(t, h.dial(0), "x"); got != "b:x" {
		t.Errorf("got %q", got)
	}
	if got := talk(t, waiting, "x"); got != "x" {
		t.Errorf("the session of before got %q", got)
	}
	h.records.wait(t, "listener=other", "remote=b")
}

func TestReloadOpensAndCloses(t *testing.T) {
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	gone, fresh := nobody(t), nobody(t)
	c.Listeners[0].Addrs = append(local(), Socket{Addr: gone})
	h := open(t, c)
	first(t, dial(t, gone), 2)
	next := one(s.remote("a"))
	next.Listeners[0].Addrs = append(local(), Socket{Addr: fresh})
	if err := h.Reload(next, nil); err != nil {
		t.Fatal(err)
	}
	first(t, dial(t, fresh), 2)
	first(t, h.dial(0), 2)
	if err := reset(gone, t); err != nil {
		t.Errorf("still open: %v", err)
	}
	h.log.wait(t, "listener down", "listen="+gone.String())
}

// Line 46: a bad configuration changes nothing.
func TestBadReload(t *testing.T) {
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	h := open(t, c)
	other, taken := listening(t)
	defer other.Close()
	fresh := nobody(t)
	for what, change := range map[string]func(*Config){
		"an address in use":       func(c *Config) { c.Listeners[0].Addrs = []Socket{{Addr: fresh}, {Addr: taken}} },
		"no such pool":            func(c *Config) { c.Listeners[0].Pool = "b" },
		"no certificate":          func(c *Config) { c.Listeners[0].TLS = &TLS{Certificates: []Certificate{{Chain: "/nowhere"}}} },
		"no authority of remotes": func(c *Config) { c.Pools[0].TLS = &RemoteTLS{CA: "/nowhere"} },
	} {
		next := one(s.remote("b"))
		change(&next)
		if err := h.Reload(next, nil); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	if err := reset(fresh, t); err != nil {
		t.Errorf("a socket of a bad configuration is open: %v", err)
	}
	if got := h.Status().Pools[0].Remotes[0].Name; got != "a" {
		t.Errorf("the remote is %s", got)
	}
}

// Line 62: orders survive a reload, and so do counts.
func TestOrdersSurvive(t *testing.T) {
	a, b := serve(t, named("a")), serve(t, named("b"))
	c := one(a.remote("a"), b.remote("b"))
	h := open(t, c)
	drain, weight := "draining", 7
	if err := h.Order("app", "a", &drain, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.Order("app", "b", nil, &weight); err != nil {
		t.Fatal(err)
	}
	talk(t, h.dial(0), "")
	h.records.wait(t, "remote=b")
	if err := h.Reload(c, nil); err != nil {
		t.Fatal(err)
	}
	s := h.Status()
	if ra, rb := s.Pools[0].Remotes[0], s.Pools[0].Remotes[1]; ra.State != "draining" || rb.Weight != 7 || !rb.Ordered || rb.Total != 1 {
		t.Errorf("after the reload: %+v, %+v", ra, rb)
	}
	if l := s.Listeners[0]; l.Accepted != 1 {
		t.Errorf("the listener has forgotten: %+v", l)
	}
	for _, bad := range []func() error{
		func() error { return h.Order("nope", "a", nil, nil) },
		func() error { return h.Order("app", "nope", &drain, nil) },
		func() error { s := "off"; return h.Order("app", "a", &s, nil) },
		func() error { w := -1; return h.Order("app", "a", nil, &w) },
	} {
		if bad() == nil {
			t.Error("a bad order is no error")
		}
	}
}

// Line 47: the quiet go at once, the others may go on; when there is no more patience, all go.
func TestDrain(t *testing.T) {
	s := serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	c := one(s.remote("a"))
	c.Listeners[0].Addrs[0].Addr = nobody(t)
	c.Drain, c.Quiet = time.Hour, 2*time.Second // the busy one rests for less
	h := open(t, c)
	quiet, busy := h.dial(0), h.dial(0)
	for _, conn := range []net.Conn{quiet, busy} {
		if _, err := io.WriteString(conn, "x"); err != nil {
			t.Fatal(err)
		}
		first(t, conn, 1)
	}
	at := h.addr(0)
	ended := make(chan struct{})
	go func() { defer close(ended); h.stop() }()
	gone := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(quiet)
		gone <- err
	}()
	for open := true; open; {
		if _, err := io.WriteString(busy, "x"); err != nil {
			t.Fatal(err)
		}
		first(t, busy, 1)
		select {
		case err := <-gone:
			if err != nil {
				t.Errorf("the quiet session ends with %v", err)
			}
			open = false
		case <-ended:
			t.Fatal("it has ended though a session is busy")
		default:
		}
	}
	if err := reset(at, t); err != nil {
		t.Errorf("the listener is still open: %v", err)
	}
	if !h.Status().Draining {
		t.Error("status does not say so")
	}
	h.kill()
	<-ended
	h.records.wait(t, "cause=drain")
	h.log.wait(t, "msg=drained", "sessions=2")
}

// Without patience sessions are cut, and that shows: it is no orderly end.
func TestNoDrain(t *testing.T) {
	s := serve(t, named("a"))
	h := open(t, one(s.remote("a")))
	client := h.dial(0)
	first(t, client, 2)
	h.stop()
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the client got %v", err)
	}
	h.records.wait(t, "cause=drain")
}

// Line 38: after so many sessions nothing is accepted, and the last one ends the process.
func TestRetires(t *testing.T) {
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	c.Listeners[0].Addrs[0].Addr = nobody(t)
	c.Retire = 2
	retired := make(chan struct{})
	h := open(t, c, func(o *Options) { o.Retired = func() { close(retired) } })
	at := h.addr(0)
	a, b := h.dial(0), h.dial(0)
	first(t, a, 2)
	first(t, b, 2)
	<-retired
	if err := reset(at, t); err != nil {
		t.Errorf("the listener is still open: %v", err)
	}
	next, err := net.Listen("tcp", at.IP.String()) // of the process that takes over
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if err := h.Reload(c, nil); !errors.Is(err, errEnding) {
		t.Errorf("another configuration: %v", err)
	}
	if got := talk(t, a, "x"); got != "x" {
		t.Errorf("got %q", got)
	}
	if got := talk(t, b, "x"); got != "x" {
		t.Errorf("got %q", got)
	}
	testkit.Eventually(t, func() error {
		if h.life.Err() == nil {
			return errors.New("it runs on")
		}
		return nil
	})
}

// Sockets that came with a configuration which is of no use are there for the next one.
func TestReloadKeepsWhatItInherits(t *testing.T) {
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	h := open(t, c)
	file, at := listening(t)
	defer file.Close()
	var o Options
	inheriting(t, map[string]int{at.String(): int(file.Fd())})(&o)
	c.Listeners = append(c.Listeners, Listener{Name: "new", Addrs: []Socket{{Addr: at}}, Pool: "app"})
	bad := c
	bad.Listeners = append(slices.Clone(c.Listeners), Listener{Name: "bad", Addrs: local(), Pool: "app", TLS: &TLS{Certificates: []Certificate{{Chain: "/no/such"}}}})
	if err := h.Reload(bad, o.Inherited); err == nil || len(o.Inherited) != 1 {
		t.Fatalf("%v, and there are %v", err, o.Inherited)
	}
	if err := h.Reload(c, o.Inherited); err != nil || len(o.Inherited) != 0 {
		t.Fatalf("%v, and there are %v", err, o.Inherited)
	}
	if got := talk(t, dial(t, at), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
}
