package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openHandle opens a process descriptor (Linux 5.3). Where the kernel is older, or a
// container's filter does not let the call pass (EPERM), the lock is watched.
func openHandle(lock string, pid int) (handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		return lockHandle{path: lock, id: pid}, nil
	case errors.Is(err, unix.ESRCH): // gone already: the caller asks for the holder again
		return lockHandle{path: lock, id: pid}, nil
	case err != nil:
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return pidHandle{os.NewFile(uintptr(fd), fmt.Sprintf("process %d", pid))}, nil
}

// pidHandle is a process descriptor, which becomes readable when the process ends.
type pidHandle struct{ f *os.File }

func (h pidHandle) wait() error {
	raw, err := h.f.SyscallConn()
	if err != nil {
		return err
	}
	var pollErr error
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		var n int
		n, pollErr = unix.Poll(fds, 0)
		return n > 0 || pollErr != nil && !errors.Is(pollErr, unix.EINTR)
	})
	return errors.Join(err, pollErr)
}

func (h pidHandle) signal(s syscall.Signal) error {
	raw, err := h.f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), s, nil, 0) })
	return errors.Join(err, sent)
}

func (h pidHandle) close() { h.f.Close() }
