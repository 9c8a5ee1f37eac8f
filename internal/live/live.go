// Package live serves channels as objects of the web: a channel under a path for any number of clients (Player), with the
// metadata of ICY in its head and in its stream; a channel written into a growing object (Recorder); and the other way
// round, an upload that becomes a channel (Uploads).
package live

import (
	"context"
	"io"
)

// Channels gives the channels of this sluice. App connects it to gws.
type Channels interface {
	// Watch asks for a channel as a client does: first bytes that a decoder can begin with, then what comes. An error that
	// is the client's business is an *Unavailable.
	Watch(ctx context.Context, q Query) (*Stream, error)
}

// Query is which channel, and for whom.
type Query struct {
	Channel string // as a request of gws has it, without the slash: $news, udp/239.1.1.1:5000
	Client  string // address and port of the viewer, for limits, reports and logs; "" = nobody's, ourselves
	Agent   string // User-Agent of the viewer
}

// Stream is a channel that has begun. Its Read ends with io.EOF when the channel is over, and with any other error when it was
// broken off; Close, from any goroutine, ends a Read and a Wait that wait.
type Stream struct {
	io.ReadCloser
	Type string       // Content-Type
	Wait func() error // returns when a Read would not wait, so that nobody holds a buffer meanwhile; nil = it cannot be told
}

// wait waits for bytes, or for the end, as far as that is possible without a buffer. What is wrong the next Read says.
func (s *Stream) wait() {
	if s.Wait != nil {
		_ = s.Wait()
	}
}

// Unavailable is why there is no stream, as the viewer is answered.
type Unavailable struct {
	Status int
	Reason string
	Retry  string // Retry-After; "" = none
}

func (u *Unavailable) Error() string { return u.Reason }
