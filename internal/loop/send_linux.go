package loop

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxPieces is how many pieces one send takes: what comes before the stream, and
// maxSend bytes out of segments that may be cut short (three at the most, when every
// segment is at least half full; more wait for the next turn).
const maxPieces = 8

// sendPieces writes pieces to a non-blocking socket and says how much it took; a full
// socket takes 0. The call does not tell the scheduler (RawSyscall): it never blocks.
func sendPieces(fd int, pieces [][]byte) (int, error) {
	var iov [maxPieces]unix.Iovec
	k := min(len(pieces), maxPieces)
	for i, p := range pieces[:k] {
		iov[i].Base = unsafe.SliceData(p)
		iov[i].SetLen(len(p))
	}
	msg := unix.Msghdr{Iov: &iov[0]}
	msg.SetIovlen(k)
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
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
