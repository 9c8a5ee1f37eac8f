package netx

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TCPWritten returns how many bytes have ever been written to a TCP socket, by any
// process that holds it: sent once or still waiting to be sent. Two equal values
// mean that nobody wrote in between. Only differences count: a shutdown adds one.
//
// It is one snapshot of TCP_INFO (tcp(7)), whose fields are there since Linux
// 4.19; older kernels and other systems get errors.ErrUnsupported.
func TCPWritten(sock syscall.Conn) (bytes uint64, err error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("read TCP_INFO: %w", err)
	}
	var info unix.TCPInfo
	size := uint32(unsafe.Sizeof(info))
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	}); err != nil {
		return 0, fmt.Errorf("read TCP_INFO: %w", err)
	}
	if errno != 0 {
		return 0, fmt.Errorf("read TCP_INFO: %w", errno)
	}
	if uintptr(size) < unsafe.Offsetof(info.Bytes_retrans)+unsafe.Sizeof(info.Bytes_retrans) {
		return 0, fmt.Errorf("read TCP_INFO: %w before Linux 4.19", errors.ErrUnsupported)
	}
	return info.Bytes_sent - info.Bytes_retrans + uint64(info.Notsent_bytes), nil
}
