package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// sameRequest is how long after one process has rotated a file on request the same
// request to another one of those that write it is taken for done.
const sameRequest = time.Second

// Rotate puts the file aside now; an empty one stays. When several processes write the
// file and all are asked to, it is put aside once.
func (f *RotatingFile) Rotate() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.exclusivelyLocked(func(size int64) error {
		if size == 0 || f.conf.MaxFiles == 0 || f.rotatedByOthers(time.Now()) {
			return nil
		}
		if err := f.putAsideLocked(); err != nil {
			return err
		}
		return f.noteRotation()
	})
	if err != nil {
		return fmt.Errorf("rotate %s: %w", f.conf.Path, err)
	}
	return nil
}

// rotatedByOthers says whether another process has done it a moment ago; the file of the
// lock tells who was the last, and its age tells when.
func (f *RotatingFile) rotatedByOthers(now time.Time) bool {
	var text [20]byte
	n, _ := f.lock.ReadAt(text[:], 0) // shorter, most likely
	info, err := f.lock.Stat()
	who := strings.TrimSpace(string(text[:n]))
	return err == nil && who != "" && who != strconv.Itoa(os.Getpid()) && now.Sub(info.ModTime()) < sameRequest
}

func (f *RotatingFile) noteRotation() error {
	if err := f.lock.Truncate(0); err != nil {
		return err
	}
	_, err := f.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// putAsideLocked makes the file NAME.1, and an empty one takes its place. Those that are
// there move on by one, up to the first number that is free; the oldest goes.
func (f *RotatingFile) putAsideLocked() error {
	most := f.conf.MaxFiles
	free := 1
	for free < most && exists(f.aside(free)) {
		free++
	}
	for i := free; i > 1; i-- {
		if err := os.Rename(f.aside(i-1), f.aside(i)); err != nil {
			return err
		}
	}
	if err := os.Rename(f.conf.Path, f.aside(1)); err != nil {
		return err
	}
	// There are more when the limit was higher.
	for i := most + 1; exists(f.aside(i)); i++ {
		if err := os.Remove(f.aside(i)); err != nil {
			return err
		}
	}
	return f.reopenLocked()
}

func (f *RotatingFile) aside(i int) string { return f.conf.Path + "." + strconv.Itoa(i) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
