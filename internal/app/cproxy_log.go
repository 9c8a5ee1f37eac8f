package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/internal/flow"
	"sluice/internal/logs"
	"sluice/internal/relay"
)

// The threads that the lines of cproxy name.
const (
	threadMain     = "main"
	threadAcceptor = "acceptor"
)

// cproxyLog writes the lines of cproxy: TIME [THREAD] MESSAGE. I/O threads write to it, so
// they go through a queue.
type cproxyLog struct {
	lines  *logs.Lines
	faults *slog.Logger // hears when the end of the lines is lost

	mu   sync.Mutex             // guards legs
	legs map[uint64]cproxyRoute // of the sessions that are connected, by their id
}

// cproxyRoute is the connection to the remote: its own address, the other end and its descriptor.
type cproxyRoute struct {
	from, to flow.Addr
	fd       int
}

func newCproxyLog(stdout, stderr io.Writer) *cproxyLog {
	faults := logs.New(stderr, nameCproxy, slog.LevelWarn)
	return &cproxyLog{lines: logs.NewLines("log", stdout, faults), faults: faults, legs: make(map[uint64]cproxyRoute)}
}

// end writes what waits.
func (l *cproxyLog) end() {
	if err := l.lines.Close(); err != nil {
		l.faults.Warn("the log is not whole", logs.Error, err)
	}
}

func (l *cproxyLog) say(thread, format string, args ...any) {
	line := time.Now().AppendFormat(nil, "2006-Jan-02 15:04:05.000000 [")
	line = append(append(line, thread...), "] "...)
	l.lines.Put(append(fmt.Appendf(line, format, args...), '\n'))
}

// trace is relay.Options.Trace.
func (l *cproxyLog) trace(e relay.Event, s *flow.Session, err error) {
	thread := fmt.Sprintf("io-%d", s.Thread)
	switch e {
	case relay.Accepted:
		l.say(threadAcceptor, "accepted fd %d", s.ClientFD)
		l.say(thread, "connect client to proxy %s -> %s (fd=%d)", s.Peer, s.Local, s.ClientFD)
	case relay.Failed:
		r := cproxyRoute{unbound(s.Remote.Addr), s.Remote.Addr, s.RemoteFD}
		l.say(thread, "connect starting %s", r)
		l.say(thread, "fd %d %s", s.RemoteFD, errnoText(err))
		l.say(thread, "disconnect %s", r)
	case relay.Connected:
		r := cproxyRoute{socketName(s.RemoteFD), s.Remote.Addr, s.RemoteFD}
		l.mu.Lock()
		l.legs[s.ID] = r
		l.mu.Unlock()
		l.say(thread, "connect complete %s", r)
	case relay.Ended:
		l.mu.Lock()
		r, connected := l.legs[s.ID]
		delete(l.legs, s.ID)
		l.mu.Unlock()
		if connected {
			l.say(thread, "disconnect %s", r)
		}
		l.say(thread, "disconnect client to proxy %s -> %s (fd=%d)", s.Peer, s.Local, s.ClientFD)
	case relay.Dialing: // the descriptor is not known yet
	}
}

func (r cproxyRoute) String() string {
	return fmt.Sprintf("proxy to remote %s -> %s (fd=%d)", r.from, r.to, r.fd)
}

// unbound is the address of a socket before it has one.
func unbound(like flow.Addr) flow.Addr {
	ip := netip.IPv4Unspecified()
	if like.IP.Addr().Is6() {
		ip = netip.IPv6Unspecified()
	}
	return flow.Addr{IP: netip.AddrPortFrom(ip, 0)}
}

// errnoText is "errno 111: Connection refused", in the words of strerror(3). What the
// kernel has not said is a time-out of ours.
func errnoText(err error) string {
	errno := syscall.ETIMEDOUT
	errors.As(err, &errno)
	text := errno.Error()
	return fmt.Sprintf("errno %d: %s", int(errno), strings.ToUpper(text[:1])+text[1:])
}

// socketName is the local address of a descriptor of TCP or a UNIX socket; the zero Addr if it has none.
func socketName(fd int) flow.Addr {
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return flow.Addr{}
	}
	switch a := name.(type) {
	case *syscall.SockaddrInet4:
		return flow.Addr{IP: netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))}
	case *syscall.SockaddrInet6:
		return flow.Addr{IP: netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))}
	case *syscall.SockaddrUnix:
		return flow.Addr{Network: flow.Unix, Path: a.Name}
	}
	return flow.Addr{}
}
