package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// maxSweep bounds the entries of directories that are looked at for leftovers; what is behind them stays.
const maxSweep = 1 << 22

// sweep removes what uploads of processes that were killed have left, but what is to be kept (Create.Keep), which gets its name.
func (d *disk) sweep(ctx context.Context) {
	left := maxSweep
	for dirs := []string{"."}; len(dirs) > 0; {
		dir := dirs[len(dirs)-1]
		dirs = append(dirs[:len(dirs)-1], d.sweepDir(ctx, dir, &left)...)
	}
}

// sweepDir removes what is in one directory, and returns those below.
func (d *disk) sweepDir(ctx context.Context, dir string, left *int) (below []string) {
	f, err := d.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil // it has gone, or is nobody's to read
	}
	defer func() { _ = f.Close() }() // it was only read
	for ctx.Err() == nil && *left > 0 {
		entries, err := f.ReadDir(1024)
		*left -= len(entries)
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			switch {
			case e.IsDir() && !hidden(name):
				below = append(below, name)
			case e.Type().IsRegular() && strings.HasPrefix(e.Name(), leftover) && !strings.HasPrefix(e.Name(), leftover+d.id):
				d.sweepFile(name)
			}
		}
		if err != nil && !errors.Is(err, io.EOF) || len(entries) == 0 {
			break
		}
	}
	return below
}

// sweepFile removes a file, or gives it its name, unless its writer lives.
func (d *disk) sweepFile(name string) {
	f, err := d.root.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // nothing was written
	if err := lock(f); errors.Is(err, fs.ErrPermission) || isErrno(err, syscall.EWOULDBLOCK) {
		return
	}
	if place, ok := keptFor(name); ok && d.comesAfter(f, place) && d.root.Rename(name, place) == nil {
		return
	}
	_ = d.root.Remove(name) // it is tried again at the next start
}

// comesAfter says whether f has something, and is newer than what has a name.
func (d *disk) comesAfter(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil || mine.Size() == 0 {
		return false
	}
	theirs, err := d.root.Lstat(name)
	return errors.Is(err, fs.ErrNotExist) || err == nil && theirs.Mode().IsRegular() && mine.ModTime().After(theirs.ModTime())
}
