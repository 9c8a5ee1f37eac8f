package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/object"
)

// backend is where complete objects are: the one thing that directories and memory do differently.
// Names have been checked; nobody else writes or removes a name while one of its methods is at it.
type backend interface {
	open(name string) (*Item, error)
	stat(name string) (Info, error)
	// begin makes a draft of an object that will be name; parents that are missing are made.
	begin(name string, c Create) (draft, error)
	// revise makes a draft with the bytes that name has.
	revise(name string) (revision, error)
	remove(name string) error
	removeEmpty(dir string)
	list(dir string) ([]Info, error)
	// siblings are the segments of a representation that are there.
	siblings(representation string) []string
	// taken is what Usage says of complete objects, and of all memory.
	taken() (objects int, bytes int64)
	// shared says whether other programs put things there.
	shared() bool
	close() error
}

// draft is what is being written and has no place yet.
type draft interface {
	body() object.Body
	// place puts it under its name, as what o is now, and as a whole.
	place(o *object.Object) (replaced bool, err error)
	// discard forgets it; the body is closed by others.
	discard()
}

// revision is a draft that is written anywhere.
type revision interface {
	draft
	WriteAt(p []byte, off int64) (int, error)
	size() int64
}

// keeper is a Store: it knows who writes, who reads, who waits and who watches. No system call is
// made while its lock is held.
type keeper struct {
	back     backend
	writable bool
	events   events
	ended    chan struct{} // closed by Close

	mu        sync.Mutex // guards what is below
	closed    bool
	writing   map[string]*writing
	reading   map[string]int // open Items
	awaited   map[string]*awaited
	retention retention
}

// writing is a name that somebody is at.
type writing struct {
	name   string
	create Create
	began  time.Time
	draft  draft          // nil = there is none yet
	object *object.Object // nil = nothing that grows
	hold   *object.Reader // of the keeper
	done   chan struct{}  // not nil: it is being placed or removed; closed when that is over
}

// visible says whether readers may have it as it grows. What was broken off is before nothing: what stands there is there again at once.
func (w *writing) visible() bool {
	if w.object == nil || w.create.Hidden {
		return false
	}
	_, state := w.object.Progress()
	return state != object.Aborted
}

// awaited is a name that somebody waits for.
type awaited struct {
	there   chan struct{} // closed when it may be there
	waiting int
	looked  time.Time // when somebody looked last
}

func newKeeper(back backend, writable bool, r retention) *keeper {
	return &keeper{
		back: back, writable: writable, retention: r, ended: make(chan struct{}),
		writing: map[string]*writing{}, reading: map[string]int{}, awaited: map[string]*awaited{},
	}
}

// Open opens an object.
func (k *keeper) Open(name string) (*Item, error) {
	if err := checkRead(name); err != nil {
		return nil, err
	}
	it, err := k.growing(name)
	if it == nil && err == nil {
		it, err = k.back.open(name)
	}
	if err != nil {
		k.leave(name)
		return nil, err
	}
	inner := it.closer
	it.closer = func() error {
		k.leave(name)
		return inner()
	}
	return it, nil
}

// growing opens what grows, if something does, and counts a reader in any case.
func (k *keeper) growing(name string) (*Item, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading[name]++
	w := k.writing[name]
	if w == nil || !w.visible() {
		return nil, nil
	}
	hold, err := w.object.Reader(0, 0)
	if err != nil {
		return nil, err
	}
	return &Item{Info: w.info(), Object: w.object, closer: func() error { hold.Close(); return nil }}, nil
}

// leave counts a reader less.
func (k *keeper) leave(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reading[name]--; k.reading[name] <= 0 {
		delete(k.reading, name)
	}
}

func (w *writing) info() Info {
	size, _ := w.object.Progress()
	return Info{Name: w.name, Growing: true, Size: size, Modified: w.began, Type: w.create.Type}
}

// Stat is Open without opening.
func (k *keeper) Stat(name string) (Info, error) {
	if err := checkRead(name); err != nil {
		return Info{}, err
	}
	k.mu.Lock()
	if w := k.writing[name]; w != nil && w.visible() {
		defer k.mu.Unlock()
		return w.info(), nil
	}
	k.mu.Unlock()
	return k.back.stat(name)
}

