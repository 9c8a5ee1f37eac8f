package store

import (
	"slices"
	"sync"
	"sync/atomic"
)

// events tells watchers what happens, in order. Whoever adds one tells it, or the one who is telling
// already does: so a watcher may call the store, and nobody holds a lock while a watcher is called.
// As watchers do not block, what waits is what happens during one call.
type events struct {
	mu       sync.Mutex // guards what is below
	watchers []*watcher // replaced, never changed
	waiting  []Event
	telling  bool
}

type watcher struct {
	f       func(Event)
	stopped atomic.Bool
}

func (e *events) watch(f func(Event)) (stop func()) {
	w := &watcher{f: f}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watchers = append(slices.Clone(e.watchers), w)
	return func() {
		w.stopped.Store(true)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.watchers = slices.DeleteFunc(slices.Clone(e.watchers), func(other *watcher) bool { return other == w })
	}
}

// add puts an event behind those that wait to be told.
func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.watchers) > 0 {
		e.waiting = append(e.waiting, ev)
	}
}

// tell tells what waits, unless somebody does. It is called without a lock.
func (e *events) tell() {
	for {
		e.mu.Lock()
		if e.telling || len(e.waiting) == 0 {
			e.mu.Unlock()
			return
		}
		now, watchers := e.waiting, e.watchers
		e.waiting, e.telling = nil, true
		e.mu.Unlock()
		for _, ev := range now {
			for _, w := range watchers {
				if !w.stopped.Load() {
					w.f(ev)
				}
			}
		}
		e.mu.Lock()
		e.telling = false
		e.mu.Unlock()
	}
}
