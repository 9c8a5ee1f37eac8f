package channel

import (
	"time"

	"sluice/internal/media/ts"
)

// format is what the bytes of a channel are.
type format uint8

const (
	formatUnknown format = iota
	formatTS             // whole aligned packets; whatever else comes is dropped and counted
	formatRaw            // anything: relayed as it comes
)

func (f format) String() string { return [...]string{"", "ts", "raw"}[f] }

const (
	// A source that has shown no transport stream in so many bytes, in so many commits of
	// a packet or more, or for so long, is relayed as it is.
	undecidedBytes   = 64 << 10
	undecidedCommits = 8
	undecidedTime    = time.Second
	// Points where a client of a raw channel may begin, at least so far apart.
	rawMarkBytes = 64 << 10
)

// store is where the bytes go: a History, or a hold.
type store interface {
	Reserve(n int) []byte
	Commit(n int, now time.Duration)
	Write(b []byte, now time.Duration)
	Head() int64
}

// ingest takes the bytes of a source into a store: in whole packets, with the points
// where a client can begin. Aligned packets stay where they stand; anything else takes
// one copy through the framer.
//
// Offsets are those of the source's own stream, so that the tracker can follow it from
// one store to another.
type ingest struct {
	now     time.Duration
	store   store
	base    int64  // offset in the store of the source's first byte
	seam    *seam  // to be told to receivers; nil = nothing
	space   []byte // what reserve returned last
	format  format
	framer  ts.Framer
	tracker ts.Tracker

	pending []byte // received before the format was known
	commits int    // that pending came in
	first   time.Duration
	scratch []byte
	marked  int64 // offset of the last point of a raw stream
	points  [1]ts.Start
}

func (in *ingest) reserve(n int) []byte {
	in.space = in.store.Reserve(n)
	return in.space
}

// head is the offset behind the newest byte.
func (in *ingest) head() int64 { return in.store.Head() - in.base }

// commit takes n bytes and returns the points to start at that they complete, valid
// until the next call.
func (in *ingest) commit(n int) []ts.Start {
	b := in.space[:n]
	switch in.format {
	case formatTS:
		return in.commitTS(b)
	case formatRaw:
		at := in.head()
		in.store.Commit(n, in.now)
		return in.scanRaw(at)
	default:
		return in.decide(b)
	}
}

// commitTS takes b, which stands in the reserved space.
func (in *ingest) commitTS(b []byte) []ts.Start {
	if in.framer.Pass(b) {
		at := in.head()
		in.announce(b)
		in.store.Commit(len(b), in.now)
		return in.tracker.Scan(b, at)
	}
	in.scratch = in.framer.Append(in.scratch[:0], b)
	return in.take(in.scratch)
}

// take takes whole packets that stand elsewhere.
func (in *ingest) take(packets []byte) []ts.Start {
	at := in.head()
	in.announce(packets)
	in.store.Write(packets, in.now)
	return in.tracker.Scan(packets, at)
}

func (in *ingest) announce(packets []byte) {
	if in.seam != nil && !in.seam.announce(packets, in.now) {
		in.seam = nil
	}
}

// decide finds out what the source sends. Until it knows, nothing is taken.
func (in *ingest) decide(b []byte) []ts.Start {
	if len(in.pending) == 0 && ts.Aligned(b) {
		in.format = formatTS
		return in.commitTS(b)
	}
	if in.commits == 0 {
		in.first = in.now
	}
	in.pending = append(in.pending, b...)
	in.commits++
	in.scratch = in.framer.Append(in.scratch[:0], b)
	pending := in.pending
	switch {
	case in.framer.Synced():
		in.format, in.pending = formatTS, nil
		return in.take(in.scratch)
	case len(pending) >= undecidedBytes, in.now-in.first >= undecidedTime,
		in.commits >= undecidedCommits && len(pending) >= undecidedCommits*ts.PacketSize:
		return in.finish()
	}
	return nil
}

// finish gives up waiting for a transport stream: what is there is relayed as it is.
func (in *ingest) finish() []ts.Start {
	if in.format != formatUnknown || len(in.pending) == 0 {
		return nil
	}
	in.relay()
	at := in.head()
	in.store.Write(in.pending, in.now)
	in.pending = nil
	return in.scanRaw(at)
}

// relay takes everything as it comes, from here on.
func (in *ingest) relay() {
	in.format, in.framer = formatRaw, ts.Framer{}
	in.marked = in.head() - rawMarkBytes
}

// scanRaw returns the point at which the bytes of a raw stream begin that came last, when
// the one before is far enough away.
func (in *ingest) scanRaw(at int64) []ts.Start {
	if at-in.marked < rawMarkBytes {
		return nil
	}
	in.marked = at
	in.points[0] = ts.Start{Offset: at, Kind: ts.AnyPacket}
	return in.points[:]
}
