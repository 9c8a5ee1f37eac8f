package netx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ListenTCP listens on addr, written HOST:PORT. ":4046" takes IPv4 and IPv6 both.
//
// Multipath TCP, the default of package net, is off: the engines read TCP_INFO and
// set TCP options on what is accepted here, and both mean one plain connection.
func ListenTCP(addr string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on tcp %s: %w%s", addr, cause(err), hint(err, tcpHints))
	}
	return l.(*net.TCPListener), nil
}

var tcpHints = hints{
	{unix.EADDRINUSE, "another program listens there; `ss -ltnp` names it"},
	{unix.EACCES, "ports below 1024 need root or CAP_NET_BIND_SERVICE"},
	{unix.EADDRNOTAVAIL, "no interface of this machine has that address"},
}

// ListenHandoff listens on a SEQPACKET unix socket that only the user of this
// process may connect to (mode 0600). A socket file that nobody listens on any
// more is replaced; one that answers, and a file that is no socket, are refused.
// Close removes the file.
func ListenHandoff(path string) (*net.UnixListener, error) { return listenUnix("unixpacket", path) }

// ListenUnix is ListenHandoff for a stream socket.
func ListenUnix(path string) (*net.UnixListener, error) { return listenUnix("unix", path) }

func listenUnix(network, path string) (*net.UnixListener, error) {
	if err := clearStale(network, path); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// The file that bind creates takes the mode of the socket (Linux), so there
		// is no moment at which others may connect. Elsewhere this is refused, and
		// the chmod below does it.
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := lc.Listen(context.Background(), network, path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w%s", path, cause(err), hint(err, unixHints))
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l.(*net.UnixListener), nil
}

var unixHints = hints{
	{unix.EINVAL, "the path of a unix socket has at most 107 bytes"},
	{unix.ENOENT, "the directory does not exist"},
	{unix.EACCES, "this user may not write to the directory"},
}

// clearStale removes a socket file without a listener. The network is that of package net.
func clearStale(network, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("the file exists and is no socket (%s)", info.Mode())
	}
	c, err := net.Dial(network, path)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w: another process answers there", unix.EADDRINUSE)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("find out whether the socket is in use: %w", cause(err))
	}
	return os.Remove(path)
}

// hints maps an errno to what the operator can do about it.
type hints []struct {
	errno syscall.Errno
	text  string
}

// hint returns " (text)" for the first entry that err is, else "".
func hint(err error, hs hints) string {
	for _, h := range hs {
		if errors.Is(err, h.errno) {
			return " (" + h.text + ")"
		}
	}
	return ""
}

// cause strips the *net.OpError, whose text repeats the address.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
