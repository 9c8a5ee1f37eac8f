package iothread

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of the hot path. They never block, so they do not tell the scheduler
// (RawSyscall): that takes a seventh off the cost of a connection.

// recv reads into b, which is not empty.
func recv(fd int, b []byte, flags int) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			uintptr(flags|unix.MSG_DONTWAIT), 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// send writes what the socket takes of b, which is not empty.
func send(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// splice moves up to n bytes between a pipe and a socket.
func splice(from, to, n int) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n),
			unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// accept takes a client out of the queue of a listening socket; peer gets its address.
func accept(fd int, peer *sockaddr) (int, unix.Errno) {
	for {
		peer.size = unix.SizeofSockaddrAny
		n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&peer.any)), uintptr(unsafe.Pointer(&peer.size)),
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return -1, errno
		}
	}
}

// connect begins to connect; it is not tried again after a signal, the kernel goes on.
func connect(fd int, to *sockaddr) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&to.any)), uintptr(to.size))
	return errno
}

func bind(fd int, to *sockaddr) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&to.any)), uintptr(to.size))
	return errno
}

func getsockname(fd int, a *sockaddr) unix.Errno {
	a.size = unix.SizeofSockaddrAny
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&a.any)), uintptr(unsafe.Pointer(&a.size)))
	return errno
}

func setInt(fd, level, option, value int) unix.Errno {
	v := int32(value)
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&v)), 4, 0)
	return errno
}

// socketError takes the error that a socket has; 0 when it has none.
func socketError(fd int) unix.Errno {
	var v, size int32 = 0, 4
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR, uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return unix.Errno(v)
}

// received says how much memory (sock_diag(7), SO_MEMINFO) what was received takes in the kernel, and how much it may.
func received(fd int) (have, most int) {
	var m [9]uint32
	size := uint32(unsafe.Sizeof(m))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, 0
	}
	return int(m[0]), int(m[1])
}

func shutdownWrite(fd int) {
	_, _, _ = unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

// closeSocket closes a socket; with reset its other end gets one, and what was not sent is lost.
func closeSocket(fd int, reset bool) {
	if reset {
		linger := [2]int32{1, 0} // struct linger: on, for no time
		_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(unsafe.Pointer(&linger)), unsafe.Sizeof(linger), 0)
	}
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// watch puts fd into an epoll set, or takes it out.
func watch(set, op, fd int, events uint32, key, tag int32) unix.Errno {
	e := unix.EpollEvent{Events: events, Fd: key, Pad: tag}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(set), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	return errno
}

// epollWait waits for at most ms milliseconds. blocking tells the scheduler, so that nobody waits for this thread.
func epollWait(set int, events []unix.EpollEvent, ms int, blocking bool) (int, unix.Errno) {
	call := unix.RawSyscall6
	if blocking {
		call = unix.Syscall6
	}
	n, _, errno := call(unix.SYS_EPOLL_PWAIT, uintptr(set), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(ms), 0, 0)
	if errno == unix.EINTR {
		return 0, 0
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// hostPort is a port as it stands in a socket address (network byte order).
func hostPort(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

func setPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}
