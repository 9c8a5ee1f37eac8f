// Package channel is one channel as its clients see it: what the bytes are, where a
// client can begin, which of the sources they come from, and how long it all lives.
//
// The states of a channel:
//
//	          first byte                 another source on air
//	joining ─────────────► live ◄─────────────────────────────────► backup
//	                        ▲        or the first one again          ▲
//	                        │                                        │
//	                        └───────────────► silent ◄───────────────┘
//	                          quiet for QuietTime, until data comes
//
//	                          last client leaves
//	live, backup, silent ◄────────────────────────► lingering (never if pinned)
//	                            a client comes
//
//	         Overdue, End
//	any ────────────────────► closed: waiting clients are refused, the others get what
//	                          is left and then the end
//
// A channel that is silent because its only source broke keeps its clients while that is
// opened again. One whose only source delivered all that it had is closed at once.
//
// Which source is on air is decided in search.go, where it is drawn as well.
//
// A Channel decides and remembers; it opens nothing, waits for nothing and takes the
// time as a parameter (loop time: since the loop began, never going back). The loop that
// owns it opens the sources that it Wants, tells it what became of them, lets them
// write into their Feeds, and ends it when it is Overdue:
//
//	for i := range c.Sources {
//		switch open := c.Wants(i, now); {
//		case open && src[i] == nil:
//			… open; then feed := c.Opened(i, now), or c.Failed(i, err, now);
//			c.Failed when it breaks, c.Finished when it ends in order
//		case !open && src[i] != nil:
//			… close; c.Closed(i, now)
//		}
//	}
//	if reason := c.Overdue(now); reason != channel.None {
//		c.End(now)
//	}
package channel

import (
	"time"

	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
)

// QuietTime is for how long the source on air delivers nothing until the channel is
// Silent.
const QuietTime = time.Second

// Channel is one channel. Make it with New; its owner is the loop.
type Channel struct {
	lineup.Channel

	hist    *history.History
	clients int
	idle    time.Duration // since when there is no client
	ended   bool
	endedAt time.Duration

	format  format // of what is published now
	packets int64  // from this offset on the history holds whole packets; only if formatTS

	search
}

// New makes a channel that wants its first source from now on and has no client. The
// history is empty and the channel's alone to write.
func New(conf lineup.Channel, h *history.History, now time.Duration) *Channel {
	return &Channel{Channel: conf, hist: h, idle: now, search: newSearch(len(conf.Sources), now)}
}

// History is the window that clients read.
func (c *Channel) History() *history.History { return c.hist }

// State is where the channel is in its life at now.
func (c *Channel) State(now time.Duration) State {
	switch {
	case c.ended:
		return Closed
	case c.hist.Head() == 0:
		return Joining
	case c.clients == 0 && !c.Pinned:
		return Lingering
	case c.air == none || now-c.heard > QuietTime:
		return Silent
	case c.air != 0:
		return Backup
	}
	return Live
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

// Pin keeps the channel from now on, whether it has clients or not.
func (c *Channel) Pin() { c.Pinned = true }

// Unpin takes Pin back, at now: the linger time of a pinned channel without clients begins.
func (c *Channel) Unpin(now time.Duration) {
	if c.Pinned {
		c.Pinned, c.idle = false, now
	}
}

// Obey has other settings hold from now on. Whether the channel is pinned is told by Pin and
// Unpin, and its sources go on as they were opened.
func (c *Channel) Obey(s lineup.Settings) {
	s.Pinned = c.Pinned
	c.Settings = s
}

// End closes the channel at now: no source is wanted any more.
func (c *Channel) End(now time.Duration) { c.ended, c.endedAt = true, now }

// Ended says that End was called.
func (c *Channel) Ended() bool { return c.ended }

// EndedFor is for how long the channel has been ended; 0 while it is not.
func (c *Channel) EndedFor(now time.Duration) time.Duration {
	if !c.ended {
		return 0
	}
	return now - c.endedAt
}

// Overdue says why the channel has to end at now; None means that it goes on.
//
//   - NoData: nothing has been published for the no-data time, and every other source has
//     failed or been silent for as long, each in its turn. Never where that time is 0, and
//     never of a copy: a file ends by itself.
//   - SourceFailed: none is on air, and none could be opened. An only source that had
//     delivered, and goes on when it is opened again, is tried each ReopenTime for the no-data
//     time before.
//   - SourceEnded: the only source delivered all that it had.
//   - Unused: there has been no client for the linger time. Never if pinned.
func (c *Channel) Overdue(now time.Duration) Reason {
	if c.ended {
		return None
	}
	if reason := c.lost(now); reason != None {
		return reason
	}
	if c.clients == 0 && !c.Pinned && now-c.idle >= c.Linger {
		return Unused
	}
	return None
}

// Oldest is where a client that waited for the first byte begins; ok is false while
// there is none.
func (c *Channel) Oldest() (m history.Mark, ok bool) {
	return history.Mark{Offset: c.hist.Tail()}, c.hist.Head() > 0
}

// Start is where a client that joins at now and wants to begin at s does: a point where
// a decoder can, with the tables that it needs first. It is the newest, or the newest of
// at least the age s.Back, or the oldest when none is so old. Where the window has no
// such point it is the oldest byte of a channel that is still at its beginning, else the
// newest; that is also what s.Live means. ok is false while nothing has come.
func (c *Channel) Start(s lineup.Start, now time.Duration) (m history.Mark, ok bool) {
	newest := history.Mark{Offset: c.hist.Head(), At: now}
	if s.Live {
		return newest, c.hist.Head() > 0
	}
	if m, ok = c.hist.Before(now - s.Back); ok {
		return m, true
	}
	if c.hist.Tail() > 0 {
		return newest, true
	}
	return c.Oldest()
}

// Skip is where a client at off goes on when the window is about to begin at tail,
// beyond it. cut is the rest of the packet that its last send cut in two, to be sent
// before anything else.
func (c *Channel) Skip(off, tail int64) (cut []byte, to history.Mark) {
	if c.format == formatTS && off > c.packets {
		if part := int((off - c.packets) % ts.PacketSize); part != 0 {
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
