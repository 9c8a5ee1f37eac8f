package live

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/logs"
	"sluice/internal/receive"
	"sluice/internal/store"
)

// Uploads are the uploads that are channels while they last: nothing is stored. Engines watch them by name through a socket.
//
//	Put ─► feed ─► watcher ─► engine     a piece goes to all who watch before the next is read
//
// Nobody has to watch: what comes then is dropped, but for the beginning of an upload, which the first who watches gets.
type Uploads struct {
	receiver *receive.Receiver
	stall    time.Duration
	log      *slog.Logger

	mu    sync.Mutex
	feeds map[string]*feed // guarded by mu, with all that is in it: those with an upload or somebody who watches
}

// NewUploads makes them. An upload that an engine takes slowly waits for it, up to stall; then the engine is dropped. 0 = for ever.
func NewUploads(x *receive.Receiver, stall time.Duration, log *slog.Logger) *Uploads {
	return &Uploads{receiver: x, stall: stall, log: logs.Limited(log), feeds: make(map[string]*feed)}
}

// Upload is one that runs.
type Upload struct {
	Name     string
	Type     string // Content-Type
	Since    time.Time
	Received uint64 // bytes
	Watchers int    // engines that have it
}

// List is what runs, the oldest first.
func (u *Uploads) List() []Upload {
	list := u.running()
	slices.SortFunc(list, func(a, b Upload) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name)) })
	return list
}

func (u *Uploads) running() (list []Upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name, f := range u.feeds {
		if f.running {
			list = append(list, Upload{Name: name, Type: f.mediaType, Since: f.since, Received: f.received, Watchers: len(f.watchers)})
		}
	}
	return list
}

// Put takes an upload, PUT or POST, as the channel name, which has no slash in front, and answers; 416 with ranges, 409 while there is
// one. It returns when the upload has ended, with what it got, in bytes, and why it was not taken whole.
func (u *Uploads) Put(w http.ResponseWriter, r *http.Request, name string) (received int64, err error) {
	body, err := u.receiver.Body(w, r)
	if err == nil {
		received, err = u.take(body, name, r.Header.Get("Content-Type"))
	}
	if err != nil {
		err = fmt.Errorf("upload channel %s: %w", name, err)
		receive.Refuse(w, r, err)
		return received, err
	}
	receive.Taken(w, "/"+name, false)
	return received, nil
}

// take hands on the body of an upload to its end.
func (u *Uploads) take(body io.Reader, name, mediaType string) (received int64, err error) {
	f := u.begin(name, mediaType)
	if f == nil {
		return 0, store.ErrBusy
	}
	defer func() { u.end(name, f, err) }()
	b := make([]byte, bufferSize)
	for {
		n, err := body.Read(b)
		received += int64(n)
		if n > 0 {
			u.give(f, b[:n])
		}
		switch {
		case errors.Is(err, io.EOF):
			return received, nil
		case err != nil:
			return received, err
		}
	}
}

// begin has an upload run under a name; nil if one does already.
func (u *Uploads) begin(name, mediaType string) *feed {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.feedLocked(name)
	if f.running {
		return nil
	}
	f.begin(cmp.Or(mediaType, "application/octet-stream"))
	return f
}

func (u *Uploads) feedLocked(name string) *feed {
	f := u.feeds[name]
	if f == nil {
		f = &feed{watchers: make(map[*watcher]struct{})}
		u.feeds[name] = f
	}
	return f
}

// give hands a piece to all who watch; it is theirs until give returns.
func (u *Uploads) give(f *feed, p []byte) {
	u.mu.Lock()
	f.keep(p)
	all := slices.Collect(maps.Keys(f.watchers))
	u.mu.Unlock()
	for _, w := range all {
		w.hand(p)
	}
	for _, w := range all {
		w.await()
	}
}

func (u *Uploads) end(name string, f *feed, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f.end(err)
	delete(u.feeds, name)
}

// watch has one more watch that name, or wait for it.
func (u *Uploads) watch(name string) *watcher {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := newWatcher()
	u.feedLocked(name).add(w)
	return w
}

// leave ends a watch.
func (u *Uploads) leave(name string, w *watcher) {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(w.gone)
	if f := u.feeds[name]; f != nil { // if not, or if it is another one, it has ended already
		delete(f.watchers, w)
		if !f.running && len(f.watchers) == 0 {
			delete(u.feeds, name)
		}
	}
}

// ServeHTTP is the side of the engines: GET /NAME waits for an upload of that name, as long as the engine likes, and streams it: from its first
// byte if it is young and nobody watched it yet, else from now on. An upload that broke off breaks the answer: ServeHTTP
// panics with http.ErrAbortHandler.
func (u *Uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !httpx.Permit(w, r, http.MethodGet) {
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	x := u.watch(name)
	defer u.leave(name, x)
	if err := u.stream(w, r, x); err != nil {
		if errors.Is(err, errLate) {
			u.log.Warn("engine dropped from an upload", logs.Channel, "UPLOAD:///"+name, logs.Reason, "it took nothing for "+u.stall.String())
		}
		panic(http.ErrAbortHandler)
	}
}

// stream answers with an upload. It returns nil at its end.
func (u *Uploads) stream(w http.ResponseWriter, r *http.Request, x *watcher) error {
	o, err := newOutlet(w, u.stall)
	if err != nil {
		return err
	}
	select {
	case <-x.begun:
	case <-r.Context().Done():
		return r.Context().Err()
	}
	w.Header().Set("Content-Type", x.kind)
	first := x.first
	x.first = nil
	if err := o.pass(first, false); err != nil {
		return err
	}
	for {
		select {
		case p := <-x.pieces:
			if err := o.pass(p, false); err != nil {
				return err
			}
			x.taken <- struct{}{}
		case err := <-x.over:
			return err
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}
