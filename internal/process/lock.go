package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is a file that this process holds locked. It ends with the process, however
// that ends. The file names the process id for people; programs ask Holder.
//
// It is a record lock (fcntl F_SETLK): the kernel tells who holds it, asking takes
// nothing, and no child inherits it. The price: a process that holds a lock must
// not open the same file again, since closing any descriptor of it lets the lock go.
type Lock struct {
	f    *os.File
	path string
}

// HeldError says that another process holds a lock.
type HeldError struct {
	Path string
	PID  int // 0 when it cannot be seen from here (another pid namespace)
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by a process of another container", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}

// Acquire locks the file at path, which it makes when there is none. When another
// process holds it the error is a *HeldError.
func Acquire(path string) (*Lock, error) { return acquire(path, 0o600) }

// WritePID is Acquire for the file from which others learn our process id ("PID\n"): all
// may read it. A file that holds something else is refused, not overwritten.
func WritePID(path string) (*Lock, error) {
	if err := checkPIDFile(path); err != nil {
		return nil, fmt.Errorf("pid file: %w", err)
	}
	l, err := acquire(path, 0o644)
	if err != nil {
		return nil, fmt.Errorf("pid file: %w", err)
	}
	return l, nil
}

// maxPIDFile bounds what is read of a pid file.
const maxPIDFile = 32

// checkPIDFile says whether a file may become a pid file. A process has one of these and
// looks at it before it is locked (see Lock).
func checkPIDFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxPIDFile {
		return fmt.Errorf("%s exists and is no pid file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if word := strings.TrimSpace(string(text)); word != "" {
		if _, err := strconv.ParseUint(word, 10, 31); err != nil {
			return fmt.Errorf("%s exists and is no pid file", path)
		}
	}
	return nil
}

func acquire(path string, mode fs.FileMode) (*Lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", err)
		}
		current, err := lockFile(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if current {
			return &Lock{f: f, path: path}, nil
		}
		f.Close() // removed by its last holder between our open and our lock
	}
}

// lockFile locks f and writes our process id into it. current says whether f is
// still the file that its name leads to.
func lockFile(f *os.File) (current bool, err error) {
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &whole)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		pid, held, err := holderOf(f)
		if err != nil || !held { // let go in this moment: once more
			return false, err
		}
		return false, &HeldError{Path: f.Name(), PID: pid}
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !os.SameFile(mine, named) {
		return false, err
	}
	if err := f.Truncate(0); err != nil {
		return false, err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return true, err
}

// Release removes the file and lets the lock go.
func (l *Lock) Release() error {
	err := os.Remove(l.path)
	return errors.Join(err, l.f.Close())
}

// Holder returns the id of the process that holds the lock at path, 0 when nobody
// does. What the file says is not believed. A holder that cannot be seen from here
// is a *HeldError. The holder itself must not ask (see Lock).
func Holder(path string) (pid int, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read lock: %w", err)
	}
	defer f.Close()
	pid, held, err := holderOf(f)
	if err == nil && held && pid == 0 {
		err = &HeldError{Path: path}
	}
	return pid, err
}

func holderOf(f *os.File) (pid int, held bool, err error) {
	probe := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &probe); err != nil {
		return 0, false, fmt.Errorf("ask who holds %s: %w", f.Name(), err)
	}
	if probe.Type == unix.F_UNLCK {
		return 0, false, nil
	}
	return max(int(probe.Pid), 0), true, nil
}

// awaitEvery is how often AwaitFree looks.
const awaitEvery = 50 * time.Millisecond

// AwaitFree waits until nobody holds the lock at path. When ctx ends before that the
// error is a *HeldError.
func AwaitFree(ctx context.Context, path string) error {
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		pid, err := Holder(path)
		if pid == 0 || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &HeldError{Path: path, PID: pid}
		}
	}
}

// RemoveStale removes the lock files among the paths that nobody holds: those of
// processes that could not do it themselves.
func RemoveStale(paths ...string) error {
	var errs []error
	for _, path := range paths {
		l, err := Acquire(path)
		var held *HeldError
		switch {
		case err == nil:
			errs = append(errs, l.Release())
		case !errors.As(err, &held):
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
