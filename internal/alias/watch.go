package alias

import (
	"context"
	"errors"
	"os"
	"reflect"
	"sync"
	"time"
)

// Place is where a list is kept.
type Place struct {
	Where string                                  // a path, or a URL of http or https
	Load  func(ctx context.Context) (List, error) // reads it
}

// Watcher keeps lists as new as the files and URLs that they are from. Its methods are
// called from one goroutine at a time.
type Watcher struct {
	places  []Place
	poll    time.Duration
	refresh time.Duration
	failed  func(where string, err error)
	kept    []kept
}

// kept is the list of a Place as it was read last.
type kept struct {
	list List
	file os.FileInfo // nil = not there, or no file
	due  time.Time   // when a URL is read again
}

// retry is how soon a URL that could not be read is tried again.
const retry = 30 * time.Second

// NewWatcher makes a Watcher; Load is to be called next. Files are looked at each poll (if
// zero 2 s), URLs are read again each refresh (if zero never). failed, which may be nil, is
// told of each place that cannot be read: it keeps the list that it had.
func NewWatcher(places []Place, poll, refresh time.Duration, failed func(where string, err error)) *Watcher {
	if poll == 0 {
		poll = 2 * time.Second
	}
	if failed == nil {
		failed = func(string, error) {}
	}
	return &Watcher{places: places, poll: poll, refresh: refresh, failed: failed, kept: make([]kept, len(places))}
}

// Load reads all places at once, and returns their lists in the order of the places. The error is
// that of all that could not be read, whose lists are empty.
func (w *Watcher) Load(ctx context.Context) ([]List, error) {
	all := make([]error, len(w.places))
	var loading sync.WaitGroup
	for i := range w.places {
		w.kept[i].file = stamp(w.places[i].Where) // before it is read: what changes meanwhile is seen later
		loading.Go(func() { _, all[i] = w.load(ctx, i) })
	}
	loading.Wait()
	return w.lists(), errors.Join(all...)
}

// Run calls changed with all lists whenever one has become another, until ctx ends.
func (w *Watcher) Run(ctx context.Context, changed func([]List)) {
	ticker := time.NewTicker(w.poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if w.look(ctx) && ctx.Err() == nil {
			changed(w.lists())
		}
	}
}

// look reads what may have changed, and reports whether something did.
func (w *Watcher) look(ctx context.Context) bool {
	different := false
	for i, p := range w.places {
		now := stamp(p.Where)
		if !w.kept[i].isDue(p.Where, now) {
			continue
		}
		w.kept[i].file = now
		changed, err := w.load(ctx, i)
		if err != nil && ctx.Err() == nil {
			w.failed(p.Where, err)
		}
		different = different || changed
	}
	return different
}

// isDue says whether a list has to be read again, whose file looks so now.
func (k kept) isDue(where string, now os.FileInfo) bool {
	switch {
	case isURL(where):
		return !k.due.IsZero() && !time.Now().Before(k.due)
	case now == nil || k.file == nil:
		return now != k.file
	}
	return !os.SameFile(now, k.file) || !now.ModTime().Equal(k.file.ModTime()) || now.Size() != k.file.Size()
}

// stamp is what tells whether a file has changed.
func stamp(where string) os.FileInfo {
	if isURL(where) {
		return nil
	}
	info, err := os.Stat(where)
	if err != nil {
		return nil
	}
	return info
}

// load reads a place, and reports whether its list has become another.
func (w *Watcher) load(ctx context.Context, i int) (bool, error) {
	list, err := w.places[i].Load(ctx)
	k := &w.kept[i]
	switch {
	case w.refresh == 0:
		k.due = time.Time{}
	case err != nil:
		k.due = time.Now().Add(min(w.refresh, retry))
	default:
		k.due = time.Now().Add(w.refresh)
	}
	if err != nil || reflect.DeepEqual(list, k.list) {
		return false, err
	}
	k.list = list
	return true, nil
}

func (w *Watcher) lists() []List {
	lists := make([]List, len(w.kept))
	for i, k := range w.kept {
		lists[i] = k.list
	}
	return lists
}
