package store

import (
	"fmt"
	"io/fs"
	"path"
	"time"

	"sluice/internal/object"
)

// upload is an Upload of a keeper.
type upload struct {
	k *keeper
	w *writing
}

// Create begins an upload.
func (k *keeper) Create(name string, c Create) (Upload, error) {
	w := &writing{name: name, create: c, began: time.Now()}
	if err := k.claim(w); err != nil {
		return nil, err
	}
	d, err := k.back.begin(name, c)
	if err != nil {
		k.vacate(w)
		return nil, err
	}
	if err := k.begun(w, d); err != nil {
		return nil, err
	}
	return &upload{k, w}, nil
}

// claim reserves a name for who may write it.
func (k *keeper) claim(w *writing) error {
	if err := checkWrite(w.name); err != nil {
		return err
	}
	if !k.writable {
		return fmt.Errorf("write %q: %w", w.name, ErrDenied)
	}
	return k.reserve(w)
}

// reserve takes a name, so that nobody else is at it. Who is just putting something in its place, or
// removing it, is waited for: that lasts no longer than the disk takes.
func (k *keeper) reserve(w *writing) error {
	for {
		k.mu.Lock()
		if k.closed {
			k.mu.Unlock()
			return errClosed
		}
		other := k.writing[w.name]
		if other == nil {
			k.writing[w.name] = w
			k.mu.Unlock()
			return nil
		}
		done := other.done
		k.mu.Unlock()
		if done == nil {
			return fmt.Errorf("write %q: %w", w.name, ErrBusy)
		}
		<-done
	}
}

// vacate gives a name back under which nothing has happened that others are to know.
func (k *keeper) vacate(w *writing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.freeLocked(w)
}

// freeLocked gives a name back; who waits for it goes on.
func (k *keeper) freeLocked(w *writing) {
	if k.writing[w.name] == w {
		delete(k.writing, w.name)
	}
	if w.done != nil {
		close(w.done)
	}
}

// dropLocked takes the name from its writer, and says so.
func (k *keeper) dropLocked(w *writing, what Happening) {
	k.freeLocked(w)
	k.events.add(Event{What: what, Name: w.name})
}

// begun shows that a draft grows.
func (k *keeper) begun(w *writing, d draft) error {
	o := object.New(d.body())
	hold, err := o.Reader(0, 0)
	if err != nil {
		return err
	}
	k.mu.Lock()
	if k.closed {
		k.freeLocked(w)
		k.mu.Unlock()
		o.Abort(errClosed)
		d.discard()
		hold.Close()
		return errClosed
	}
	w.draft, w.object, w.hold = d, o, hold
	k.events.add(Event{What: Began, Name: w.name, Type: w.create.Type})
	if w.visible() {
		k.appearLocked(w.name)
	}
	k.mu.Unlock()
	k.events.tell()
	return nil
}

// settle begins the end of a writing; false when somebody else has ended it.
func (k *keeper) settle(w *writing) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.writing[w.name] != w {
		return false
	}
	w.done = make(chan struct{})
	return true
}

// settled ends it: what has happened, and whether something has got its place.
func (k *keeper) settled(w *writing, what Happening, placed bool) {
	k.mu.Lock()
	k.dropLocked(w, what)
	if placed {
		k.appearLocked(w.name)
	}
	k.mu.Unlock()
	w.hold.Close()
	k.events.tell()
	if placed {
		k.retain(w.name)
	}
}

// Write appends.
func (u *upload) Write(p []byte) (int, error) {
	n, err := u.w.object.Write(p)
	if err != nil {
		err = fault("write", u.w.name, err)
	}
	return n, err
}

// Written is how many bytes it has.
func (u *upload) Written() int64 {
	size, _ := u.w.object.Progress()
	return size
}

// End puts it in its place. Its readers have all there is, so they do not wait for the disk.
func (u *upload) End() (replaced bool, err error) {
	w := u.w
	if !u.k.settle(w) {
		return false, fmt.Errorf("write %q: it was removed meanwhile: %w", w.name, fs.ErrNotExist)
	}
	w.object.End()
	replaced, err = w.draft.place(w.object)
	if err != nil {
		w.draft.discard()
		u.k.settled(w, Aborted, false)
		return false, err
	}
	u.k.settled(w, Ended, true)
	return replaced, nil
}

// Abort breaks it off. What cannot be kept is not: its writer has gone, so there is nobody to tell.
func (u *upload) Abort(why error) { u.abort(why, u.w.create.Keep) }

// Discard breaks it off, and nothing of it is kept.
func (u *upload) Discard(why error) { u.abort(why, false) }

func (u *upload) abort(why error, keep bool) {
	w := u.w
	if !u.k.settle(w) {
		return
	}
	w.object.Abort(why)
	kept := false
	if keep && !w.create.Hidden && u.Written() > 0 {
		_, err := w.draft.place(w.object)
		kept = err == nil
	}
	if !kept {
		w.draft.discard()
	}
	u.k.settled(w, Aborted, kept)
}

// patch is a Patch of a keeper.
type patch struct {
	k *keeper
	w *writing
	revision
}

// Patch opens a complete object for parts of it to be written.
func (k *keeper) Patch(name string) (Patch, error) {
	w := &writing{name: name, began: time.Now()}
	if err := k.claim(w); err != nil {
		return nil, err
	}
	r, err := k.back.revise(name)
	if err != nil {
		k.vacate(w)
		return nil, err
	}
	k.mu.Lock()
	w.draft = r
	k.mu.Unlock()
	return &patch{k, w, r}, nil
}

// WriteAt writes.
func (p *patch) WriteAt(b []byte, off int64) (int, error) {
	n, err := p.revision.WriteAt(b, off)
	if err != nil {
		err = fault("write", p.w.name, err)
	}
	return n, err
}

// Size is how many bytes there are.
func (p *patch) Size() int64 { return p.size() }

// End puts it in its place.
func (p *patch) End() error {
	o := object.Of(p.body(), p.size())
	hold, err := o.Reader(0, 0)
	if err != nil {
		return err
	}
	p.w.hold = hold
	if !p.k.settle(p.w) {
		hold.Close()
		return errClosed
	}
	if _, err := p.place(o); err != nil {
		p.discard()
		p.k.vacate(p.w)
		hold.Close()
		return err
	}
	p.k.settled(p.w, Ended, true)
	return nil
}

// Abort leaves the old one.
func (p *patch) Abort() {
	if p.k.settle(p.w) {
		p.discard()
		p.k.vacate(p.w)
	}
	_ = p.body().Close() // of what nobody will read
}

// parent is the directory that a name stands in.
func parent(name string) string { return path.Dir(name) }
