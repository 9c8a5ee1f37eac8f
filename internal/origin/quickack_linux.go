package origin

import "syscall"

// quickAck acknowledges at once what has come; see tcp(7), TCP_QUICKACK, which does not last.
func quickAck(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) { // without it all is as it was, a little later
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
