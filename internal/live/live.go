// Package live serves channels as objects of the web: a channel under a path for any number of clients (sink), with the
// metadata of ICY in its head and in its stream; a channel written into a growing object (record); and the other way
// round, an upload that becomes a channel (uploads).
package live

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"sluice/internal/receive"
	"sluice/internal/store"
)

// Channels gives the channels of this sluice. App connects it to gws.
type Channels interface {
	// Watch asks for a channel as a client does: first bytes that a decoder can begin with, then what comes. The stream ends
	// with io.EOF. An error that is the client's business is an *Unavailable.
	Watch(ctx context.Context, q Query) (*Stream, error)
}

// Query is which channel, and for whom.
type Query struct {
	Channel string // as a request of gws has it, without the slash: $news, udp/239.1.1.1:5000
	Client  string // address of the viewer, for limits, reports and logs; "" = nobody's, ourselves
	Agent   string // User-Agent of the viewer
}

// Stream is a channel that has begun.
type Stream struct {
	io.ReadCloser
	Type string // Content-Type
}

// Unavailable is why there is no stream, as the viewer is answered.
type Unavailable struct {
	Status int
	Reason string
	Retry  string // Retry-After; "" = none
}

func (u *Unavailable) Error() string { return u.Reason }

// Sink is a channel under a path.
type Sink struct {
	Channel string
	Type    string // Content-Type; "" = that of the channel
	Ends    bool   // the channel has an end (a file): once it was sent, the path is no longer available unless Reopen
	Reopen  bool
	Buffer  int64         // max_async_buf: a client that lets more bytes wait, after its burst, is disconnected; 0 = the channel's policy acts
	ICE     bool          // headers of ICY
	Name    string        // icy-name; "" = none
	Bitrate int           // icy-br, in kbit/s; 0 = measured once, if it can be
	Headers [][2]string   // ice-*: as they are
	Title   func() string // StreamTitle of in-band metadata; nil = Name. It is asked each time
}

// Player serves a Sink.
type Player struct{}

// NewPlayer makes a Player.
func NewPlayer(s Sink, c Channels, stall time.Duration, log *slog.Logger) *Player {
	panic("not built yet")
}

// ServeHTTP answers a GET or HEAD.
func (p *Player) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("not built yet") }

// Clients is how many there are.
func (p *Player) Clients() int { panic("not built yet") }

// Record writes a channel into an object of a store until the channel or ctx ends; the object is complete then.
func Record(ctx context.Context, c Channels, channel string, st store.Store, name string, again time.Duration) error {
	panic("not built yet")
}

// Uploads are the uploads that are channels while they last: nothing is stored. Engines watch them by name through a socket.
type Uploads struct{}

// NewUploads makes them. An upload that engines take slowly waits for them, up to stall.
func NewUploads(x *receive.Receiver, stall time.Duration, log *slog.Logger) *Uploads {
	panic("not built yet")
}

// Put takes an upload, PUT or POST, as the channel name; 416 with ranges, 409 while there is one. It returns when the upload has ended.
func (u *Uploads) Put(w http.ResponseWriter, r *http.Request, name string) (received int64, err error) {
	panic("not built yet")
}

// ServeHTTP is the side of the engines: GET /NAME waits for an upload of that name and streams it, from its first byte if nobody watched
// it yet, else from now on.
func (u *Uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("not built yet") }

// Active is how many there are.
func (u *Uploads) Active() int { panic("not built yet") }
