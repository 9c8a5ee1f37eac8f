//go:build e2e && linux

package sctptest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
	"sluice/internal/netx"
	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainInVM(m) }

// TestSCTPSockets: what a core and a health check have of SCTP.
func TestSCTPSockets(t *testing.T) {
	if !testkit.InVM(t, "sctp", "dummy") {
		return
	}
	t.Run("a word there and back", testEcho)
	t.Run("a local address", testFrom)
	t.Run("nobody listens", testRefused)
	t.Run("nobody answers", testSilent)
	t.Run("nothing comes", testDeadline)
	t.Run("a port that is taken", testTaken)
	t.Run("a message that is too long", testTooLong)
	t.Run("an end of one side ends both", testNoHalfClose)
	t.Run("a reset", testReset)
}

// listen opens a listening socket and says where.
func listen(t *testing.T, addr string) (*net.TCPListener, flow.Addr) {
	t.Helper()
	f, err := netx.ListenStream(netx.StreamSocket{Addr: netip.MustParseAddrPort(addr), SCTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	at := flow.FromNet(l.Addr())
	at.Network = flow.SCTP
	return l.(*net.TCPListener), at
}

// pair is both ends of a connection.
func pair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	l, at := listen(t, "127.0.0.1:0")
	return connect(t, l, at, netip.Addr{})
}

func connect(t *testing.T, l *net.TCPListener, at flow.Addr, from netip.Addr) (here, there *net.TCPConn) {
	t.Helper()
	c, err := flow.Connect(t.Context(), from, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s
}

// option reads an option of SCTP.
func option(t *testing.T, c *net.TCPConn, name int) (value int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_SCTP, name) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatalf("option %d: %v", name, err)
	}
	return value
}

func testEcho(t *testing.T) {
	for on, to := range map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", "[::]:0": "127.0.0.1"} {
		l, at := listen(t, on)
		at.IP = netip.AddrPortFrom(netip.MustParseAddr(to), at.IP.Port())
		c, s := connect(t, l, at, netip.Addr{})
		if option(t, c, 3) != 1 {
			t.Errorf("%s: SCTP_NODELAY is off", on)
		}
		if got := flow.FromNet(s.LocalAddr()); got.IP != at.IP {
			t.Errorf("the other end is at %s, want %s", got, at)
		}
		for a, b := range map[*net.TCPConn]*net.TCPConn{c: s, s: c} {
			io.WriteString(a, "word")
			got := make([]byte, 4)
			if _, err := io.ReadFull(b, got); err != nil || string(got) != "word" {
				t.Errorf("%s: %q, %v", on, got, err)
			}
		}
	}
}

func testFrom(t *testing.T) {
	l, at := listen(t, "127.0.0.1:0")
	from := netip.MustParseAddr("127.0.0.7")
	if _, s := connect(t, l, at, from); flow.FromNet(s.RemoteAddr()).IP.Addr() != from {
		t.Errorf("it comes from %s", s.RemoteAddr())
	}
	if _, err := flow.Connect(t.Context(), netip.MustParseAddr("198.51.100.1"), at); !errors.Is(err, syscall.EADDRNOTAVAIL) || !strings.Contains(err.Error(), "no interface of this machine") {
		t.Errorf("from an address of others: %v", err)
	}
}

func testRefused(t *testing.T) {
	l, at := listen(t, "127.0.0.1:0")
	l.Close()
	c, err := flow.Connect(t.Context(), netip.Addr{}, at)
	if c != nil || !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "connect to "+at.String()+": connection refused" {
		t.Errorf("%v, %v", c, err)
	}
}

// testSilent: where packets vanish, the time that a try has is what ends it, and no descriptor is left.
func testSilent(t *testing.T) {
	blackHole(t, "192.0.2.1")
	before := descriptors(t)
	gone := flow.Addr{Network: flow.SCTP, IP: netip.MustParseAddrPort("192.0.2.7:9")}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if c, err := flow.Connect(short, netip.Addr{}, gone); c != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("%v, %v", c, err)
	}
	ended, end := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, end)
	if c, err := flow.Connect(ended, netip.Addr{}, gone); c != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", c, err)
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors are open, before it was %d", now, before)
	}
}

// blackHole gives the interface dummy0 an address; its network is reached, and nothing
// ever comes back.
func blackHole(t *testing.T, addr string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	dummy, err := unix.NewIfreq("dummy0")
	if err != nil {
		t.Fatal(err)
	}
	set := func(request uint, what error) {
		if err := errors.Join(what, unix.IoctlIfreq(fd, request, dummy)); err != nil {
			t.Fatal(err)
		}
	}
	set(unix.SIOCSIFADDR, dummy.SetInet4Addr(netip.MustParseAddr(addr).AsSlice()))
	set(unix.SIOCSIFNETMASK, dummy.SetInet4Addr([]byte{255, 255, 255, 0}))
	dummy.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	set(unix.SIOCSIFFLAGS, nil)
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func testDeadline(t *testing.T) {
	c, s := pair(t)
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d, %v", n, err)
	}
	if err := s.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := s.Write(make([]byte, 16<<10)); err != nil { // nobody reads
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			return
		}
	}
}

func testTaken(t *testing.T) {
	_, at := listen(t, "127.0.0.1:0")
	_, err := netx.ListenStream(netx.StreamSocket{Addr: at.IP, SCTP: true})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "listen on sctp "+at.IP.String()+": ") {
		t.Errorf("%v", err)
	}
	other, err := net.Listen("tcp", at.IP.String()) // TCP has ports of its own
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
}

// testTooLong: a write is a message and cannot be halved: 64 KiB are fine, a megabyte is not.
func testTooLong(t *testing.T) {
	c, s := pair(t)
	if n, err := c.Write(make([]byte, 1<<20)); n != 0 || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("a megabyte: %d, %v", n, err)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
	if n, err := c.Write(sent); n != len(sent) || err != nil {
		t.Errorf("64 KiB: %d, %v", n, err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("the other end has read something else: %v", err)
	}
}

// testNoHalfClose: the other end reads to the end and can send nothing more.
func testNoHalfClose(t *testing.T) {
	c, s := pair(t)
	io.WriteString(c, "last words")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); string(got) != "last words" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if n, err := io.WriteString(s, "too late"); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%d, %v", n, err)
	}
}

func testReset(t *testing.T) {
	c, s := pair(t)
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d, %v", n, err)
	}
}
