package certs

import (
	"os"
	"sync"
	"time"
)

// lookEvery is how often files are looked at, at most.
const lookEvery = time.Second

// Changed is told of each change of files once: err is nil when what they have now is in
// use, or why it is not; then what they had before stays. file is the first of those
// that belong together. It is called during a handshake and must not wait.
type Changed func(file string, err error)

// followed is what was made of files; it is made again when they have changed. All
// methods may be called from any goroutine.
type followed[T any] struct {
	files   []string
	read    func() (T, error)
	changed Changed // may be nil

	mu     sync.Mutex // guards what follows; held while the files are read
	value  T
	seen   []os.FileInfo // of the files when they were last read, of use or not; nil is one that is not there
	looked time.Time     // when they were last looked at
}

// follow reads the files for the first time.
func follow[T any](files []string, read func() (T, error), changed Changed) (*followed[T], error) {
	f := &followed[T]{files: files, read: read, changed: changed, looked: time.Now()}
	f.seen = f.stat() // before they are read: what comes in between is seen as a change
	var err error
	f.value, err = read()
	return f, err
}

// get is the value as the files have it, or had it a second ago.
func (f *followed[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= lookEvery {
		f.looked = now
		f.lookLocked()
	}
	return f.value
}

// lookLocked reads the files again if they are others than those that were read last.
func (f *followed[T]) lookLocked() {
	now := f.stat()
	if same(now, f.seen) {
		return
	}
	f.seen = now
	value, err := f.read()
	if err == nil {
		f.value = value
	}
	if f.changed != nil {
		f.changed(f.files[0], err)
	}
}

func (f *followed[T]) stat() []os.FileInfo {
	all := make([]os.FileInfo, len(f.files))
	for i, name := range f.files {
		if info, err := os.Stat(name); err == nil {
			all[i] = info
		}
	}
	return all
}

// same says whether files are those of before.
func same(now, before []os.FileInfo) bool {
	for i, a := range now {
		b := before[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}
