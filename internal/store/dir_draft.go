package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"sluice/internal/object"
)

// leftover is how names of files begin that have no place yet. Where they stand directories are on the same disk as
// their place, so they get there by being renamed.
const leftover = ".sluice-"

// file is a draft on a disk. It is locked (flock) as long as it is open, so that others know that its writer lives.
type file struct {
	disk *disk
	name string
	temp string // where it is now
	made string // the uppermost directory that was made for it; "" = none
	kind string // Content-Type
	*os.File
	length int64 // of a revision
}

func (d *disk) begin(name string, c Create) (draft, error) {
	switch st, err := d.root.Stat(name); {
	case err == nil && st.IsDir():
		return nil, fmt.Errorf("write %q: %w", name, ErrIsDir)
	case err == nil && !st.Mode().IsRegular():
		return nil, fmt.Errorf("write %q: it is there, but no file: %w", name, ErrName)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fault("write", name, err)
	}
	f, err := d.create(name, c.Keep && !c.Hidden)
	if err != nil {
		return nil, err
	}
	f.kind = c.Type
	return f, nil
}

// maxFileName is how long the name of a file may be, in bytes.
const maxFileName = 255

// draftName is that of a new file in the directory of name. With keep it says what is to become of it if the process is killed (keptFor).
func (d *disk) draftName(name string, keep bool) string {
	draft := leftover + d.id + "-" + strconv.FormatInt(d.count.Add(1), 36)
	if kept := draft + "-" + path.Base(name); keep && len(kept) <= maxFileName {
		draft = kept
	}
	return path.Join(path.Dir(name), draft)
}

// keptFor is the name that what was written into a draft is to have; false if it is not to be kept.
func keptFor(draft string) (name string, ok bool) {
	dir, base := path.Split(draft)
	parts := strings.SplitN(strings.TrimPrefix(base, leftover), "-", 3)
	if len(parts) < 3 {
		return "", false
	}
	name = path.Join(dir, parts[2])
	return name, path.Base(name) == parts[2] && checkWrite(name) == nil
}

// create makes an empty file beside the place of name.
func (d *disk) create(name string, keep bool) (*file, error) {
	dir, temp := path.Dir(name), d.draftName(name, keep)
	f, err := d.root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	made := ""
	for range 3 { // it may be that somebody removes the directory because it is empty
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = d.missing(dir)
		if err = d.root.MkdirAll(dir, 0o777); err == nil {
			f, err = d.root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		}
	}
	if err != nil {
		d.unmake(dir, made)
		return nil, fault("write", name, err)
	}
	_ = lock(f) // where files cannot be locked nobody else looks at locks
	return &file{disk: d, name: name, temp: temp, made: made, File: f}, nil
}

// missing is the uppermost directory on the way to dir, itself included, that is not there; "" = none.
func (d *disk) missing(dir string) (found string) {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := d.root.Lstat(dir); err == nil {
			break
		}
		found = dir
	}
	return found
}

// unmake removes what was made on the way to dir, from the directory made on, as far as it is empty.
func (d *disk) unmake(dir, made string) {
	for made != "" && d.root.Remove(dir) == nil && dir != made {
		dir = path.Dir(dir)
	}
}

// lock says that a file is being written, or fails: somebody else writes it.
func lock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = raw.Control(func(fd uintptr) { locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) })
	return errors.Join(err, locked)
}

func (d *disk) revise(name string) (revision, error) {
	old, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = old.Close() }() // it was only read
	f, err := d.create(name, false)
	if err != nil {
		return nil, err
	}
	f.kind = old.Type
	if f.length, err = io.Copy(f.File, old.Content); err != nil {
		f.discard()
		_ = f.Close() // it is not wanted any more
		return nil, fault("copy", name, err)
	}
	return f, nil
}

// WriteAt writes anywhere in a revision.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.length = max(f.length, off+int64(n))
	return n, err
}

func (f *file) size() int64 { return f.length }

func (f *file) body() object.Body { return f.File }

// place waits for the disk before it gives the file its name, so that after a power cut there is all of it or nothing.
func (f *file) place(*object.Object) (replaced bool, err error) {
	root := f.disk.root
	now := f.disk.stamp()
	if err := root.Chtimes(f.temp, now, now); err != nil {
		return false, fault("write", f.name, err)
	}
	if err := f.Sync(); err != nil {
		return false, fault("write", f.name, err)
	}
	st, err := f.Stat()
	if err != nil {
		return false, fault("write", f.name, err)
	}
	_, missing := root.Lstat(f.name)
	if err := root.Rename(f.temp, f.name); err != nil {
		return false, fault("write", f.name, err)
	}
	f.disk.types.set(f.name, tagOf(st), f.kind)
	return missing == nil, nil
}

func (f *file) discard() {
	_ = f.disk.root.Remove(f.temp) // else the next start does it
	f.disk.unmake(path.Dir(f.temp), f.made)
}

// siblings are what a representation has on the disk, by their numbers.
func (d *disk) siblings(representation string) []string {
	dir := path.Dir(representation)
	entries, err := d.entries(dir)
	if err != nil {
		return nil
	}
	type segment struct {
		name   string
		number int64
	}
	var found []segment
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if r, number, ok := Representation(name); ok && r == representation && e.Type().IsRegular() {
			found = append(found, segment{name, number})
		}
	}
	slices.SortFunc(found, func(a, b segment) int {
		return compareNumbers(a.number, b.number, a.name, b.name)
	})
	names := make([]string, len(found))
	for i, s := range found {
		names[i] = s.name
	}
	return names
}

func compareNumbers(a, b int64, nameA, nameB string) int {
	if a != b {
		if a < b {
			return -1
		}
		return 1
	}
	return strings.Compare(nameA, nameB)
}
