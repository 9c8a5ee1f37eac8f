package iothread

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
)

// door is a listening socket. It stands in the epoll set of every thread.
type door struct {
	id       int32
	fd       int
	local    flow.Addr                     // where it listens
	wildcard bool                          // each client may have connected to another address
	listener atomic.Pointer[flow.Listener] // of the sessions to come
	settled  atomic.Pointer[flow.Listener] // the one with which nobody was left in the queue: who came then has inherited its options
	paused   atomic.Bool
}

// newDoor takes over a listening socket; whatever comes of it, the file is closed.
func newDoor(id int32, l *flow.Listener, socket *os.File) (*door, error) {
	fd, err := ownDescriptor(socket)
	if err != nil {
		return nil, fmt.Errorf("listener %s: take over the socket of %s: %w", l.Name, l.Addr, err)
	}
	d := &door{id: id, fd: fd}
	if err = d.examine(l.Addr.Network); err == nil {
		err = d.use(l)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listener %s: socket of %s: %w", l.Name, l.Addr, err)
	}
	return d, nil
}

// ownDescriptor copies the descriptor of a file and closes that: the runtime's poller would be woken by each client, too.
func ownDescriptor(f *os.File) (int, error) {
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if ctl := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); ctl != nil {
		return -1, ctl
	}
	return fd, err
}

// examine finds out what the socket is.
func (d *door) examine(network flow.Network) error {
	if listens, err := unix.GetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return fmt.Errorf("this is no listening socket (%w)", orInvalid(err))
	}
	if err := unix.SetNonblock(d.fd, true); err != nil {
		return fmt.Errorf("set non-blocking: %w", err)
	}
	if protocol, err := unix.GetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err == nil && protocol == unix.IPPROTO_SCTP {
		network = flow.SCTP
	}
	var a sockaddr
	if errno := getsockname(d.fd, &a); errno != 0 {
		return fmt.Errorf("its address: %w", errno)
	}
	d.local = a.addr(network)
	d.wildcard = d.local.Network != flow.Unix && d.local.IP.Addr().IsUnspecified()
	return nil
}

func orInvalid(err error) error {
	if err == nil {
		return unix.EINVAL
	}
	return err
}

// use sets what the sessions to come have of l. The sockets of clients inherit it from the
// listening one: a call for each listener, none for each client. SCTP does not, and clients that
// are in the queue already have not; see dress.
func (d *door) use(l *flow.Listener) error {
	if d.local.Network == flow.TCP {
		if err := dress(d.fd, flow.TCP, l); err != nil {
			return err
		}
	}
	if before := d.listener.Load(); l.DSCP != 0 || before != nil && before.DSCP != 0 {
		if err := setDSCP(d.fd, d.local, l.DSCP); err != nil {
			return err
		}
	}
	d.listener.Store(l)
	return nil
}

// inherits says whether the socket of a client who was accepted with l has its options.
func (d *door) inherits(l *flow.Listener) bool {
	return d.local.Network != flow.SCTP && d.settled.Load() == l
}

// dress sets the options of a socket that may have others.
func dress(fd int, network flow.Network, l *flow.Listener) error {
	if network == flow.TCP {
		setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 0) // neither call fails with a socket of TCP
		setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	return setOptions(fd, network, l)
}

// is says whether this is the socket that is called so.
func (d *door) is(name string, addr flow.Addr) bool {
	l := d.listener.Load()
	return l.Name == name && (l.Addr == addr || d.local == addr)
}

// setOptions sets what both sockets of a session have. What is off is off in a new socket anyway.
func setOptions(fd int, network flow.Network, l *flow.Listener) error {
	switch {
	case network == flow.SCTP && l.NoDelay:
		if errno := setInt(fd, unix.IPPROTO_SCTP, sctpNoDelay, 1); errno != 0 {
			return fmt.Errorf("set SCTP_NODELAY: %w", errno)
		}
	case network == flow.TCP && l.NoDelay:
		if errno := setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); errno != 0 {
			return fmt.Errorf("set TCP_NODELAY: %w", errno)
		}
	}
	if network == flow.TCP && !l.KeepAlive.Off {
		return setKeepAlive(fd, l.KeepAlive)
	}
	return nil
}

const sctpNoDelay = 3 // SCTP_NODELAY (RFC 6458, 8.1.5)

func setKeepAlive(fd int, k flow.KeepAlive) error {
	if errno := setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); errno != 0 {
		return fmt.Errorf("set SO_KEEPALIVE: %w", errno)
	}
	for _, o := range [...]struct{ option, value int }{
		{unix.TCP_KEEPIDLE, seconds(k.Idle)},
		{unix.TCP_KEEPINTVL, seconds(k.Interval)},
		{unix.TCP_KEEPCNT, k.Count},
	} {
		if o.value == 0 {
			continue
		}
		if errno := setInt(fd, unix.IPPROTO_TCP, o.option, o.value); errno != 0 {
			return fmt.Errorf("set the time of probes to %d: %w", o.value, errno)
		}
	}
	return nil
}

// seconds rounds up: a part of a second is not the system's choice.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
