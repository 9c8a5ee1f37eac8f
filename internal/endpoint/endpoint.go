// Package endpoint is the contract between the ends of a stream and the rooms that
// the data passes. Each kind of end is a folder of its own and passes the suite in
// endtest; nothing behind this contract knows which kind it has.
package endpoint

import (
	"sluice/internal/report"
	"sluice/internal/uri"
)

// Opener opens the source that an end names.
type Opener interface {
	// Open may take time (names, interfaces, memberships) and is called outside the
	// loop, from any goroutine. The error says what cannot be had, for the log and for
	// the client that asked.
	Open(end uri.End) (Source, error)
}

// Source is an open source. It belongs to the loop: after Open, all methods are
// called from one goroutine at a time.
type Source interface {
	// FD is the descriptor to wait on: readable when Drain has something to move.
	FD() int
	// Drain moves what has arrived into w, in the order of arrival and without
	// blocking. It returns early after about a MiB, so that one source cannot hold the
	// loop; what is left keeps FD readable. An error means that this source will never
	// deliver again.
	Drain(w Writer) error
	// Counters tells what has been met since Open; the fields about the stream inside
	// (sync, continuity, transport) are not the source's and stay zero.
	Counters() report.Source
	// Close frees the descriptor and leaves what was joined.
	Close() error
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
