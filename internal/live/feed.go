package live

import "time"

// feed is one name of Uploads: the upload that runs under it, if one does, and who watches it, or waits for it. All of it is
// guarded by Uploads.mu.
type feed struct {
	running   bool
	mediaType string // of the upload
	since     time.Time
	received  uint64 // bytes
	first     []byte // its first bytes: all there were, as long as whole holds
	whole     bool   // nobody has watched it, and it is young
	watchers  map[*watcher]struct{}
}

// maxFirst is how much of an upload is kept for the first who watches it, in bytes.
const maxFirst = 1 << 20

// watcher is one request of an engine. Uploads.Put hands it a piece and waits until it is taken, or the watcher has gone.
type watcher struct {
	begun  chan struct{} // closed when there is an upload: these are set
	kind   string        // its Content-Type
	first  []byte        // what came before
	pieces chan []byte
	taken  chan struct{}
	over   chan error    // one: how the upload has ended, nil = in order
	gone   chan struct{} // closed when it watches no more
}

func newWatcher() *watcher {
	return &watcher{
		begun: make(chan struct{}), pieces: make(chan []byte), taken: make(chan struct{}, 1),
		over: make(chan error, 1), gone: make(chan struct{}),
	}
}

// begin has an upload run for all who waited for one.
func (f *feed) begin(mediaType string) {
	f.running, f.mediaType, f.since = true, mediaType, time.Now()
	f.whole = len(f.watchers) == 0
	for w := range f.watchers {
		f.start(w)
	}
}

func (f *feed) start(w *watcher) {
	w.kind, w.first = f.mediaType, f.first
	f.first, f.whole = nil, false
	close(w.begun)
}

// add has one more watch.
func (f *feed) add(w *watcher) {
	f.watchers[w] = struct{}{}
	if f.running {
		f.start(w)
	}
}

// keep takes note of a piece, and keeps it for the first who may watch.
func (f *feed) keep(p []byte) {
	f.received += uint64(len(p))
	switch {
	case !f.whole:
	case len(f.first)+len(p) > maxFirst:
		f.first, f.whole = nil, false
	default:
		f.first = append(f.first, p...)
	}
}

// end says how the upload has ended; then nobody watches any more.
func (f *feed) end(err error) {
	f.running, f.first, f.whole = false, nil, false
	for w := range f.watchers {
		w.over <- err
	}
	clear(f.watchers)
}

// hand gives a piece to the watcher, and waits until it has begun to take it.
func (w *watcher) hand(p []byte) {
	select {
	case w.pieces <- p:
	case <-w.gone:
	}
}

// await waits until the watcher needs the piece no more.
func (w *watcher) await() {
	select {
	case <-w.taken:
	case <-w.gone:
	}
}
