package duplex

import (
	"syscall"
	"time"
)

// restAfter is how long a session is quiet until it rests: its pumps are replaced by others
// with small stacks. TLS needs large ones, which a goroutine never gives back altogether
// and which are half of what a quiet session costs.
const restAfter = time.Second

// restLocked has the pumps that wait end their wait.
func (x *session) restLocked() {
	x.resting.Store(true)
	for _, l := range x.legs {
		_ = l.SetReadDeadline(past()) // closed = it is over
	}
}

// rest says whether a wait has ended only because the session rests. Then the leg is ready for another
// pump.
func (x *session) rest(l *leg) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return false
	}
	_ = l.SetReadDeadline(time.Time{}) // closed = the next read says so
	l.rests, l.fresh = true, l.empty
	return true
}

// silent says whether there is nothing to read, not even an end, with less of a stack than a read needs.
func (l *leg) silent(fd uintptr) bool {
	_, _, err := syscall.Recvfrom(int(fd), l.one[:], syscall.MSG_PEEK)
	return err == syscall.EAGAIN
}
