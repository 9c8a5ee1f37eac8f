package push

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What is watched of a directory.
const watched = unix.IN_CREATE | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK

// change is what has happened to a name in a directory.
type change struct {
	dir, name string
	mask      uint32
}

// watch is told by the system what happens in directories. Of one goroutine.
type watch struct {
	fd     int // of events
	events *os.File
	dirs   map[int32]string // by their descriptors

	outside int32 // the descriptor of what is around, and what the directory is called there
	base    string
}

func newWatch() (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		err = fmt.Errorf("%w; raise fs.inotify.max_user_instances", err)
	}
	if err != nil {
		return nil, fmt.Errorf("watch directories: %w", err)
	}
	return &watch{fd: fd, events: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}}, nil
}

func (w *watch) close() { _ = w.events.Close() }

// add watches a directory that is open.
func (w *watch) add(d *os.File, dir string) error {
	wd, err := unix.InotifyAddWatch(w.fd, fmt.Sprintf("/proc/self/fd/%d", d.Fd()), watched)
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("%w; raise fs.inotify.max_user_watches", err)
	}
	if err != nil {
		return fmt.Errorf("watch %q: %w", dir, err)
	}
	w.dirs[int32(wd)] = dir
	return nil
}

// around watches for a directory to go, by what stands around it: as long as somebody has it open, as we have, it does not
// tell itself.
func (w *watch) around(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return err
	}
	wd, err := unix.InotifyAddWatch(w.fd, filepath.Dir(real), unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_ONLYDIR)
	if err != nil {
		return fmt.Errorf("watch %q: %w", filepath.Dir(real), err)
	}
	w.outside, w.base = int32(wd), filepath.Base(real)
	return nil
}

// drop watches a directory and those below it no more.
func (w *watch) drop(dir string) {
	for wd, name := range w.dirs {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			_, _ = unix.InotifyRmWatch(w.fd, uint32(wd)) // it may have gone by itself
			delete(w.dirs, wd)
		}
	}
}

// errGone is the end of watching.
var errGone = errors.New("the directory has gone")

// read calls f for each change until ctx ends, the directory "." has gone, or f fails.
func (w *watch) read(ctx context.Context, f func(change) error) error {
	defer context.AfterFunc(ctx, func() { _ = w.events.SetReadDeadline(time.Now()) })()
	buffer := make([]byte, 64<<10)
	for {
		n, err := w.events.Read(buffer)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read what has changed: %w", err)
		}
		for b := buffer[:n]; len(b) > 0; {
			var e rawEvent
			e, b = cutEvent(b)
			if err := w.one(e, f); err != nil {
				return err
			}
		}
	}
}

// one passes on one event, unless it is about the watching itself.
func (w *watch) one(e rawEvent, f func(change) error) error {
	if e.mask&unix.IN_Q_OVERFLOW != 0 {
		return errors.New("the system has lost changes; raise fs.inotify.max_queued_events")
	}
	dir, known := w.dirs[e.wd]
	switch {
	case e.wd == w.outside && e.name == w.base && e.mask&unix.IN_ISDIR != 0:
		return errGone
	case !known:
		return nil
	case e.mask&(unix.IN_IGNORED|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) == 0:
		return f(change{dir, e.name, e.mask})
	case dir == ".":
		return errGone
	case e.mask&unix.IN_IGNORED != 0:
		delete(w.dirs, e.wd)
	}
	return nil
}

// rawEvent is struct inotify_event.
type rawEvent struct {
	wd   int32
	mask uint32
	name string
}

// cutEvent cuts the first event off.
func cutEvent(b []byte) (e rawEvent, rest []byte) {
	if len(b) < unix.SizeofInotifyEvent {
		return e, nil
	}
	e.wd = int32(binary.NativeEndian.Uint32(b))
	e.mask = binary.NativeEndian.Uint32(b[4:])
	end := unix.SizeofInotifyEvent + min(int(binary.NativeEndian.Uint32(b[12:])), len(b)-unix.SizeofInotifyEvent)
	name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
	e.name = string(name)
	return e, b[end:]
}
