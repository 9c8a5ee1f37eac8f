package store

import "sync"

// types remembers what Content-Type uploaders gave: of the newest maxTypes names at least, of twice as many at most.
type types struct {
	mu       sync.Mutex // guards what is below
	new, old map[string]typed
}

const maxTypes = 4096

// typed is a type, and the tag of the object it was given for.
type typed struct{ tag, kind string }

func newTypes() *types { return &types{new: map[string]typed{}} }

func (t *types) set(name, tag, kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.old, name)
	if kind == "" {
		delete(t.new, name)
		return
	}
	t.new[name] = typed{tag, kind}
	if len(t.new) > maxTypes {
		t.new, t.old = map[string]typed{}, t.new
	}
}

// of is the type of what has that tag.
func (t *types) of(name, tag string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, ok := t.new[name]
	if !ok {
		x = t.old[name]
	}
	if x.tag != tag {
		return ""
	}
	return x.kind
}

func (t *types) forget(name string) { t.set(name, "", "") }
