// Package push uploads to HTTP servers what grows here: objects of a store, files of a directory that
// somebody else writes, or a channel. Each object goes out as it comes, by PUT or POST, to one or more
// servers; a server that fails holds nobody up.
package push

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"time"

	"sluice/internal/store"
)

// Config is one push.
type Config struct {
	Name    string
	To      []string      // URLs, http or https: of a directory (the names of objects go behind it), or, of a channel, of the object. User and password may be in it
	Post    bool          // POST, not PUT
	Whole   bool          // cte=0: objects are buffered and sent with Content-Length
	Keep    bool          // ka: after a failure go on and try again; else the push ends
	Timeout time.Duration // a failure that lasts longer gives the object up; a server that takes nothing for so long has failed. If zero 30 s; negative never
	Tries   int           // of beginning one object at one server; if zero 10
	Delete  bool          // what is removed here is removed there (DELETE)
	Header  http.Header   // sent with each request
	Agent   string        // User-Agent
	TLS     *tls.Config   // nil = the system's authorities
	Log     *slog.Logger
}

// Report is what a push has done, for each server.
type Report struct {
	To      string // without credentials
	Objects uint64 // uploaded
	Bytes   uint64
	Failed  uint64 // objects given up
	Retries uint64
	Queue   int    // that wait
	Error   string // the last one; "" = none since the last success
}

// Pusher pushes. Run does all the work.
type Pusher struct{}

// New makes a Pusher, or says what is wrong with c.
func New(c Config) (*Pusher, error) { panic("not built yet") }

// Objects pushes what appears in a store from now on, until ctx ends: each object as it grows, on a connection of its representation
// (store.Retention says what that is), in order; LL parts and manifests beside. It ends early with an error when Keep is not set.
func (p *Pusher) Objects(ctx context.Context, st store.Store) error { panic("not built yet") }

// Directory pushes what other programs write into a directory, from now on: files as they grow, whole when they were moved into place.
func (p *Pusher) Directory(ctx context.Context, path string) error { panic("not built yet") }

// Stream pushes what open gives as one object, of that media type: opened again when it has failed and Keep is set.
func (p *Pusher) Stream(ctx context.Context, mediaType string, open func(context.Context) (io.ReadCloser, error)) error {
	panic("not built yet")
}

// Report tells what it has done so far.
func (p *Pusher) Report() []Report { panic("not built yet") }
