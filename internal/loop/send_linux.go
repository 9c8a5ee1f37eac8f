package loop

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice/internal/history"
)

// maxPieces is how many pieces one send takes: what comes before the stream, and
// maxSend bytes out of segments that may be cut short (three at the most, when every
// segment is at least half full; more wait for the next turn).
const maxPieces = 8

// sendPieces writes pieces to a non-blocking socket and says how much it took; a full
// socket takes 0. more says that others follow at once (MSG_MORE). The call does not
// tell the scheduler (RawSyscall): it never blocks.
func sendPieces(fd int, pieces [][]byte, more bool) (int, error) {
	flags := uintptr(unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT)
	if more {
		flags |= unix.MSG_MORE
	}
	var iov [maxPieces]unix.Iovec
	k := min(len(pieces), maxPieces)
	for i, p := range pieces[:k] {
		iov[i].Base = unsafe.SliceData(p)
		iov[i].SetLen(len(p))
	}
	msg := unix.Msghdr{Iov: &iov[0]}
	msg.SetIovlen(k)
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), flags)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// sendFile has the kernel send x to a non-blocking socket from where it stands, and says
// how much was taken; a full socket takes 0.
func sendFile(fd int, x history.Extent) (int, error) {
	for {
		off := x.Offset // 64 bits also for a 32-bit program
		n, _, errno := unix.RawSyscall6(sysSendfile, uintptr(fd), uintptr(x.File), uintptr(unsafe.Pointer(&off)), uintptr(x.Length), 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS:
			return 0, nil
		default:
			return 0, errno
		}
	}
}
