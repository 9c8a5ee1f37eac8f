package netx

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// PeerPID is the process that has connected a unix socket to c (SO_PEERCRED, unix(7)):
// the kernel's word, not the peer's. A process that cannot be seen from here, in a
// container of its own, is an error.
func PeerPID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("process at the other end: %w", err)
	}
	var cred *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) { cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, sockErr); err != nil {
		return 0, fmt.Errorf("process at the other end: %w", err)
	}
	if cred.Pid <= 0 {
		return 0, errors.New("the process at the other end is in another container")
	}
	return int(cred.Pid), nil
}
