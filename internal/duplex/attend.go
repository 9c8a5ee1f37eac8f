package duplex

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"sluice/internal/flow"
)

// attend ends the session when its client breaks off, until leave is called: while there is no remote
// nothing else looks. A client that has ended its side in good order may wait for an answer.
func (x *session) attend() (leave func()) {
	l := x.legs[client]
	if l == nil {
		return func() {}
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		if err := l.failure(); err != nil {
			x.finish(ending{cause: flow.CauseClient, err: fmt.Errorf("%s: %w", l.name, err)})
		}
	})
	return func() {
		_ = l.SetReadDeadline(past()) // closed = it is over
		watch.Wait()
		x.mu.Lock()
		defer x.mu.Unlock()
		if !x.over {
			_ = l.SetReadDeadline(time.Time{}) // closed = the next read says so
		}
	}
}

// failure waits until the connection has an error, and takes it; nil when the wait was ended.
func (l *leg) failure() (err error) {
	_ = l.raw.Read(func(fd uintptr) bool { // its error is the end of the wait
		no, failed := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		if failed == nil && no != 0 {
			err = syscall.Errno(no)
		}
		return err != nil
	})
	return err
}
