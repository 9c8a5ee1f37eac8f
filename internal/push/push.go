// Package push uploads to HTTP servers what grows here: objects of a store, files of a directory that
// somebody else writes, or a channel. Each object goes out as it comes, by PUT or POST, to one or more
// servers; a server that fails holds nobody up.
//
//	store.Watch, inotify ─► run ─► of each server: lanes ─► a worker each ─► server.send
//
// A lane is what is sent one after the other, on one connection that is used again and again: the segments of a
// representation (store.Representation), the versions of a manifest, what else there is, and removals. What comes while
// something else of its representation grows has a lane of its own. The order at one server is this:
//
//   - the segments of a representation come in the order that they came here;
//   - a manifest is sent when everything is there, or was given up, that was complete here before it: segment, key, playlist.
//     It waits for nothing that grows. Versions that come while an older one waits are passed over, but for the last;
//   - what is of one name comes in order, its removal as well.
package push

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sluice/internal/logs"
	"sluice/internal/store"
)

// Config is one push.
type Config struct {
	Name    string
	To      []string      // URLs, http or https: of a directory (the names of objects go behind it), or, of a channel, of the object. User and password may be in it
	Post    bool          // POST, not PUT
	Whole   bool          // cte=0: objects are sent when they are complete, with Content-Length; a channel cannot be
	Keep    bool          // ka: after a failure go on and try again; else the push ends
	Timeout time.Duration // a failure that lasts longer gives the object up; a server that takes nothing for so long has failed. If zero 30 s; negative never
	Tries   int           // of beginning one object at one server; if zero 10
	Delete  bool          // what is removed here is removed there (DELETE)
	Header  http.Header   // sent with each request
	Agent   string        // User-Agent; "" = sluice
	TLS     *tls.Config   // nil = the system's authorities
	Log     *slog.Logger  // nil = none
}

// What is meant by zero.
const (
	defaultTimeout = 30 * time.Second
	defaultTries   = 10
	defaultAgent   = "sluice"
)

// Report is what a push has done, for each server.
type Report struct {
	To      string // without credentials
	Objects uint64 // uploaded
	Bytes   uint64 // sent, also of what was begun anew
	Failed  uint64 // objects given up
	Retries uint64
	Queue   int    // that wait
	Error   string // the last one; "" = none since the last success
}

// Pusher pushes. One of Objects, Directory and Stream does all the work, one at a time.
type Pusher struct {
	conf     Config
	servers  []*server
	log      *slog.Logger
	watches  sync.Once // closes watching
	watching chan struct{}
}

// New makes a Pusher, or says what is wrong with c.
func New(c Config) (*Pusher, error) {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Tries == 0 {
		c.Tries = defaultTries
	}
	if c.Agent == "" {
		c.Agent = defaultAgent
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.To) == 0 {
		return nil, errors.New("it goes nowhere; want a URL such as http://HOST/live/")
	}
	if err := checkHeader(c.Header); err != nil {
		return nil, err
	}
	p := &Pusher{conf: c, log: c.Log.With(logs.Push, c.Name), watching: make(chan struct{})}
	for _, to := range c.To {
		s, err := newServer(&p.conf, to, p.log)
		if err != nil {
			return nil, err
		}
		p.servers = append(p.servers, s)
	}
	return p, nil
}

// Objects pushes what appears in a store from now on, until ctx ends: each object as it grows, on a connection of its representation
// (store.Retention says what that is), in order; LL parts and manifests beside. It ends early with an error when Keep is not set.
func (p *Pusher) Objects(ctx context.Context, st store.Store) error {
	r := p.begin(ctx, stored{st, p.conf.Whole})
	stop := st.Watch(func(ev store.Event) {
		if ev.What == store.Began && !seenGrowing(st, ev.Name) {
			return // its end says that it is there
		}
		r.take(ev)
	})
	p.watch()
	<-r.ctx.Done()
	stop()
	return r.end()
}

// Watching is closed when nothing is missed of what happens from then on, or when Directory has found that it cannot watch.
func (p *Pusher) Watching() <-chan struct{} { return p.watching }

func (p *Pusher) watch() { p.watches.Do(func() { close(p.watching) }) }

// seenGrowing says whether an object grows for all to see.
func seenGrowing(st store.Store, name string) bool {
	info, err := st.Stat(name)
	return err == nil && info.Growing
}

// Report tells what it has done so far.
func (p *Pusher) Report() []Report {
	list := make([]Report, len(p.servers))
	for i, s := range p.servers {
		list[i] = s.reported()
	}
	return list
}
