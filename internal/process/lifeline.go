package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLifeline says that the process at the other end of a lifeline is gone.
var ErrLifeline = errors.New("the supervisor is gone")

// Lifeline waits until every writing end of the pipe f is closed, and returns
// ErrLifeline then; the kernel closes them when their process ends. It returns nil
// when ctx ends. It closes f.
func Lifeline(ctx context.Context, f *os.File) error {
	r, err := pollable(f)
	if err != nil {
		return fmt.Errorf("lifeline: %w", err)
	}
	defer r.Close()
	defer context.AfterFunc(ctx, func() { r.SetReadDeadline(time.Unix(1, 0)) })()
	_, err = io.Copy(io.Discard, r)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("lifeline: %w", err)
	}
	return ErrLifeline
}

// pollable returns f's description in a file whose reads can be interrupted, which
// an inherited descriptor's cannot, and closes f.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
