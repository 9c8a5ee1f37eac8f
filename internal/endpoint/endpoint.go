// Package endpoint is the contract between the ends of a stream and the rooms that
// the data passes. Each kind of end is a folder of its own and passes the suite in
// endtest; nothing behind this contract knows which kind it has.
package endpoint

import (
	"context"
	"errors"
	"time"

	"sluice/internal/lineup"
	"sluice/internal/report"
	"sluice/internal/uri"
)

// Opener opens the source that an end names.
type Opener interface {
	// Open may take time (names, connections, memberships) and is called outside the loop,
	// from any goroutine; the end of ctx ends it, not the source that it has opened. The
	// error says what cannot be had, for the log and for the client that asked; it may wrap a
	// *Refusal.
	Open(ctx context.Context, want Want) (Source, error)
}

// Want is a source and what there is to be known of its channel.
type Want struct {
	Source   uri.Source
	Trusted  bool          // the operator's: the lists for what clients name do not apply
	NotLocal bool          // but nothing of this machine, or of this link only
	Growth   time.Duration // how long the end of a file that is not paced is waited at for more; 0 = not at all
	Pace     lineup.Pace   // at what speed a file is delivered
	Repeat   bool          // a file that is paced begins anew at its end, over and over, as a broadcast would; else it is delivered once
	Patience time.Duration // how long a peer may take to connect and to begin an answer; 0 = DefaultPatience
}

// DefaultPatience is the patience with a peer where none is said.
const DefaultPatience = 10 * time.Second

// Refusal is why something cannot be opened that is the asking client's business.
type Refusal struct {
	Status int   // of HTTP: 403 not permitted, 404 not there, 409 there already, 502, 503, 504
	Err    error // one line, without credentials or queries
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// ErrEnd is what Drain returns, wrapped or not, when the source has delivered all that it
// had and ended in good order: a file, an answer that was complete. What was drained with
// it counts.
var ErrEnd = errors.New("the source has ended")

// ErrCut is what Drain returns, wrapped or not, when the source broke off within something
// that has a beginning and an end: opened again it would begin anew, and who got the first
// part would get it twice.
var ErrCut = errors.New("what has a length is not begun again")

// Source is an open source. It belongs to the loop: after Open, all methods are
// called from one goroutine at a time.
type Source interface {
	// FDs are the descriptors to wait on, always the same: one of them is readable when
	// Drain has something to move.
	FDs() []int
	// Drain moves what has arrived into w, in the order of the stream and without
	// blocking. now is a monotonic time. It returns early after about a MiB, so that
	// one source cannot hold the loop; what is left keeps a descriptor readable. An
	// error means that this source will never deliver again.
	Drain(now time.Duration, w Writer) error
	// Holding says that Drain kept something back (packets behind a gap that may still
	// be filled): it wants to be called within some milliseconds though nothing arrives.
	Holding() bool
	// Counters tells what has been met since Open; the fields about the stream inside
	// (sync, continuity, transport) are not the source's and stay zero.
	Counters() report.Source
	// Close frees the descriptor and leaves what was joined.
	Close() error
}

// Patient is a Source whose sender waits while it is not drained: nothing is lost by
// leaving it alone. What clients read from it is read no faster than the fastest of them
// takes it.
type Patient interface {
	Source
	// Waits reports that it does; it never changes.
	Waits() bool
}

// Member is a Source that has joined something and has to stay in it. Both methods are
// called like those of Source, and do not wait.
type Member interface {
	// Renew tells the network that the groups are still wanted, without leaving them.
	Renew() error
	// Rejoin joins again what the system has dropped, after interfaces have changed. An
	// error says what is not joined now; Rejoin will be called again.
	Rejoin() error
}

// Writer is where a source puts the bytes: straight into the channel's history, so
// that they are copied once, by the kernel.
type Writer interface {
	// Reserve returns at least n bytes of free space, valid until the next call.
	Reserve(n int) []byte
	// Commit takes the first n bytes of the space reserved last into the channel.
	Commit(n int)
}

// MaxDatagram is the longest datagram there is, and the most a source may reserve.
const MaxDatagram = 64 << 10
