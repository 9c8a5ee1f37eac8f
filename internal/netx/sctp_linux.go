package netx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sctpNoDelay is SCTP_NODELAY (RFC 6458, 8.1.5) at the level IPPROTO_SCTP.
const sctpNoDelay = 3

// DialSCTP connects to addr, from a local address unless that is the zero Addr, until ctx
// ends. SCTP_NODELAY is on, as TCP_NODELAY is for what package net dials.
//
// The connection is one of the system's that package net takes for TCP. Deadlines work;
// options of TCP do not (ENOPROTOOPT). A Write is a message: beyond the send buffer it is
// EMSGSIZE, so write 64 KiB at most. There is no half-close: after CloseWrite the peer
// reads the end, and can write no more. ErrNoSCTP says that the system has none.
func DialSCTP(ctx context.Context, from netip.Addr, addr netip.AddrPort) (*net.TCPConn, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	index, err := interfaceIndex(addr.Addr().Zone())
	if err != nil {
		return nil, err
	}
	fd, err := ipSocket(addr.Addr(), true)
	if err != nil {
		return nil, err
	}
	begun := beginSCTP(fd, from.Unmap(), addr, index)
	f := os.NewFile(uintptr(fd), "sctp")
	defer f.Close() // FileConn has a copy
	if begun != nil {
		return nil, begun
	}
	if err := awaitConnect(ctx, f); err != nil {
		return nil, err
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// beginSCTP sets up a socket and begins to connect.
func beginSCTP(fd int, from netip.Addr, addr netip.AddrPort, index int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_SCTP, sctpNoDelay, 1); err != nil {
		return fmt.Errorf("set SCTP_NODELAY: %w", err)
	}
	if from.IsValid() {
		zone, err := interfaceIndex(from.Zone())
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0), zone)); err != nil {
			return fmt.Errorf("bind to %s: %w%s", from, err, hint(err, tcpHints))
		}
	}
	err := unix.Connect(fd, sockaddr(addr, index))
	if err != nil && !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}

// awaitConnect waits for the outcome of a connect, or the end of ctx.
func awaitConnect(ctx context.Context, f *os.File) error {
	stop := context.AfterFunc(ctx, func() { f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var outcome error
	err = raw.Write(func(fd uintptr) (done bool) {
		done, outcome = connected(int(fd))
		return done
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ctx.Err()
	case err != nil:
		return err
	}
	return outcome
}

// connected says whether a connect has an outcome, and which.
func connected(fd int) (done bool, outcome error) {
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(ready, 0)
	switch {
	case errors.Is(err, unix.EINTR), err == nil && n == 0:
		return false, nil
	case err != nil:
		return true, err
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return true, err
}
