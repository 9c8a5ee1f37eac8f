package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// FileConfig says where lines are written and how many of them are kept.
type FileConfig struct {
	Path     string     // required; the directory must be writable for rotation
	MaxSize  int64      // bytes: a line that would make the file longer begins a new one; 0 = no limit
	MaxFiles int        // so many full ones are kept, Path.1 is the newest; 0 = none is put aside, somebody else does (logrotate)
	Time     TimeFormat // of the lines of a logger that writes here
}

// RotatingFile is a log file. Any number of processes may write to one and rotate it: no line is
// lost, torn or written twice. Each line is written under a lock on a hidden file beside
// it (.NAME.lock), after a look whether the name still leads to the same file; so a file
// that logrotate has moved away is left as well, without a signal.
//
// A line that cannot be written, because the disk is full or the directory gone, is
// dropped and counted; the next one that can says how many.
type RotatingFile struct {
	conf   FileConfig
	notice func(n int, cause error) []byte // a line that tells of n dropped ones; nil = none is written

	mu      sync.Mutex // guards the following
	lock    *os.File   // nil while it cannot be opened
	file    *os.File   // likewise
	opened  fs.FileInfo
	dropped int   // lines since it was told last
	cause   error // of the last one
	stuck   bool  // it could not be put aside, and has said so
	closed  bool
}

// fileMode lets a group of administrators read.
const fileMode = 0o640

// OpenFile opens the file, and makes it when there is none. What is no regular file is
// refused.
func OpenFile(c FileConfig) (*RotatingFile, error) {
	f := &RotatingFile{conf: c}
	f.notice = f.noticeLine
	// Of a link it is the target that is rotated; it exists now.
	var err error
	if err = f.reopenLocked(); err == nil {
		f.conf.Path, err = filepath.EvalSymlinks(c.Path)
	}
	if err == nil {
		err = f.openLockLocked()
	}
	if err != nil {
		f.closeLocked()
		return nil, fmt.Errorf("log file: %w%s", err, fileHint(err))
	}
	return f, nil
}

func fileHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return " (the directory does not exist)"
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf(" (user %d must be able to write to the file and to its directory)", os.Geteuid())
	}
	return ""
}

// Write writes whole lines, all or none.
func (f *RotatingFile) Write(lines []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.exclusivelyLocked(func(size int64) error { return f.writeLocked(lines, size) })
	if err != nil {
		f.dropped += bytes.Count(lines, []byte("\n"))
		f.cause = err
		return 0, err
	}
	return len(lines), nil
}

// Close closes the file; later lines are dropped.
func (f *RotatingFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.closeLocked()
}

func (f *RotatingFile) closeLocked() error {
	var errs []error
	for _, file := range []*os.File{f.lock, f.file} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	f.lock, f.file = nil, nil
	return errors.Join(errs...)
}

// writeLocked writes to the file of this size, or to a new one.
func (f *RotatingFile) writeLocked(lines []byte, size int64) error {
	if f.dropped > 0 && f.notice != nil {
		lines = append(f.notice(f.dropped, f.cause), lines...)
	}
	if f.conf.MaxSize > 0 && size > 0 && size+int64(len(lines)) > f.conf.MaxSize && f.conf.MaxFiles > 0 {
		err := f.putAsideLocked()
		if err == nil {
			size = 0
		} else if !f.stuck {
			lines = append(f.line("log not rotated", Reason, err), lines...)
		}
		f.stuck = err != nil
	}
	if f.file == nil {
		return errors.New("no file") // putAsideLocked could not open the new one
	}
	if _, err := f.file.Write(lines); err != nil {
		return errors.Join(err, f.file.Truncate(size)) // no half of a line
	}
	f.dropped = 0
	return nil
}

func (f *RotatingFile) noticeLine(n int, cause error) []byte {
	return f.line("log lines lost", "lines", n, Reason, cause)
}

// line is a line of our own.
func (f *RotatingFile) line(message string, args ...any) []byte {
	var b bytes.Buffer
	slog.New(newHuman(&b, "log", slog.LevelWarn, f.conf.Time.Append)).Warn(message, args...)
	return b.Bytes()
}

// exclusivelyLocked calls do while no other process writes or rotates, with f.file being
// what the name leads to, and its size.
func (f *RotatingFile) exclusivelyLocked(do func(size int64) error) error {
	if f.closed {
		return fs.ErrClosed
	}
	if err := f.acquireLocked(); err != nil {
		return err
	}
	defer func() { _ = flock(f.lock, syscall.LOCK_UN) }() // of an open file it does not fail
	named, err := os.Stat(f.conf.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if f.file == nil || err != nil || !os.SameFile(named, f.opened) {
		if err := f.reopenLocked(); err != nil {
			return err
		}
		named = f.opened
	}
	return do(named.Size())
}

// acquireLocked takes the lock. The file of the lock may have been removed, together with
// its directory.
func (f *RotatingFile) acquireLocked() error {
	for {
		if f.lock == nil {
			if err := f.openLockLocked(); err != nil {
				return err
			}
		}
		if err := flock(f.lock, syscall.LOCK_EX); err != nil {
			return fmt.Errorf("lock %s: %w", f.lock.Name(), err)
		}
		mine, err := f.lock.Stat()
		if err != nil {
			return err
		}
		if named, err := os.Stat(f.lock.Name()); err == nil && os.SameFile(mine, named) {
			return nil
		}
		f.lock.Close()
		f.lock = nil
	}
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (f *RotatingFile) openLockLocked() (err error) {
	dir, name := filepath.Split(f.conf.Path)
	f.lock, err = openRegular(dir+"."+name+".lock", os.O_RDWR)
	return err
}

// reopenLocked opens what the name leads to, or makes it.
func (f *RotatingFile) reopenLocked() (err error) {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
	file, err := openRegular(f.conf.Path, os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return err
	}
	if f.opened, err = file.Stat(); err != nil {
		file.Close()
		return err
	}
	f.file = file
	return nil
}

// openRegular opens a regular file or makes one. It does not wait for the other end of
// a named pipe.
func openRegular(path string, flag int) (*os.File, error) {
	file, err := os.OpenFile(path, flag|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, fileMode)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", path))
	}
	return file, nil
}
