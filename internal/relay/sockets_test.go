package relay

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/netx"
	"sluice/internal/testkit"
)

// listening is a socket that somebody else has opened, at a port that the system has not
// chosen for it.
func listening(t *testing.T) (*os.File, flow.Addr) {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(nobody(t).IP))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	return f, flow.FromNet(l.Addr())
}

// inheriting has a relay inherit copies of descriptors.
func inheriting(t *testing.T, fds map[string]int) func(*Options) {
	t.Helper()
	return func(o *Options) {
		o.Inherited = make(map[string]*os.File)
		for name, fd := range fds {
			own, err := syscall.Dup(fd)
			if err != nil {
				t.Fatal(err)
			}
			o.Inherited[name] = os.NewFile(uintptr(own), name)
		}
	}
}

// Line 48: sockets that were inherited, by name and by address.
func TestInheritedSockets(t *testing.T) {
	s := serve(t, named("a"))
	byName, nameAt := listening(t)
	byAddr, addrAt := listening(t)
	unwanted, unwantedAt := listening(t)
	c := one(s.remote("a"))
	c.Listeners[0].Addrs = []Socket{{Inherited: "stdin"}, {Addr: addrAt}}
	h := open(t, c, inheriting(t, map[string]int{"stdin": int(byName.Fd()), addrAt.String(): int(byAddr.Fd()), "x": int(unwanted.Fd())}))
	for _, f := range []*os.File{byName, byAddr, unwanted} {
		f.Close()
	}
	for _, a := range []flow.Addr{nameAt, addrAt} {
		if got := talk(t, dial(t, a), "x"); got != "a:x" {
			t.Errorf("%s: got %q", a, got)
		}
	}
	if h.addr(0) != nameAt || h.addr(1) != addrAt {
		t.Errorf("listens at %v", h.Addrs())
	}
	if err := reset(unwantedAt, t); err != nil {
		t.Errorf("the socket that nobody wants is open: %v", err)
	}
}

// A socket that the threads cannot have, for want of descriptors, is given to them later.
func TestSocketThatIsNotTaken(t *testing.T) {
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	c.Listeners[0].Addrs[0].Addr = nobody(t)
	h := open(t, c)
	h.log.wait(t, "listener up", "listener=in")
	var most syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most); err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Max: most.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	c.Listeners[0].Name = "other"
	err := h.Reload(c, nil)
	down := h.Status().Listeners[0]
	if again := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &most); again != nil {
		t.Fatal(again)
	}
	if err != nil || down.Name != "other" || down.Error == "" {
		t.Errorf("Reload: %v; listener %+v", err, down)
	}
	h.log.wait(t, "listener up", "listener=other")
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	if up := h.Status().Listeners[0]; up.Error != "" {
		t.Errorf("status still says %q", up.Error)
	}
}

func TestAddressInUseIsTriedAgain(t *testing.T) {
	s := serve(t, named("a"))
	other, at := listening(t)
	c := one(s.remote("a"))
	c.Listeners[0].Addrs = []Socket{{Addr: at}}
	if _, err := New(c, quiet()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address in use without Retry: %v", err)
	}
	c.Listeners[0].Addrs = append(local(), Socket{Addr: at, Retry: 10 * time.Millisecond})
	h := open(t, c)
	h.log.wait(t, "level=WARN", "bind to ["+at.IP.Addr().String()+"]:", "failed. Will retry every 0 seconds.")
	if st := h.Status().Listeners[0]; st.Error == "" {
		t.Errorf("status says nothing of it: %+v", st)
	}
	other.Close()
	h.log.wait(t, "listener up", "listen="+at.String())
	if got := talk(t, dial(t, at), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	if st := h.Status().Listeners[0]; st.Error != "" {
		t.Errorf("status still says %q", st.Error)
	}
}

// Line 45: a kernel without SCTP costs that listener only.
func TestNoSCTP(t *testing.T) {
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	sctp := local()
	sctp[0].Addr.Network = flow.SCTP
	c.Listeners = append(c.Listeners, Listener{Name: "sctp", Addrs: sctp, Pool: "app"})
	f, err := netx.ListenStream(netx.StreamSocket{Addr: sctp[0].Addr.IP, SCTP: true})
	if err == nil {
		f.Close()
	}
	has := !errors.Is(err, netx.ErrNoSCTP)
	h := open(t, c)
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	if has {
		if len(h.Addrs()) != 2 {
			t.Errorf("the system has SCTP, and it is not listened at: %v", h.Addrs())
		}
		return
	}
	h.log.wait(t, "level=ERROR", "listener down", "listener=sctp", "SCTP")
	c.Listeners = c.Listeners[1:]
	if _, err := New(c, quiet()); !errors.Is(err, netx.ErrNoSCTP) {
		t.Errorf("no socket is left: %v", err)
	}
}

func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	s := serveAt(t, "unix", filepath.Join(dir, "remote"), named("a"))
	c := one(s.remote("a"))
	path := filepath.Join(dir, "in")
	c.Listeners[0].Addrs = []Socket{{Addr: flow.Addr{Network: flow.Unix, Path: path}, Mode: 0o600}}
	h := open(t, c)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "client=unix:", "remote=a")
	h.stop()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// A relay that is not run leaves nothing behind.
func TestNotRun(t *testing.T) {
	testkit.NoLeaks(t)
	c := one(Remote{Addr: nobody(t)})
	c.Listeners[0].Addrs[0].Addr = nobody(t)
	r, err := New(c, quiet())
	if err != nil {
		t.Fatal(err)
	}
	dial(t, r.Addrs()[0])
	if s := r.Status(); len(s.Sessions) != 0 || r.Kill(1) {
		t.Errorf("there are sessions: %+v", s)
	}
	r.Close()
	if err := reset(c.Listeners[0].Addrs[0].Addr, t); err != nil {
		t.Error(err)
	}
}
