package receive

import (
	"context"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	"sluice/internal/media/mp4"
	"sluice/internal/store"
)

// track is what one initialization is for: the directory it lies in with all below, since names of segments do not tell which of several
// initializations they need; or, with the keyword Streams(NAME) (Interface 1, 9), that one path, to which all of a track is sent.
type track struct {
	st    store.Store
	name  string
	alone bool // the path, not a directory
}

func trackOf(st store.Store, name string) track {
	if isKeyword(name) {
		return track{st, name, true}
	}
	return track{st, path.Dir(name), false}
}

// isKeyword says whether a path ends in Streams(NAME).
func isKeyword(name string) bool {
	last := path.Base(name)
	return strings.HasPrefix(last, "Streams(") && strings.HasSuffix(last, ")")
}

// maxTracks bounds what is remembered; what is forgotten is looked for in the store.
const maxTracks = 4096

// tracks remembers which have had their initialization.
type tracks struct {
	mu   sync.Mutex       // guards all below
	init map[track]string // the names of the objects
	more chan struct{}    // closed when there is one more; nil = nobody waits
}

func (t *tracks) note(k track, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.init == nil {
		t.init = map[track]string{}
	}
	if _, ok := t.init[k]; !ok && len(t.init) >= maxTracks {
		for any := range t.init {
			delete(t.init, any)
			break
		}
	}
	t.init[k] = name
	if t.more != nil {
		close(t.more)
		t.more = nil
	}
}

// next is closed when one more has come.
func (t *tracks) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.more == nil {
		t.more = make(chan struct{})
	}
	return t.more
}

func (t *tracks) has(k track) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.init[k]
	return ok
}

// forget says that an object is not there any more.
func (t *tracks) forget(st store.Store, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := trackOf(st, name); t.init[k] == name {
		delete(t.init, k)
	}
}

// initWait is how long media waits for its initialization: sources send the two on two connections, one right after the other, so
// that here the second may be first.
const initWait = time.Second

// await is initialized, after some patience.
func (x *Receiver) await(ctx context.Context, t track) bool {
	ctx, cancel := context.WithTimeout(ctx, x.initWait)
	defer cancel()
	for {
		more := x.tracks.next()
		if x.initialized(t) {
			return true
		}
		select {
		case <-more:
		case <-ctx.Done():
			return false
		}
	}
}

// initialized says whether the initialization of a track has come, to this process or to the store before.
func (x *Receiver) initialized(t track) bool {
	if t.alone {
		return x.tracks.has(t) || x.stored(t, t.name)
	}
	root, _ := x.point(t.name)
	for dir := t.name; ; dir = path.Dir(dir) {
		k := track{t.st, dir, false}
		if x.tracks.has(k) || x.search(k) {
			return true
		}
		if dir == root || dir == "." {
			return false
		}
	}
}

// maxSearch is how many objects of a directory are looked into.
const maxSearch = 32

// search looks into the objects of a directory that can be an initialization by their names.
func (x *Receiver) search(dir track) bool {
	list, err := dir.st.List(dir.name)
	if err != nil {
		return false // nothing can be there
	}
	looked := 0
	for _, i := range list {
		if i.Dir || i.Growing || !mayBeInit(i.Name) {
			continue
		}
		if x.stored(dir, path.Join(dir.name, path.Base(i.Name))) {
			return true
		}
		if looked++; looked == maxSearch {
			break
		}
	}
	return false
}

// mayBeInit says whether a name can be that of the initialization of a directory: without a number, or with "init" in it.
func mayBeInit(name string) bool {
	base := strings.ToLower(path.Base(name))
	switch {
	case store.Manifest(base), isKeyword(name):
		return false
	case isHeader(base), strings.Contains(base, "init"):
		return true
	}
	return !strings.ContainsAny(strings.TrimSuffix(base, path.Ext(base)), "0123456789")
}

// stored looks into an object, and notes it if it is the initialization of a track.
func (x *Receiver) stored(t track, name string) bool {
	i, err := t.st.Open(name)
	if err != nil {
		return false
	}
	defer i.Close()
	if i.Content == nil {
		return false
	}
	b, err := io.ReadAll(io.LimitReader(i.Content, lookSize))
	if err != nil {
		return false
	}
	if k, _ := mp4.KindOf(b); k != mp4.Init {
		return false
	}
	x.tracks.note(t, name)
	return true
}
