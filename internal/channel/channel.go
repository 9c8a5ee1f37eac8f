// Package channel is one source's stream as clients see it: what the bytes are, where
// a client can begin, and how long the channel lives.
//
// The life of a channel:
//
//	           first data             last client leaves
//	joining ───────────────► live ◄──────────────────────► lingering
//	   │ no data for NoData    │ no data for NoData    client comes │
//	   │ source fails          │ source fails                       │ Linger is over
//	   ▼                       ▼                                    ▼
//	 ended (waiting clients    ended (clients get what is           ended (source closed,
//	 are refused)              left, then the end)                  group left)
//
// A Channel decides and remembers; it opens nothing, waits for nothing and takes the
// time as a parameter. The loop that owns it does the rest.
package channel

import (
	"time"

	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
	"sluice/internal/report"
)

// State is where a channel is in its life.
type State uint8

// The states, drawn above.
const (
	Joining State = iota
	Live
	Lingering
	Ended
)

// String is the name in reports.
func (s State) String() string {
	return [...]string{"joining", "live", "lingering", "ended"}[s]
}

// Reason says why a client or a channel is gone. The names stand in logs, reports and
// on the wire between engine and gws.
type Reason uint8

// The reasons.
const (
	None         Reason = iota
	ClientGone          // the client closed or reset its connection
	ClientStuck         // the client took nothing for the stall time
	NoData              // the source delivered nothing for the no-data time
	SourceFailed        // the source could not be opened, or broke
	Unused              // no client for the linger time
	Shutdown            // the engine ends
)

// String is the fixed name of the reason.
func (r Reason) String() string {
	return [...]string{"", "client gone", "client stuck", "no data", "source failed", "unused", "shutdown"}[r]
}

// Channel is one channel. Make it with New; its owner is the loop.
type Channel struct {
	lineup.Channel

	opened   time.Duration
	lastData time.Duration
	idle     time.Duration // since when there is no client
	clients  int
	ended    bool
	endedAt  time.Duration

	hist  *history.History
	in    ingest
	bytes uint64
}

// New makes a channel that opens at now, with no client.
func New(conf lineup.Channel, h *history.History, now time.Duration) *Channel {
	c := &Channel{Channel: conf, hist: h, opened: now, lastData: now, idle: now}
	c.in.hist = h
	return c
}

// History is the window that clients read.
func (c *Channel) History() *history.History { return c.hist }

// State is where the channel is in its life.
func (c *Channel) State() State {
	switch {
	case c.ended:
		return Ended
	case c.bytes == 0:
		return Joining
	case c.clients == 0:
		return Lingering
	default:
		return Live
	}
}

// Join counts a client in.
func (c *Channel) Join() { c.clients++ }

// Leave counts a client out, at now.
func (c *Channel) Leave(now time.Duration) {
	c.clients--
	c.idle = now
}

// Clients is how many have joined and not left.
func (c *Channel) Clients() int { return c.clients }

// End closes the channel at now: nothing is received any more.
func (c *Channel) End(now time.Duration) { c.ended, c.endedAt = true, now }

// EndedFor is for how long the channel has been ended; 0 while it is not.
func (c *Channel) EndedFor(now time.Duration) time.Duration {
	if !c.ended {
		return 0
	}
	return now - c.endedAt
}

// Overdue says why the channel has to end at now; None means that it goes on.
func (c *Channel) Overdue(now time.Duration) Reason {
	switch {
	case c.ended:
		return None
	case c.NoData > 0 && now-c.lastData >= c.NoData:
		return NoData
	case c.clients == 0 && !c.Pinned && now-c.idle >= c.Linger:
		return Unused
	}
	return None
}

// At sets the time of the bytes that come next through Reserve and Commit.
func (c *Channel) At(now time.Duration) { c.in.now = now }

// Reserve implements endpoint.Writer.
func (c *Channel) Reserve(n int) []byte { return c.in.reserve(n) }

// Commit implements endpoint.Writer.
func (c *Channel) Commit(n int) {
	if n == 0 {
		return
	}
	before := c.hist.Head()
	c.in.commit(n)
	c.bytes = uint64(c.hist.Head())
	if c.hist.Head() > before || c.in.format == formatUnknown { // garbage is silence
		c.lastData = c.in.now
	}
}

// Oldest is where a client that waited for the first byte begins; ok is false while
// there is none.
func (c *Channel) Oldest() (m history.Mark, ok bool) {
	return history.Mark{Offset: c.hist.Tail()}, c.bytes > 0
}

// Start is where a client that joins now begins: the newest point where a decoder can
// start, with the tables that it needs first. Where the window has none it is the
// oldest byte of a channel that is still at its beginning, else the newest. ok is
// false while nothing has come.
func (c *Channel) Start() (m history.Mark, ok bool) {
	if m, ok = c.hist.Latest(); ok {
		return m, true
	}
	if c.hist.Tail() > 0 {
		return history.Mark{Offset: c.hist.Head()}, true
	}
	return c.Oldest()
}

// Skip is where a client at off goes on when the window is about to begin at tail,
// beyond it. cut is the rest of the packet that its last send cut in two, to be sent
// before anything else.
func (c *Channel) Skip(off, tail int64) (cut []byte, to history.Mark) {
	if c.in.format == formatTS {
		if part := int(off % ts.PacketSize); part != 0 {
			for _, piece := range c.hist.Slices(nil, off, ts.PacketSize-part) {
				cut = append(cut, piece...)
			}
		}
	}
	to, ok := c.hist.Latest()
	if !ok || to.Offset < tail {
		to = history.Mark{Offset: c.hist.Head()}
	}
	return cut, to
}

// Report fills in what the channel knows of itself; src are its source's counters.
func (c *Channel) Report(src report.Source) report.Channel {
	stats := c.in.tracker.Stats()
	src.SyncLost = c.in.framer.SyncLosses()
	src.Skipped = c.in.framer.Skipped()
	src.Continuity = stats.Continuity
	src.Transport = stats.TransportErrors
	r := report.Channel{
		Name: c.Name, Tag: c.Tag(), Pinned: c.Pinned, State: c.State().String(), Format: c.in.format.String(),
		Bytes: c.bytes, History: uint64(c.hist.Held()), Sources: []report.Source{src},
		Streams: []report.Stream{}, Clients: []report.Client{},
	}
	for _, s := range c.in.tracker.Streams() {
		r.Streams = append(r.Streams, report.Stream{Program: s.Program, PID: s.PID, Codec: s.Codec})
	}
	return r
}
