// Package origin is the HTTP live origin: directories and memory that are read and written, uploads that are read while they
// come, channels under a path, and uploads that are channels.
//
//	connection ─► limits ─► log ─► CORS ─► who (creds, hook, script) ─► where (routes) ─► serve, receive, live
//
// crowd.go and conn.go are the connections, visit.go is a request in the order in which it is looked at, site.go a
// configuration made ready, jobs.go what runs beside the requests.
package origin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/live"
	"sluice/internal/logs"
	"sluice/internal/receive"
)

// Options are what an origin has of its process.
type Options struct {
	Doors    []Door
	Uploads  Door          // where engines fetch uploads that are channels; its Listener is nil when there are none
	Channels live.Channels // nil = there are none: sinks and records are errors of the configuration
	Log      *slog.Logger
	Requests func(line string) // lines of the request log, without a time; it must not block. nil = Log
	Version  string
}

// Origin is an origin. Run does all the work.
type Origin struct {
	opts    Options
	log     *slog.Logger
	limited *slog.Logger // for what clients cause
	started time.Time
	idle    time.Duration // Config.Idle, of New
	crowd   *crowd
	silent  *silent
	counts  counts
	uploads *live.Uploads
	group   sync.WaitGroup // goroutines of Run

	ending context.Context // over when no request is taken any more: nobody waits, records and pushes end
	end    context.CancelFunc

	reloading sync.Mutex // held by Reload, which may take its time

	mu     sync.Mutex           // guards what follows, the storing of site, and site.inUse
	site   atomic.Pointer[site] // what holds now
	jobs   map[any]*job         // by what they do
	begun  bool                 // Run has
	active int                  // requests that are being answered
	served bool                 // there was one
	over   chan struct{}        // Config.Quit: closed when nothing is left to do
	empty  chan struct{}        // once Run waits for the last request: closed when it has ended
}

// New makes an Origin of c. It owns the doors once Run is called.
func New(c Config, o Options) (*Origin, error) {
	if o.Log == nil {
		return nil, errors.New("the origin needs a log")
	}
	or := &Origin{
		opts: o, log: o.Log, limited: logs.Limited(o.Log), started: time.Now(), idle: c.Idle,
		crowd: newCrowd(), silent: newSilent(), jobs: make(map[any]*job), over: make(chan struct{}),
		uploads: live.NewUploads(receive.New(receive.Options{Stall: c.Stall}), c.Stall, o.Log),
	}
	or.ending, or.end = context.WithCancel(context.Background())
	s, err := or.newSite(c, nil)
	if err != nil {
		or.end()
		return nil, err
	}
	or.site.Store(s)
	return or, nil
}

// Reload has c hold for the requests that come from now on; connections stay. Doors, and what a request is in the middle of, stay as they are,
// and so do Idle, and Stall of uploads that are channels.
// Records and pushes that are the same in both go on; stores that are not in c any more are the caller's to close, when nobody has them.
// With an error all is as it was.
func (o *Origin) Reload(c Config) error {
	o.reloading.Lock()
	defer o.reloading.Unlock()
	old := o.site.Load()
	c.Idle = o.idle
	s, err := o.newSite(c, old)
	if err != nil {
		return err
	}
	if o.exchange(s) {
		old.close(s)
	}
	return nil
}

// exchange has s hold, and says whether nobody has the old one any more.
func (o *Origin) exchange(s *site) (unused bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	unused = o.site.Load().inUse == 0
	o.site.Store(s)
	if o.begun && o.ending.Err() == nil {
		o.exchangeJobsLocked(s)
	}
	return unused
}

// enter begins a request: with the site that holds now.
func (o *Origin) enter() *site {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active++
	o.served = true
	s := o.site.Load()
	s.inUse++
	return s
}

// leave ends it. The last request of a site that holds no more closes it.
func (o *Origin) leave(s *site) {
	if now := o.left(s); now != s {
		s.close(now)
	}
}

// left counts a request out. It returns the site that holds now if s is to be closed, else s.
func (o *Origin) left(s *site) *site {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active--
	s.inUse--
	if o.active == 0 && o.empty != nil {
		close(o.empty)
		o.empty = nil
	}
	o.checkOverLocked()
	if s.inUse > 0 {
		return s
	}
	return o.site.Load()
}

// checkOverLocked ends Run when Config.Quit wants it: all that was to come has come and gone, and nobody has anything of it.
func (o *Origin) checkOverLocked() {
	s := o.site.Load()
	if !s.conf.Quit || o.active > 0 || isClosed(o.over) {
		return
	}
	inputs := len(o.jobs) + len(s.players)
	for _, j := range o.jobs {
		if !isClosed(j.done) {
			return
		}
	}
	for _, p := range s.players {
		if !p.Over() {
			return
		}
	}
	if o.begun && (inputs > 0 || o.served) {
		close(o.over)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
