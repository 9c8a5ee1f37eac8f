package push

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"sluice/internal/store"
)

// Bounds of what is followed.
const (
	maxDirs  = 4096 // directories
	maxDepth = 32   // of them
	maxFiles = 4096 // files that have been made and are not complete; others are sent when they are
)

// folder is a directory that other programs write into (inotify(7)).
type folder struct {
	root  *os.Root
	whole bool
	watch *watch
	tell  func(store.Event)
	fresh map[string]bool // files that have been made and not been written yet; of who follows

	mu      sync.Mutex // guards what is below
	growing map[string]*growth
}

func newFolder(root *os.Root, path string, whole bool) (*folder, error) {
	w, err := newWatch()
	if err != nil {
		return nil, err
	}
	if err := w.around(path); err != nil {
		w.close()
		return nil, err
	}
	return &folder{root: root, whole: whole, watch: w, fresh: map[string]bool{}, growing: map[string]*growth{}}, nil
}

func (f *folder) close() { f.watch.close() }

// follow tells what happens until ctx ends or the directory has gone; it says when it misses nothing from then on.
func (f *folder) follow(ctx context.Context, tell func(store.Event), watching func()) error {
	f.tell = tell
	defer f.abort("the directory is not followed any more")
	if err := f.add(".", 0); err != nil {
		return err
	}
	watching()
	return f.watch.read(ctx, f.happened)
}

// abort breaks off what grows.
func (f *folder) abort(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, g := range f.growing {
		g.object.Abort(errors.New(why))
		delete(f.growing, name)
	}
}

// add watches a directory and those below it.
func (f *folder) add(dir string, depth int) error {
	if depth > maxDepth || len(f.watch.dirs) >= maxDirs {
		return fmt.Errorf("%.200q: more than %d directories, or %d below one another", dir, maxDirs, maxDepth)
	}
	d, err := f.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // it was only read
	if err := f.watch.add(d, dir); err != nil {
		return err
	}
	entries, err := d.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() && wanted(name) {
			if err := f.add(name, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// wanted says whether a name is one to be sent.
func wanted(name string) bool {
	base := path.Base(name)
	return fs.ValidPath(name) && !strings.HasPrefix(base, ".") && !strings.HasSuffix(base, ".tmp")
}

// happened is what has happened to a file or a directory below dir.
func (f *folder) happened(e change) error {
	name := path.Join(e.dir, e.name)
	if !wanted(name) {
		return nil
	}
	if e.mask&unix.IN_ISDIR != 0 {
		return f.directory(name, e.mask)
	}
	switch {
	case e.mask&unix.IN_CREATE != 0:
		f.made(name)
	case e.mask&unix.IN_MODIFY != 0:
		f.written(name)
	case e.mask&unix.IN_CLOSE_WRITE != 0:
		f.complete(name)
	case e.mask&unix.IN_MOVED_TO != 0:
		f.forget(name)
		f.tell(store.Event{What: store.Ended, Name: name})
	case e.mask&(unix.IN_MOVED_FROM|unix.IN_DELETE) != 0:
		f.forget(name)
		f.tell(store.Event{What: store.Removed, Name: name})
	}
	return nil
}

// directory follows one that was made or has come, and no more one that has gone.
func (f *folder) directory(name string, mask uint32) error {
	if mask&unix.IN_MOVED_FROM != 0 {
		f.watch.drop(name)
		f.forgetBelow(name)
	}
	if mask&(unix.IN_CREATE|unix.IN_MOVED_TO) == 0 {
		return nil
	}
	err := f.add(name, strings.Count(name, "/")+1)
	if err == nil {
		err = f.found(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has gone again
	}
	return err
}

// found tells of what is in a directory that was not watched from the beginning, and in those below it.
func (f *folder) found(dir string) error {
	return fs.WalkDir(f.root.FS(), dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case name != dir && !wanted(name) && e.IsDir():
			return fs.SkipDir
		case !wanted(name) || !e.Type().IsRegular():
			return nil
		case beingWritten(f.root, name):
			f.made(name)
			f.written(name)
		default:
			f.tell(store.Event{What: store.Ended, Name: name})
		}
		return nil
	})
}

// made takes note of a new file. One that is a second name of another is complete. A file of a new directory may have been
// found already.
func (f *folder) made(name string) {
	if f.grows(name) != nil {
		return
	}
	st, err := f.root.Lstat(name)
	switch {
	case err != nil || !st.Mode().IsRegular(): // it has gone, or is a link
	case otherNames(st):
		f.tell(store.Event{What: store.Ended, Name: name})
	case !f.whole && !store.Manifest(name) && len(f.fresh)+f.count() < maxFiles:
		f.fresh[name] = true
	}
}

// written takes note that a file has been written to. What is not new is changed in place: nobody can tell where, so it is sent
// when that is over.
func (f *folder) written(name string) {
	if f.fresh[name] {
		delete(f.fresh, name)
		f.begin(name)
		return
	}
	if g := f.grows(name); g != nil {
		if err := g.grow(); err != nil {
			f.forget(name)
		}
	}
}

// begin follows a file from now on. One that cannot be followed is sent when it is complete.
func (f *folder) begin(name string) {
	g, err := newGrowth(f.root, name)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.growing[name] = g
	f.mu.Unlock()
	f.tell(store.Event{What: store.Began, Name: name})
}

func (f *folder) grows(name string) *growth {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.growing[name]
}

func (f *folder) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.growing)
}

// complete takes note that a writer has closed a file. If what was sent while it grew is not what it is now, it is sent again.
func (f *folder) complete(name string) {
	delete(f.fresh, name)
	if g := f.grows(name); g != nil {
		same, err := g.check()
		if err != nil {
			f.forget(name)
		} else {
			f.mu.Lock()
			delete(f.growing, name)
			f.mu.Unlock()
			g.object.End()
			f.tell(store.Event{What: store.Ended, Name: name})
			if same {
				return
			}
		}
	}
	f.tell(store.Event{What: store.Ended, Name: name})
}

// forget breaks off a file that grows.
func (f *folder) forget(name string) {
	delete(f.fresh, name)
	f.mu.Lock()
	g := f.growing[name]
	delete(f.growing, name)
	f.mu.Unlock()
	if g != nil {
		g.object.Abort(errors.New("its file has been removed or cut"))
		f.tell(store.Event{What: store.Aborted, Name: name})
	}
}

// forgetBelow forgets what grows in a directory that has been moved away: nobody tells any more what becomes of it.
func (f *folder) forgetBelow(dir string) {
	below := func(name string) bool { return strings.HasPrefix(name, dir+"/") }
	f.mu.Lock()
	names := slices.Collect(maps.Keys(f.growing))
	f.mu.Unlock()
	for _, name := range names {
		if below(name) {
			f.forget(name)
		}
	}
	maps.DeleteFunc(f.fresh, func(name string, _ bool) bool { return below(name) })
}

// open implements source.
func (f *folder) open(ctx context.Context, name string) (opened, error) {
	kind := store.TypeOf(name, "")
	if g := f.grows(name); g != nil {
		body, err := follow(ctx, g.object)
		if err == nil {
			return opened{body, kind, -1}, nil
		}
	}
	file, size, err := openFile(f.root, name)
	if err != nil {
		return opened{}, fmt.Errorf("%w: %w", errOurs, err)
	}
	return opened{file, kind, size}, nil
}

// openFile opens a regular file, and what is none not even for a moment.
func openFile(root *os.Root, name string) (*os.File, int64, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := file.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("open %q: it is no file: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		_ = file.Close() // it was only opened
		return nil, 0, err
	}
	return file, st.Size(), nil
}