// List is what a directory holds.
func (k *keeper) List(dir string) ([]Info, error) {
	if err := checkRead(dir); err != nil {
		return nil, err
	}
	list, err := k.back.list(dir)
	if err != nil {
		return nil, err
	}
	grow := k.growingIn(dir)
	list = slices.DeleteFunc(list, func(i Info) bool {
		return slices.ContainsFunc(grow, func(g Info) bool { return g.Name == i.Name })
	})
	list = append(list, grow...)
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (k *keeper) growingIn(dir string) []Info {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []Info
	for _, w := range k.writing {
		if w.visible() && within(dir, w.name) {
			list = append(list, w.info())
		}
	}
	return list
}

// Remove removes an object. One that grows is broken off; one that grows unseen is left alone.
func (k *keeper) Remove(name string) error {
	if err := checkWrite(name); err != nil {
		if errors.Is(err, ErrName) && checkName(name) == nil {
			return fmt.Errorf("%q: %w", name, fs.ErrNotExist)
		}
		return err
	}
	broken, err := k.breakOff(name)
	if err != nil {
		return err
	}
	w := &writing{name: name, done: make(chan struct{})}
	switch err := k.reserve(w); {
	case errors.Is(err, ErrBusy): // by who writes it unseen: what is there goes all the same
	case err != nil:
		return err
	default:
		defer k.vacate(w)
	}
	err = k.back.remove(name)
	if err == nil {
		k.told(Event{What: Removed, Name: name})
	} else if broken && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// breakOff breaks off what grows under a name, for its writer and its readers.
func (k *keeper) breakOff(name string) (broken bool, err error) {
	if !k.writable {
		return false, fmt.Errorf("remove %q: %w", name, ErrDenied)
	}
	k.mu.Lock()
	w := k.writing[name]
	if w == nil || !w.visible() || w.done != nil {
		k.mu.Unlock()
		return false, nil
	}
	k.dropLocked(w, Aborted)
	k.mu.Unlock()
	k.end(w, errors.New("it was removed"))
	k.events.tell()
	return true, nil
}

// end ends what a writer has begun and has been dropped.
func (k *keeper) end(w *writing, why error) {
	w.object.Abort(why)
	w.draft.discard()
	w.hold.Close()
}

// RemoveEmpty removes a directory, and those that it was alone in, as far as they are empty.
func (k *keeper) RemoveEmpty(dir, stay string) {
	for k.writable && dir != stay && checkWrite(dir) == nil {
		w := &writing{name: dir, done: make(chan struct{})}
		if k.reserve(w) != nil {
			return
		}
		k.back.removeEmpty(dir)
		k.vacate(w)
		if _, err := k.back.stat(dir); err == nil {
			return
		}
		dir = parent(dir)
	}
}

// Await waits until there is something.
func (k *keeper) Await(ctx context.Context, name string) error {
	for woken := true; ; {
		a, leave := k.await(name, woken)
		found, err := false, error(nil)
		if a.look {
			found, err = k.there(name)
		}
		if !found && err == nil {
			woken, err = k.sleep(ctx, a.there)
		}
		leave()
		if found || err != nil {
			return err
		}
	}
}

// look is how often what others put there is looked for.
const look = 100 * time.Millisecond

// there says whether a name can be opened, and then wakes who waits for it.
func (k *keeper) there(name string) (bool, error) {
	info, err := k.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && info.Dir:
		return false, nil
	case err != nil:
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.appearLocked(name)
	return true, nil
}

// sleep waits until it is woken, and not too long where others put things.
func (k *keeper) sleep(ctx context.Context, there <-chan struct{}) (woken bool, err error) {
	var again <-chan time.Time
	if k.back.shared() {
		timer := time.NewTimer(look)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-there:
		return true, nil
	case <-again:
		return false, nil
	case <-k.ended:
		return false, errClosed
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// turn is one turn of somebody who waits: when it may be there, and whether to look now.
type turn struct {
	there <-chan struct{}
	look  bool
}

// await announces somebody who waits for a name, until leave. Of those who were not woken only one looks at a time.
func (k *keeper) await(name string, woken bool) (t turn, leave func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.awaited[name]
	if a == nil {
		a = &awaited{there: make(chan struct{})}
		k.awaited[name] = a
	}
	a.waiting++
	t = turn{there: a.there, look: woken}
	if now := time.Now(); now.Sub(a.looked) >= look {
		t.look, a.looked = true, now
	}
	return t, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if a.waiting--; a.waiting == 0 && k.awaited[name] == a {
			delete(k.awaited, name)
		}
	}
}

// appearLocked wakes who waits for a name.
func (k *keeper) appearLocked(name string) {
	if a := k.awaited[name]; a != nil {
		close(a.there)
		delete(k.awaited, name)
	}
}

// Watch has f called for each event.
func (k *keeper) Watch(f func(Event)) (stop func()) { return k.events.watch(f) }

// told tells of one event.
func (k *keeper) told(ev Event) {
	k.mu.Lock()
	if ev.What == Removed {
		k.retention.forget(ev.Name)
	}
	k.events.add(ev)
	k.mu.Unlock()
	k.events.tell()
}

// Usage is what is kept.
func (k *keeper) Usage() (objects int, bytes int64) {
	objects, bytes = k.back.taken()
	if !k.back.shared() {
		return objects, bytes
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.writing {
		if w.object != nil {
			size, _ := w.object.Progress()
			objects++
			bytes += size
		}
	}
	return objects, bytes
}

var errClosed = fmt.Errorf("the store was closed: %w", fs.ErrClosed)

// Close aborts what is being written and frees the rest.
func (k *keeper) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	close(k.ended)
	var open []*writing
	var placing []chan struct{}
	for _, w := range k.writing {
		switch {
		case w.done != nil:
			placing = append(placing, w.done)
		case w.object != nil:
			open = append(open, w)
			k.dropLocked(w, Aborted)
		case w.draft != nil:
			w.draft.discard() // a Patch: its owner closes the rest
			delete(k.writing, w.name)
		}
	}
	k.mu.Unlock()
	for _, w := range open {
		k.end(w, errClosed)
	}
	for _, done := range placing {
		<-done
	}
	k.events.tell()
	return k.back.close()
}
