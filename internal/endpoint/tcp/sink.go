package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/netx"
	"sluice/internal/uri"
)

// SinkOpener connects to targets. The zero value connects only to those of the operator.
type SinkOpener struct {
	Allow []netip.Prefix // networks that a target may be in which is not trusted
}

// OpenSink connects. The socket of the sink is the connection itself: nothing stands
// between the loop and the target.
func (o *SinkOpener) OpenSink(ctx context.Context, to endpoint.Target) (endpoint.Sink, error) {
	conn, err := dial(ctx, netx.Dialer{Allow: o.Allow, Any: to.Trusted}, to.End, endpoint.DefaultPatience)
	if err != nil {
		return nil, err
	}
	s := &sink{end: to.End, conn: conn}
	if err := s.share(); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", to.End.Tag(), err)
	}
	return s, nil
}

// sink is a connection with two owners: the loop has a descriptor of its own and writes,
// the sink has conn and sees how it ends.
type sink struct {
	end    uri.End
	conn   *net.TCPConn
	raw    syscall.RawConn // of conn
	socket int
}

// share makes the loop's descriptor.
func (s *sink) share() error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	s.raw = raw
	var dup error
	err = raw.Control(func(fd uintptr) { s.socket, dup = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return errors.Join(err, dup)
}

// Socket implements endpoint.Sink.
func (s *sink) Socket() int { return s.socket }

// Wait implements endpoint.Sink: the target has got everything when it closes the connection
// after the loop has shut it down. What it sends meanwhile is read away: input that nobody
// has read would turn the end into a reset. A target that has shut down only its own side
// still reads.
func (s *sink) Wait() error {
	var broken error
	err := s.raw.Read(func(fd uintptr) (over bool) {
		broken = drain(int(fd))
		return broken != nil || hungUp(int(fd))
	})
	if broken == nil && err == nil {
		err = s.raw.Control(func(fd uintptr) { broken = pending(int(fd)) })
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: given up before all was delivered", s.end.Tag())
	case broken != nil:
		return fmt.Errorf("%s: %w", s.end.Tag(), broken)
	}
	return nil
}

// Close implements endpoint.Sink. What the kernel has taken it goes on delivering.
func (s *sink) Close() error {
	_ = s.conn.CloseWrite() // the loop may have its descriptor still: what it writes fails
	return s.conn.Close()
}

// drain reads away what a target sent. An error is the end of the connection.
func drain(fd int) error {
	var buf [4096]byte
	for {
		n, err := unix.Read(fd, buf[:])
		switch {
		case err == unix.EINTR || n > 0:
		case err == unix.EAGAIN || err == nil:
			return nil
		default:
			return err
		}
	}
}

// hungUp says whether both directions are closed, or the connection is broken.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds, 0)
	return n > 0 && err == nil && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// pending is the error of a socket that nobody was told yet.
func pending(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && n != 0 {
		err = unix.Errno(n)
	}
	return err
}
