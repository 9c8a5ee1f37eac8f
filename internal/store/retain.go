package store

import (
	"io"
	"path"
)

// maxManifest bounds what is read of a manifest, in bytes; of a longer one nothing is known.
const maxManifest = 1 << 20

// retain takes note of what has got its place, and removes what is too old now.
func (k *keeper) retain(name string) {
	if Manifest(name) {
		k.readManifest(name)
		return
	}
	representation, _, ok := Representation(name)
	if !ok {
		return
	}
	k.mu.Lock()
	limited := k.retention.keep(path.Dir(name)) > 0
	follows := k.retention.follows(representation)
	if !limited {
		k.retention.drop(representation)
	}
	k.mu.Unlock()
	if !limited {
		return
	}
	var old []string
	if !follows {
		old = k.back.siblings(representation)
	}
	for _, gone := range k.expire(representation, name, old) {
		k.clear(gone)
	}
	k.events.tell()
}

// expire adds a segment, behind old ones that were there before, and takes the names of those that are too many.
func (k *keeper) expire(representation, name string, old []string) []*writing {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.retention.follows(representation) {
		for _, sibling := range old {
			k.retention.add(sibling)
		}
	}
	k.retention.add(name)
	return k.seizeLocked(k.retention.expire(representation, k.inUseLocked))
}

// evict removes the oldest segment of all; false when none may go.
func (k *keeper) evict() bool {
	k.mu.Lock()
	seized := k.seizeLocked(k.retention.evict(k.inUseLocked))
	k.mu.Unlock()
	for _, w := range seized {
		k.clear(w)
	}
	k.events.tell()
	return len(seized) > 0
}

func (k *keeper) inUseLocked(name string) bool { return k.reading[name] > 0 || k.writing[name] != nil }

// seizeLocked takes names that are not in use.
func (k *keeper) seizeLocked(names []string) []*writing {
	var all []*writing
	for _, name := range names {
		w := &writing{name: name, done: make(chan struct{})}
		k.writing[name] = w
		all = append(all, w)
	}
	return all
}

// clear removes what was seized. What cannot be removed is not tried again: that somebody else has removed it is the usual reason.
func (k *keeper) clear(w *writing) {
	err := k.back.remove(w.name)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.freeLocked(w)
	if err == nil {
		k.events.add(Event{What: Removed, Name: w.name})
	}
}

// readManifest learns the time shift of a manifest that has come.
func (k *keeper) readManifest(name string) {
	k.mu.Lock()
	reads := k.retention.reads()
	k.mu.Unlock()
	if !reads {
		return
	}
	segments := 0
	if it, err := k.back.open(name); err == nil {
		text, err := io.ReadAll(io.LimitReader(it.Content, maxManifest+1))
		if err == nil && len(text) <= maxManifest {
			segments = timeShift(name, text)
		}
		_ = it.Close() // it was only read
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retention.manifest(name, segments)
}
