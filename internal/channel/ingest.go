package channel

import (
	"time"

	"sluice/internal/history"
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
	// A source that has shown no transport stream in so many bytes or commits, or for
	// so long, is relayed as it is.
	undecidedBytes   = 64 << 10
	undecidedCommits = 8
	undecidedTime    = time.Second
	// Points where a client of a raw channel may begin, at least so far apart.
	rawMarkBytes = 64 << 10
)

// ingest takes the bytes of a source into the history: in whole packets, with the
// points where a client can begin. Aligned packets are published where they stand;
// anything else takes one copy through the framer.
type ingest struct {
	now     time.Duration
	hist    *history.History
	space   []byte // what reserve returned last
	format  format
	framer  ts.Framer
	tracker ts.Tracker

	pending []byte // received before the format was known
	commits int    // that pending came in
	first   time.Duration
	scratch []byte
	marked  int64 // offset of the last mark of a raw channel
}

func (in *ingest) reserve(n int) []byte {
	in.space = in.hist.Reserve(n)
	return in.space
}

func (in *ingest) commit(n int) {
	b := in.space[:n]
	switch in.format {
	case formatTS:
		in.commitTS(b)
	case formatRaw:
		in.markRaw()
		in.hist.Commit(n, in.now)
	default:
		in.decide(b)
	}
}

// commitTS publishes b, which stands in the reserved space.
func (in *ingest) commitTS(b []byte) {
	if in.framer.Pass(b) {
		start := in.hist.Head()
		in.hist.Commit(len(b), in.now)
		in.mark(b, start)
		return
	}
	in.scratch = in.framer.Append(in.scratch[:0], b)
	in.publish(in.scratch)
}

// publish takes whole packets that stand elsewhere.
func (in *ingest) publish(packets []byte) {
	start := in.hist.Head()
	in.hist.Write(packets, in.now)
	in.mark(packets, start)
}

func (in *ingest) mark(packets []byte, start int64) {
	for _, s := range in.tracker.Scan(packets, start) {
		in.hist.Mark(history.Mark{Offset: s.Offset, Preamble: s.Tables})
	}
}

// decide finds out what the source sends. Until it knows, nothing is published.
func (in *ingest) decide(b []byte) {
	if len(in.pending) == 0 && ts.Aligned(b) {
		in.format = formatTS
		in.commitTS(b)
		return
	}
	if in.commits == 0 {
		in.first = in.now
	}
	in.pending = append(in.pending, b...)
	in.commits++
	in.scratch = in.framer.Append(in.scratch[:0], b)
	switch {
	case in.framer.Synced():
		in.format = formatTS
		in.publish(in.scratch)
	case len(in.pending) >= undecidedBytes || in.commits >= undecidedCommits || in.now-in.first >= undecidedTime:
		in.format = formatRaw
		in.framer = ts.Framer{}
		in.marked = -rawMarkBytes
		in.markRaw()
		in.hist.Write(in.pending, in.now)
	default:
		return
	}
	in.pending = nil
}

// markRaw marks the bytes that are about to be published.
func (in *ingest) markRaw() {
	if head := in.hist.Head(); head-in.marked >= rawMarkBytes {
		in.marked = head
		in.hist.Mark(history.Mark{Offset: head})
	}
}
