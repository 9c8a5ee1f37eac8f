package channel

import (
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/report"
)

// Feed takes the bytes of one open source; it is the source's endpoint.Writer. On air
// they go straight into the history, on trial into a buffer that forgets. A Reserve and
// its Commit belong to one Drain: in between no other Feed of the channel is used.
type Feed struct {
	channel *Channel
	index   int // of the source
	in      ingest
	held    hold  // the store on trial
	from    int64 // offset in the stream of the source where it went on air last
	taken   int64 // bytes, of all Commits

	lastData time.Duration // when it last delivered; before that, when it was opened
	trial    spell
	dueAt    time.Duration // since when the channel would have it on air; never = it would not
	before   report.Health // its faults before it went on air
}

// never is a time before all others.
const never time.Duration = -1

func newFeed(c *Channel, i int, now time.Duration) *Feed {
	f := &Feed{channel: c, index: i, lastData: now, dueAt: never, trial: spell{since: never}}
	f.in.store, f.in.now = &f.held, now
	f.in.tracker.CheckHealth = c.Health
	if c.Copy != 0 {
		f.in.relay() // a file is copied as it is
	}
	return f
}

// At sets the time of the bytes that come next through Reserve and Commit.
func (f *Feed) At(now time.Duration) { f.in.now = now }

// Reserve implements endpoint.Writer.
func (f *Feed) Reserve(n int) []byte { return f.in.reserve(n) }

// Taken is how many bytes the source has delivered, whatever became of them.
func (f *Feed) Taken() int64 { return f.taken }

// Commit implements endpoint.Writer. On trial it may put the source on air.
func (f *Feed) Commit(n int) {
	if n == 0 {
		return
	}
	f.taken += int64(n)
	before := f.in.head()
	f.took(f.in.commit(n), before)
}

// Finish takes what was kept back until it was known what the source sends: there is no more.
func (f *Feed) Finish() {
	before := f.in.head()
	f.took(f.in.finish(), before)
}

// took tells the channel what has come since before.
func (f *Feed) took(starts []ts.Start, before int64) {
	c := f.channel
	switch {
	case f.in.head() == before: // garbage is silence
	case c.onAir(f):
		f.lastData = f.in.now
		c.published(f, starts)
	case f.in.format == formatTS || c.format != formatTS: // in the place of a transport stream all else is garbage
		f.trial.extend(f)
		f.lastData = f.in.now
		c.offered(f, starts, before)
	}
}

// spell is how long a source on trial has been healthy: it delivers, with no gap over
// maxGap, keeps the raster, and the continuity counters jump no more than maxJumps times.
type spell struct {
	since  time.Duration // never = it is not
	losses uint64        // of the raster, when it began
	jumps  uint64        // of the counters, when it began
}

// The limits of a healthy spell.
const (
	maxGap   = time.Second
	maxJumps = 5
)

// extend takes note of data that has just come, and begins anew where it is not healthy.
func (s *spell) extend(f *Feed) {
	losses, jumps := f.in.framer.SyncLosses(), f.in.tracker.Stats().Continuity
	if s.since == never || f.in.now-f.lastData > maxGap || losses != s.losses || jumps > s.jumps+maxJumps {
		*s = spell{since: f.in.now, losses: losses, jumps: jumps}
	}
}
