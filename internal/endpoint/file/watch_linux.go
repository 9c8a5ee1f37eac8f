package file

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watch wakes who waits for a file to change (inotify(7)). Where it cannot, the wait is as
// long as it may be: some file systems do not tell, and a user may have a limited number.
type watch struct {
	events *os.File // nil = none
}

func newWatch(f *os.File) *watch {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return &watch{}
	}
	events := os.NewFile(uintptr(fd), "inotify")
	const changes = unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF
	if _, err := unix.InotifyAddWatch(fd, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), changes); err != nil {
		_ = events.Close()
		return &watch{}
	}
	return &watch{events: events}
}

// wait returns when the file has changed, after most, or when ctx ends.
func (w *watch) wait(ctx context.Context, most time.Duration) {
	if w.events == nil || w.events.SetReadDeadline(time.Now().Add(most)) != nil {
		sleep(ctx, most)
		return
	}
	defer context.AfterFunc(ctx, func() { _ = w.events.SetReadDeadline(time.Now()) })()
	var buf [4096]byte
	if _, err := w.events.Read(buf[:]); err != nil && !os.IsTimeout(err) {
		sleep(ctx, most)
	}
}

func (w *watch) close() {
	if w.events != nil {
		_ = w.events.Close()
	}
}
