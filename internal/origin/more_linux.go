package origin

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// writeMore is c.Write, but that the kernel waits for what is sent next, for 200 ms at most (MSG_MORE, send(2)), if c is of TCP.
func writeMore(c net.Conn, p []byte) (n int, err error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c.Write(p)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, failed = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_MORE)
		return !errors.Is(failed, unix.EAGAIN)
	})
	if err = errors.Join(err, failed); err != nil || n == len(p) {
		return max(n, 0), err
	}
	more, err := c.Write(p[n:])
	return n + more, err
}
