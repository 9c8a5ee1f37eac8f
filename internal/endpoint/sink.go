package endpoint

import (
	"context"
	"fmt"

	"sluice/internal/uri"
)

// SinkOpener opens the end that a session's bytes go to when that is not the connection
// of the client who asked.
type SinkOpener interface {
	// OpenSink may take time and is called outside the loop, from any goroutine; the end of
	// ctx ends it, not the sink that it has opened. The error may wrap a *Refusal. Nothing is
	// sent, and no file is made or emptied, before the first byte of the stream is there.
	OpenSink(ctx context.Context, to Target) (Sink, error)
}

// Target is the far end of a session.
type Target struct {
	End     uri.End
	Write   Write  // of a file
	Method  string // of an HTTP request: PUT or POST; "" = PUT
	Bitrate int64  // of UDP: bits a second at which the bytes are sent; 0 = at the clock (PCR) of the stream
	Trusted bool   // the operator's: the lists for what clients name do not apply
}

// Write says what becomes of a file that exists.
type Write uint8

// The ways to write.
const (
	WriteNew      Write = iota // refused with 409
	WriteAppend                // goes on at its end
	WriteTruncate              // is emptied
)

// String is what ParseWrite reads.
func (w Write) String() string {
	switch w {
	case WriteAppend:
		return "append"
	case WriteTruncate:
		return "truncate"
	}
	return "new"
}

// ParseWrite reads a way to write.
func ParseWrite(s string) (Write, error) {
	for _, w := range []Write{WriteNew, WriteAppend, WriteTruncate} {
		if w.String() == s {
			return w, nil
		}
	}
	return 0, fmt.Errorf("bad way to write %q: want new, append or truncate", s)
}

// Sink is an open target. Its bytes come through a socket, as those of any client go: the
// loop writes into one end and knows nothing of what is behind the other.
type Sink interface {
	// Socket is a connected, non-blocking stream socket; it belongs to the caller, who
	// closes it, or shuts down its writing side when the stream is over. Called once.
	Socket() int
	// Wait returns when the target has got all that was written before the end, with nil;
	// or when the target failed (the socket then breaks for its writer), with what happened:
	// one line, without credentials or queries.
	// Where the socket is the target's own connection the system tells one party only: a writer
	// that was told of the failure itself may find nil here.
	Wait() error
	// Close gives up what was not delivered yet, ends Wait, and frees all but Socket.
	Close() error
}
