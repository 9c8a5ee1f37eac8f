package iothread

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
	"sluice/internal/netx"
)

// errNoAnswer says that a remote did not take a connection in time, in the words of flow.Connect.
var errNoAnswer = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)

// errItself says that the kernel has connected a socket to itself: nobody listens at a port of this machine that
// connections may have for their near end, too. Package net has an eye on it where it dials.
var errItself = fmt.Errorf("nobody is there but the connection itself: %w", unix.ECONNREFUSED)

// dial begins to connect to a target; with an error there is nothing left of it.
func (t *thread) dial(s *session, to *flow.Target) error {
	s.Remote, s.RemoteFD = to, -1
	fd, err := t.dialSocket(s.Listener, to)
	if err != nil {
		return err
	}
	s.RemoteFD = fd // a failure is told with its number
	errno := connect(fd, &t.addr)
	if errno != 0 && errno != unix.EINPROGRESS && errno != unix.EINTR {
		closeSocket(fd, false)
		if errno == unix.EAGAIN {
			return errors.New("its queue is full") // of a UNIX socket (connect(2))
		}
		return errno
	}
	if errno := t.attach(s, remote, fd, to.Addr.Network); errno != 0 {
		s.detach(remote, false)
		return fmt.Errorf("watch the socket: %w", errno)
	}
	if to.Addr.Network == flow.Unix {
		t.connected(s)
		t.enqueue(s)
		return nil
	}
	s.state, s.ends[remote].full = dialing, true
	return nil
}

// dialSocket makes the socket of a connection; the address to connect to is in t.addr then.
func (t *thread) dialSocket(l *flow.Listener, to *flow.Target) (fd int, err error) {
	family, err := t.addr.set(to.Addr)
	if err != nil {
		return -1, err
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol(to.Addr.Network))
	if err != nil {
		if to.Addr.Network == flow.SCTP && (errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ESOCKTNOSUPPORT)) {
			err = netx.ErrNoSCTP
		}
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err = setOptions(fd, to.Addr.Network, l); err == nil && to.From.IsValid() && to.Addr.Network != flow.Unix {
		err = bindTo(fd, family, to)
	}
	if err != nil {
		closeSocket(fd, false)
		return -1, err
	}
	return fd, nil
}

func protocol(n flow.Network) int {
	switch n {
	case flow.SCTP:
		return unix.IPPROTO_SCTP
	case flow.Unix:
		return 0
	}
	return unix.IPPROTO_TCP
}

// bindTo gives a socket its local address; the port is chosen when it connects, so that
// connections to several remotes can share one (IP_BIND_ADDRESS_NO_PORT, ip(7)).
func bindTo(fd, family int, to *flow.Target) error {
	var a sockaddr
	own, err := a.setIP(netip.AddrPortFrom(to.From, 0))
	if err != nil {
		return err
	}
	if own != family {
		return fmt.Errorf("the local address %s is of the other IP version", to.From)
	}
	if to.Addr.Network == flow.TCP {
		setInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}
	if errno := bind(fd, &a); errno != 0 {
		return fmt.Errorf("bind to %s: %w", to.From, errno)
	}
	return nil
}

// dialed looks what became of a connection that was begun. The kernel notes nothing before
// that is decided.
func (t *thread) dialed(s *session) {
	e := &s.ends[remote]
	switch {
	case e.broken:
		t.failTo(s, e.failure())
	case e.full:
	case t.metItself(s):
		s.detach(remote, true) // the port is free for a server at once
		t.failTo(s, errItself)
	default:
		t.connected(s)
		t.arm(s)
		t.relay(s)
	}
}

// metItself says whether both ends of the remote's socket are the same.
func (t *thread) metItself(s *session) bool {
	to := &s.Remote.Addr
	if getsockname(s.RemoteFD, &t.addr) != 0 {
		return false
	}
	near := t.addr.addr(to.Network).IP
	return near.Port() == to.IP.Port() && near.Addr().WithZone("") == to.IP.Addr().Unmap().WithZone("")
}

// failTo asks the Desk what comes after a connection that was not made.
func (t *thread) failTo(s *session, err error) {
	s.detach(remote, false)
	t.follow(s, t.failed(s, err))
}

func (t *thread) failed(s *session, err error) flow.Plan {
	p := t.pool.desk.Failed(&s.Session, fmt.Errorf("connect to %s: %w", s.Remote.Addr, err))
	s.RemoteFD = -1
	return p
}

// connected begins to relay.
func (t *thread) connected(s *session) {
	s.state, s.since, s.prelude = relaying, t.now, 0
	s.Connected = time.Now()
	s.spliced = t.maySplice(s)
	t.pool.desk.Connected(&s.Session)
}
