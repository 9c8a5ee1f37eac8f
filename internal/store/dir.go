package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// NewDir opens a store in a directory; one that is Writable and cannot be written is an error. What uploads of a process that was killed have left is removed, or
// gets its name if it was to be kept (Create.Keep) and there is nothing newer (Writable only), in the background: a large directory takes a while. Retention counts what was there before from the moment on that a segment
// of the same representation comes, as older than that; so what nobody continues stays.
func NewDir(c DirConfig) (Store, error) {
	if c.Make {
		if err := os.MkdirAll(c.Path, 0o777); err != nil {
			return nil, fmt.Errorf("make a directory for objects: %w", err)
		}
	}
	root, err := os.OpenRoot(c.Path)
	if err != nil {
		return nil, fmt.Errorf("open a directory of objects: %w", err)
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open a directory of objects: %w", errors.Join(err, root.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &disk{root: root, dir: dir, id: rand.Text()[:8], types: newTypes(), cancel: cancel}
	if c.Writable {
		if err := d.tryWriting(); err != nil {
			return nil, errors.Join(fmt.Errorf("write in %s: %w", c.Path, err), d.close())
		}
		d.sweeping.Go(func() { d.sweep(ctx) })
	}
	return newKeeper(d, c.Writable, newRetention(c.Retention, false)), nil
}

// disk is a backend in a directory.
type disk struct {
	root     *os.Root
	dir      *os.File // the same
	id       string   // of this store, in the names of what it is writing
	count    atomic.Int64
	types    *types
	cancel   context.CancelFunc
	sweeping sync.WaitGroup

	mu     sync.Mutex // guards stamps
	stamps stamps
}

// tryWriting says what keeps files from being made. A disk that is full may have room later.
func (d *disk) tryWriting() error {
	name := leftover + d.id
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	switch {
	case errors.Is(meaning(err), ErrFull):
		return nil
	case err != nil:
		return cause(err)
	}
	return errors.Join(f.Close(), d.root.Remove(name))
}

func (d *disk) open(name string) (*Item, error) {
	f, err := openBelow(d.root, d.dir, name)
	if err != nil {
		return nil, readFault(name, err)
	}
	st, err := f.Stat()
	if err == nil {
		err = isFile(name, st)
	}
	if err != nil {
		_ = f.Close() // it was only opened
		return nil, err
	}
	return &Item{Info: d.info(name, st), Content: f, closer: f.Close}, nil
}

// isFile says what is wrong with what is no file.
func isFile(name string, st fs.FileInfo) error {
	switch {
	case st.IsDir():
		return fmt.Errorf("open %q: %w", name, ErrIsDir)
	case !st.Mode().IsRegular():
		return fmt.Errorf("open %q: it is no file: %w", name, fs.ErrNotExist)
	}
	return nil
}

func (d *disk) stat(name string) (Info, error) {
	st, err := d.root.Stat(name)
	if err != nil {
		return Info{}, readFault(name, err)
	}
	if err := isFile(name, st); err != nil && !st.IsDir() {
		return Info{}, err
	}
	return d.info(name, st), nil
}

func (d *disk) info(name string, st fs.FileInfo) Info {
	if st.IsDir() {
		return Info{Name: name, Dir: true, Modified: st.ModTime()}
	}
	tag := tagOf(st)
	return Info{Name: name, Size: st.Size(), Modified: st.ModTime(), Tag: tag, Type: d.types.of(name, tag)}
}

// tagOf is the ETag of a file. What this store writes has a time that it has given nothing else (place), so a file that was
// replaced has another tag, however coarse the clock and whatever inode it got.
func tagOf(st fs.FileInfo) string {
	var inode uint64
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		inode = sys.Ino
	}
	b := make([]byte, 0, 48)
	b = append(b, '"')
	b = strconv.AppendUint(b, inode, 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, st.ModTime().UnixNano(), 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, st.Size(), 36)
	return string(append(b, '"'))
}

func (d *disk) remove(name string) error {
	st, err := d.root.Lstat(name)
	if err != nil {
		return readFault(name, err)
	}
	if st.Mode()&fs.ModeSymlink != 0 { // the link goes, if it leads to what is there
		if st, err = d.root.Stat(name); err != nil {
			return readFault(name, err)
		}
	}
	if err := isFile(name, st); err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil {
		return fault("remove", name, err)
	}
	d.types.forget(name)
	return nil
}

func (d *disk) removeEmpty(dir string) {
	if st, err := d.root.Lstat(dir); err == nil && st.IsDir() {
		_ = d.root.Remove(dir) // it is not empty, most likely
	}
}

func (d *disk) list(dir string) ([]Info, error) {
	entries, err := d.entries(dir)
	if err != nil {
		return nil, readFault(dir, err)
	}
	var list []Info
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if checkRead(name) != nil {
			continue
		}
		if info, err := d.stat(name); err == nil {
			list = append(list, info)
		}
	}
	return list, nil
}

func (d *disk) entries(dir string) ([]fs.DirEntry, error) {
	f, err := d.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	return entries, errors.Join(err, f.Close())
}

func (d *disk) taken() (objects int, bytes int64) { return 0, 0 }

func (d *disk) shared() bool { return true }

func (d *disk) close() error {
	d.cancel()
	d.sweeping.Wait()
	return errors.Join(d.dir.Close(), d.root.Close())
}

// stamp is a time for a file: now, and no other file's.
func (d *disk) stamp() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stamps.next(time.Now())
}
