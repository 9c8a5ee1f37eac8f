package netx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// listenOn opens a socket and makes a net.Listener of it; both are closed with the test.
func listenOn(t *testing.T, s StreamSocket) net.Listener {
	t.Helper()
	f, err := ListenStream(s)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestListenStream(t *testing.T) {
	four, six := netip.MustParseAddr("127.0.0.1"), netip.IPv6Unspecified()
	for _, tt := range []struct {
		socket  StreamSocket
		reached string // by these hosts
		refused string // and not by this one
	}{
		{StreamSocket{Addr: netip.AddrPortFrom(four, 0)}, "127.0.0.1", "127.0.0.2"},
		{StreamSocket{Addr: netip.MustParseAddrPort("[::ffff:127.0.0.1]:0")}, "127.0.0.1", "::1"},
		{StreamSocket{Addr: netip.AddrPortFrom(six, 0)}, "127.0.0.1 ::1", ""},
		{StreamSocket{Addr: netip.AddrPortFrom(six, 0), Only6: true}, "::1", "127.0.0.1"},
		{StreamSocket{Addr: netip.AddrPortFrom(six, 0), Device: "lo", Backlog: 7}, "127.0.0.1 ::1", ""},
	} {
		l := listenOn(t, tt.socket)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for _, host := range strings.Fields(tt.reached) {
			c, err := net.Dial("tcp", net.JoinHostPort(host, port))
			if err != nil {
				t.Errorf("%+v: %v", tt.socket, err)
				continue
			}
			c.Close()
		}
		if tt.refused != "" {
			if c, err := net.Dial("tcp", net.JoinHostPort(tt.refused, port)); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("%+v from %s: %v, %v", tt.socket, tt.refused, c, err)
			}
		}
	}
}

// TestListenStreamDescriptor: the options that nobody sees from outside.
func TestListenStreamDescriptor(t *testing.T) {
	f, err := ListenStream(StreamSocket{Addr: netip.MustParseAddrPort("[::1]:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := f.Fd()
	if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("it blocks: %#x, %v", flags, err)
	}
	if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("children get it: %#x, %v", flags, err)
	}
	if on, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR); err != nil || on == 0 {
		t.Errorf("SO_REUSEADDR: %d, %v", on, err)
	}
}

func TestListenStreamSays(t *testing.T) {
	taken := netip.MustParseAddrPort(listenOn(t, StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0")}).Addr().String())
	dir := t.TempDir()
	for _, tt := range []struct {
		socket StreamSocket
		is     error
		says   string
	}{
		{StreamSocket{Addr: taken}, unix.EADDRINUSE, "listen on tcp " + taken.String() + ": bind: address already in use (another program listens there; `ss -ltnp` names it)"},
		{StreamSocket{Addr: netip.MustParseAddrPort("192.0.2.1:0")}, unix.EADDRNOTAVAIL, "no interface of this machine"},
		{StreamSocket{Addr: netip.MustParseAddrPort("[fe80::1%nowhere]:0")}, ErrNoInterface, `"nowhere" (there are lo`},
		{StreamSocket{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Device: "nowhere"}, unix.ENODEV, "bind to device nowhere: no such device (no such interface"},
		{StreamSocket{Path: filepath.Join(dir, "no", "such")}, unix.ENOENT, "bind: no such file or directory (the directory does not exist)"},
		{StreamSocket{Path: filepath.Join(dir, strings.Repeat("x", 120))}, unix.EINVAL, "at most 107 bytes"},
		{StreamSocket{Path: filepath.Join(dir, "x"), User: "nobody-of-that-name"}, nil, "unknown user nobody-of-that-name"},
		{StreamSocket{Path: filepath.Join(dir, "x"), Group: "nobody-of-that-name"}, nil, "unknown group nobody-of-that-name"},
		{StreamSocket{Path: filepath.Join(dir, "x"), User: "4294967295"}, nil, "number of 4294967295"},
	} {
		f, err := ListenStream(tt.socket)
		if err == nil {
			f.Close()
			t.Errorf("%+v was accepted", tt.socket)
			continue
		}
		if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "listen on "+tt.socket.name()+": ") {
			t.Errorf("%+v: %q, want %v and %q", tt.socket, err, tt.is, tt.says)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestListenUnixStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.sock")
	for _, mode := range []uint32{0o666, 0o600} { // the second time in the place of a stale one
		l := listenOn(t, StreamSocket{Path: path, Mode: mode, User: fmt.Sprint(os.Getuid()), Group: fmt.Sprint(os.Getgid())})
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|fs.FileMode(mode) {
			t.Errorf("%v, %v; want %#o", info.Mode(), err, mode)
		}
		echo(t, l, "unix", path)
		if _, err := ListenStream(StreamSocket{Path: path}); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "another process answers") {
			t.Errorf("an active socket was not refused: %v", err)
		}
		l.Close()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenStream(StreamSocket{Path: path}); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file was taken for a stale socket: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
}

// echo sends a word through a connection to l and back.
func echo(t *testing.T, l net.Listener, network, addr string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "word")
	got := make([]byte, 4)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != "word" {
		t.Errorf("%s %s: %q, %v", network, addr, got, err)
	}
	s.Close()
}

// TestUnixOwner: the file is another user's before anybody can connect.
func TestUnixOwner(t *testing.T) {
	testkit.NeedUsers(t)
	for _, who := range []StreamSocket{{User: "nobody", Group: "nogroup"}, {User: "65534", Group: "65534"}} {
		who.Path = filepath.Join(t.TempDir(), "x.sock")
		l := listenOn(t, who)
		info, err := os.Lstat(who.Path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 65534 {
			t.Errorf("%+v belongs to %d:%d", who, st.Uid, st.Gid)
		}
		l.Close()
	}
}
