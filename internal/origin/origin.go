// Package origin is the HTTP live origin: directories and memory that are read and written, uploads that are read while they
// come, channels under a path, and uploads that are channels.
//
//	connection ─► limits ─► log ─► CORS ─► who (creds, hook, script) ─► where (routes) ─► serve, receive, live
package origin

import (
	"context"
	"errors"
	"log/slog"

	"sluice/internal/live"
	"sluice/internal/report"
)

// Options are what an origin has of its process.
type Options struct {
	Doors    []Door
	Uploads  Door          // where engines fetch uploads that are channels; its Listener is nil when there are none
	Channels live.Channels // nil = there are none: sinks answer 503
	Log      *slog.Logger
	Requests func(line string) // lines of the request log; nil = Log
	Version  string
}

// Origin is an origin. Run does all the work.
type Origin struct{}

// New makes an Origin of c. It owns the doors once Run is called.
func New(c Config, o Options) (*Origin, error) { return nil, errors.New("the origin is not built yet") }

// Run serves until stop ends: then no request is taken, those that are being answered have until kill. It returns why it ended before that.
func (o *Origin) Run(stop, kill context.Context) error {
	return errors.New("the origin is not built yet")
}

// Reload has c hold for the requests that come from now on; connections stay. Doors, and what a request is in the middle of, stay as they are.
// Records and pushes that are the same in both go on; stores that are not in c any more are the caller's to close, when nobody has them.
func (o *Origin) Reload(c Config) error { return errors.New("the origin is not built yet") }

// Status tells what it does.
func (o *Origin) Status() report.Origin { return report.Origin{} }
