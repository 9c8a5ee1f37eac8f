package store

import (
	"errors"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// openBelow opens a file below a directory in one system call, which looks at the whole path and never leaves the directory
// (openat2(2), RESOLVE_BENEATH, Linux 5.6). os.Root opens each directory of the path by itself: of a file four directories down
// that takes three times as long. What is not simply there, or not there, is its to judge.
func openBelow(root *os.Root, dir *os.File, name string) (*os.File, error) {
	raw, err := dir.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = raw.Control(func(at uintptr) {
		fd, failed = unix.Openat2(int(at), name, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
		})
	})
	switch {
	case err != nil:
		return nil, err
	case failed == nil:
		return os.NewFile(uintptr(fd), path.Base(name)), nil
	case errors.Is(failed, unix.ENOENT):
		return nil, &os.PathError{Op: "openat2", Path: name, Err: failed}
	}
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
