package netx

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoSCTP says that the system has no SCTP.
var ErrNoSCTP = errors.New("this system has no SCTP (on Linux it is a module of the kernel: `modprobe sctp`)")

// StreamSocket is a listening socket of connections.
type StreamSocket struct {
	Addr    netip.AddrPort // of TCP or SCTP
	SCTP    bool
	Path    string // of a UNIX socket, @ before an abstract name (Linux); then Addr is not looked at
	Only6   bool   // [::] does not take IPv4 besides
	Backlog int    // 0 = the system's largest
	Device  string // SO_BINDTODEVICE; "" = none

	Mode        uint32 // of the file of a UNIX socket, whatever the umask; 0 = as the umask has it
	User, Group string // its owner, names or numbers; "" = ours
}

// ListenStream opens a listening socket, non-blocking and close-on-exec. The file of a UNIX
// socket has its mode and its owner before anybody can connect; one at which nobody
// listens is replaced. ErrNoSCTP says that the system has none. On a system without IPv6
// [::] is 0.0.0.0, unless Only6 is set.
func ListenStream(s StreamSocket) (*os.File, error) {
	listen := s.listenIP
	if s.Path != "" {
		listen = s.listenUnix
	}
	fd, err := listen()
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s.name(), err)
	}
	return unpolled(fd, s.name())
}

// unpolled is a file of a new socket, non-blocking. The runtime polls what is non-blocking when
// it becomes a file, and would be woken by each client of whoever listens there.
func unpolled(fd int, name string) (*os.File, error) {
	err := unix.SetNonblock(fd, false)
	f := os.NewFile(uintptr(fd), name)
	if err = errors.Join(err, unix.SetNonblock(fd, true)); err != nil {
		f.Close()
		return nil, fmt.Errorf("listen on %s: %w", name, err)
	}
	return f, nil
}

func (s StreamSocket) name() string {
	switch {
	case s.Path != "":
		return "unix:" + s.Path
	case s.SCTP:
		return "sctp " + s.Addr.String()
	}
	return "tcp " + s.Addr.String()
}

// listenIP listens by TCP or SCTP.
func (s StreamSocket) listenIP() (fd int, err error) {
	s.Addr = netip.AddrPortFrom(s.Addr.Addr().Unmap(), s.Addr.Port())
	index, err := interfaceIndex(s.Addr.Addr().Zone())
	if err != nil {
		return -1, err
	}
	fd, err = ipSocket(s.Addr.Addr(), s.SCTP)
	if errors.Is(err, unix.EAFNOSUPPORT) && !s.Only6 && s.Addr.Addr() == netip.IPv6Unspecified() {
		s.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), s.Addr.Port())
		fd, err = ipSocket(s.Addr.Addr(), s.SCTP)
	}
	if err != nil {
		return -1, err
	}
	if err := s.bindIP(fd, index); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ipSocket makes a non-blocking socket of TCP or SCTP for addresses like that one.
func ipSocket(like netip.Addr, sctp bool) (fd int, err error) {
	family := unix.AF_INET
	if like.Is6() {
		family = unix.AF_INET6
	}
	if sctp {
		return sctpSocket(family)
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	return fd, nil
}

func (s StreamSocket) bindIP(fd, index int) error {
	set := []option{{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}}
	if s.Addr.Addr().Is6() {
		only := 0
		if s.Only6 {
			only = 1
		}
		set = append(set, option{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only})
	}
	for _, o := range set {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	if s.Device != "" {
		if err := bindToDevice(fd, s.Device); err != nil {
			return fmt.Errorf("bind to device %s: %w%s", s.Device, err, hint(err, deviceHints))
		}
	}
	if err := unix.Bind(fd, sockaddr(s.Addr, index)); err != nil {
		return fmt.Errorf("bind: %w%s", err, hint(err, tcpHints))
	}
	return s.open(fd)
}

var deviceHints = hints{
	{unix.ENODEV, "no such interface; `ip link` names them"},
	{unix.EPERM, "this needs root or CAP_NET_RAW"},
}

// open makes a bound socket a listening one: from here on clients can connect.
func (s StreamSocket) open(fd int) error {
	backlog := s.Backlog
	if backlog <= 0 {
		backlog = math.MaxInt32 // the system takes off what is too much
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fmt.Errorf("listen: %w%s", err, hint(err, tcpHints))
	}
	return nil
}

// listenUnix listens on a UNIX socket.
func (s StreamSocket) listenUnix() (fd int, err error) {
	abstract := strings.HasPrefix(s.Path, "@")
	if abstract && !abstractNames {
		return -1, fmt.Errorf("abstract names: %w by this system", errors.ErrUnsupported)
	}
	uid, gid, err := s.owner()
	if err != nil {
		return -1, err
	}
	if !abstract {
		if err := clearStale("unix", s.Path); err != nil {
			return -1, err
		}
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: s.Path}); err != nil {
		err = fmt.Errorf("bind: %w%s", err, hint(err, unixHints))
	} else if abstract {
		err = s.open(fd)
	} else if err = s.openFile(fd, uid, gid); err != nil {
		os.Remove(s.Path)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openFile gives the file of a bound socket its mode and owner, and listens then: until
// that, the system refuses connections.
func (s StreamSocket) openFile(fd, uid, gid int) error {
	if s.Mode != 0 {
		if err := os.Chmod(s.Path, fs.FileMode(s.Mode).Perm()); err != nil {
			return err
		}
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Lchown(s.Path, uid, gid); err != nil {
			return fmt.Errorf("%w%s", err, hint(err, ownerHints))
		}
	}
	return s.open(fd)
}

var ownerHints = hints{{unix.EPERM, "only root gives files away"}}

// owner is User and Group by their numbers, -1 for what is not to be changed.
func (s StreamSocket) owner() (uid, gid int, err error) {
	uid, gid = -1, -1
	if s.User != "" {
		uid, err = number(s.User, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		})
	}
	if s.Group != "" && err == nil {
		gid, err = number(s.Group, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		})
	}
	return uid, gid, err
}

// number is the number that a name, unless it is one itself, has by lookup.
func number(name string, lookup func(string) (string, error)) (int, error) {
	text := name
	if strings.Trim(name, "0123456789") != "" {
		found, err := lookup(name)
		if err != nil {
			return -1, err
		}
		text = found
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("number of %s: %w", name, err)
	}
	return int(n), nil
}
