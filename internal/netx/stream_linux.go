package netx

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// abstractNames says that UNIX sockets may have names that are no files (unix(7)).
const abstractNames = true

// sctpSocket makes a non-blocking socket of one-to-one style (RFC 6458, 4).
func sctpSocket(family int) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ESOCKTNOSUPPORT) {
		return -1, fmt.Errorf("%w: socket: %w", ErrNoSCTP, err)
	}
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	return fd, nil
}

// BindLate is a net.Dialer.Control that lets the system choose the port of a local address at the
// connect, when it knows the other end too: one address then has as many connections as
// there are pairs, not only as many as there are ports (ip(7), IP_BIND_ADDRESS_NO_PORT).
func BindLate(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // before Linux 4.2 there is none
	})
}
