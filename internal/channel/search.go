package channel

import (
	"slices"
	"time"

	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
	"sluice/internal/report"
)

// One source is on air: its Feed writes into the history. What happens to a source:
//
//	          wanted, opened              its turn to go on air, and a start came
//	standby ─────────────────► on trial ────────────────────────────────► on air
//	   ▲  ▲                     │    │ ◄──────────────────────────────────┘  │
//	   │  │ no longer wanted    │    │        another one went on air        │
//	   │  └─────────────────────┘    │ broke                                 │ broke
//	   │                             ▼                                       │
//	   └────────────────────────── failed ◄──────────────────────────────────┘
//	      RetryTime is over, or its turn
//
// Its turn comes when the source on air has been silent for the no-data time, or there
// is none: then the others are wanted one after the other, in their order and round, each
// until it has been silent for the same time, and the first that comes to a start is
// taken. The first source of all is wanted at any time, and its turn comes also when it
// has been healthy for HealthyTime.
//
// While nothing has been published there is nothing to begin cleanly: a source is on air
// as soon as it delivers.
//
// An only source that breaks after it has delivered goes the same way round: it is opened
// again at once, then each ReopenTime, as long as the last byte is not older than the
// no-data time; once open it is given that time, as any other, and goes on air at a start.
// One that ends in order ends the channel; among several it has failed. One that would begin
// anew is not opened again.

const (
	// DefaultSwitch is the no-data time after which another source is taken where the
	// channel's own is 0, without end.
	DefaultSwitch = 5 * time.Second
	// HealthyTime is how long the first source has to deliver healthily until it is
	// taken back: no gap over a second, the raster kept, at most five counters that jump.
	HealthyTime = 5 * time.Second
	// RetryTime is after what time a source that failed is opened again, where nothing
	// else is to be tried.
	RetryTime = 5 * time.Second
	// ReopenTime is how far apart the openings of an only source are.
	ReopenTime = time.Second
	// KeyTime is how long a start is waited for while data comes; then the source goes on
	// air at any packet (it may be scrambled, and say nothing of key frames).
	KeyTime = 5 * time.Second
)

// none is no source.
const none = -1

// search is what a Channel knows of its sources and of the one it looks for.
type search struct {
	sources  []source
	air      int           // whose Feed writes into the history
	last     int           // which was on air last; before that, the first
	heard    time.Duration // when something was published last; before that, when it could be first
	next     int           // which is wanted on air instead; none while all is well, or all were tried
	nextAt   time.Duration
	tried    [lineup.MaxSources]bool // had their turn since data came last, for nothing
	switches uint64                  // of the source on air, since the channel was opened
	switched Switch                  // not told yet, if From and To differ
	over     bool                    // the only source delivered all that it had
	cut      bool                    // a source broke that would begin anew
	faults   report.Health           // of those that were on air before, while they were
}

// source is one configured source.
type source struct {
	feed     *Feed // nil while it is not open
	err      error // why it failed; nil once it is open again
	openedAt time.Duration
	failedAt time.Duration // of an only source that broke, when it had been opened
	closed   counts        // of the Feed it had last
}

func newSearch(sources int, now time.Duration) search {
	return search{sources: make([]source, sources), air: none, heard: now, nextAt: now}
}

// Switch is a change of the source on air.
type Switch struct {
	From, To int
	Reason   Reason // NoData or SourceFailed: what From did; Recovered: To is the first again
}

// Switched returns the change since it was called last, if there was one; several are one
// change.
func (c *Channel) Switched() (s Switch, ok bool) {
	s, c.switched = c.switched, Switch{}
	return s, s.From != s.To
}

// Wants says whether source i is to be open at now.
func (c *Channel) Wants(i int, now time.Duration) bool {
	if c.ended || c.over {
		return false
	}
	c.look(now)
	return i == c.air || i == c.next || i == 0 && c.available(0, now)
}

// Opened tells that source i was opened; what it delivers goes into the Feed until Failed
// or Closed.
func (c *Channel) Opened(i int, now time.Duration) *Feed {
	f := newFeed(c, i, now)
	s := &c.sources[i]
	s.feed, s.err, s.openedAt = f, nil, now
	if c.alone() {
		c.tried[i] = false
	}
	if c.air == none && c.hist.Head() == 0 {
		c.put(f, 0)
	}
	return f
}

// Failed tells that source i could not be opened, or broke and was closed, because of err.
func (c *Channel) Failed(i int, err error, now time.Duration) {
	s := &c.sources[i]
	s.err, s.failedAt = err, now
	if s.feed != nil && c.alone() {
		s.failedAt = s.openedAt
	}
	c.Closed(i, now)
	c.tried[i] = true
	if c.next == i {
		c.next = none
	}
	c.look(now)
}

// Finished tells that source i delivered all that it had and was closed, at now; err says so.
// Of several sources it is one that failed.
func (c *Channel) Finished(i int, err error, now time.Duration) {
	c.over = len(c.sources) == 1
	c.Failed(i, err, now)
}

// OnAir says that what clients get comes from source i.
func (c *Channel) OnAir(i int) bool { return c.air == i }

// Held tells that the source on air has more, which is not taken yet at now: it is not
// silent.
func (c *Channel) Held(now time.Duration) {
	if c.air != none {
		c.heard, c.sources[c.air].feed.lastData = now, now
	}
}

// Cut tells that a source breaks which would begin anew; Failed follows.
func (c *Channel) Cut() { c.cut = true }

// Closed tells that source i was closed, at now, because it is not wanted.
func (c *Channel) Closed(i int, _ time.Duration) {
	s := &c.sources[i]
	if s.feed == nil {
		return
	}
	if c.air == i {
		c.leaveAir()
	}
	s.closed, s.feed = s.feed.counts(), nil
}

// alone says that there is one source, which is opened again when it breaks. A copy is not:
// it would begin anew.
func (c *Channel) alone() bool { return len(c.sources) == 1 && c.Copy == 0 && !c.cut }

// onAir says that f writes into the history.
func (c *Channel) onAir(f *Feed) bool { return c.air == f.index && c.sources[c.air].feed == f }

// Whose turn it is

// patience is how long a source may be silent; ok is false when it is for ever.
func (c *Channel) patience() (d time.Duration, ok bool) {
	switch {
	case c.Copy != 0:
		return 0, false
	case c.NoData > 0:
		return c.NoData, true
	case len(c.sources) > 1:
		return DefaultSwitch, true
	}
	return 0, false
}

// searching says that another source is to be put on air.
func (c *Channel) searching(now time.Duration) bool {
	if c.air == none {
		return true
	}
	patience, ok := c.patience()
	return ok && now-c.heard >= patience
}

// look goes on with the search: it begins one, ends it, or turns to the next source.
func (c *Channel) look(now time.Duration) {
	if !c.searching(now) {
		c.next = none
		return
	}
	if c.air != none {
		c.tried[c.air] = true
	}
	if c.next != none {
		if !c.given(c.next, now) {
			return
		}
		c.tried[c.next] = true
	}
	c.turn(now)
	if c.next == none && c.NoData == 0 { // round again
		for i := range c.sources {
			c.tried[i] = !c.available(i, now)
		}
		c.turn(now)
	}
}

// turn turns to the next source that was not tried yet, if there is one.
func (c *Channel) turn(now time.Duration) {
	c.next = none
	for step := range c.sources {
		i := (c.last + 1 + step) % len(c.sources)
		if i != c.air && !c.tried[i] && !c.given(i, now) {
			c.next, c.nextAt = i, now
			return
		}
	}
}

// given says that source i was given the time to deliver, and did not.
func (c *Channel) given(i int, now time.Duration) bool {
	f := c.sources[i].feed
	if f == nil && i != c.next {
		return false
	}
	var since time.Duration
	if i == c.next {
		since = c.nextAt
	}
	if f != nil {
		since = max(since, f.lastData)
	}
	patience, ok := c.patience()
	return ok && now-since >= patience
}

// available says that source i has not failed, or so long ago that it may be tried.
func (c *Channel) available(i int, now time.Duration) bool {
	wait := RetryTime
	if c.alone() {
		wait = ReopenTime
	}
	return c.sources[i].err == nil || now-c.sources[i].failedAt >= wait
}

// reopens says that the only source is to be opened again, however often it fails.
func (c *Channel) reopens(now time.Duration) bool {
	return c.alone() && c.hist.Head() > 0 && (c.NoData == 0 || now-c.heard < c.NoData)
}

// lost says why there is no source left to wait for; None when there is.
func (c *Channel) lost(now time.Duration) Reason {
	c.look(now)
	works := func(s source) bool { return s.err == nil }
	switch {
	case c.over:
		return SourceEnded
	case c.next != none || !c.searching(now):
		return None
	case !slices.ContainsFunc(c.sources, works):
		if c.reopens(now) {
			return None
		}
		return SourceFailed
	case c.NoData > 0 && c.Copy == 0 && now-c.heard >= c.NoData:
		return NoData
	}
	return None
}

// What comes from the sources

// published takes note of what the source on air has just published.
func (c *Channel) published(f *Feed, starts []ts.Start) {
	c.format, c.heard = f.in.format, f.in.now
	c.tried = [lineup.MaxSources]bool{}
	c.mark(f, starts)
}

func (c *Channel) mark(f *Feed, starts []ts.Start) {
	for _, s := range starts {
		if s.Offset < f.from {
			continue // it went on air in the middle of that one
		}
		c.hist.Mark(history.Mark{Offset: s.Offset + f.in.base, At: f.in.now, Preamble: s.Tables})
	}
}

// offered puts a source that has just delivered on trial on air, if its turn has come and
// it can begin: at the newest of starts, or after KeyTime with the bytes from before on.
func (c *Channel) offered(f *Feed, starts []ts.Start, before int64) {
	now := f.in.now
	if c.hist.Head() == 0 {
		c.take(f, ts.Start{Offset: f.held.start}, starts)
		return
	}
	recovered := f.index == 0 && now-f.trial.since >= HealthyTime
	if !recovered && !c.searching(now) {
		f.dueAt = never
		return
	}
	if f.dueAt == never {
		f.dueAt = now
	}
	if n := len(starts); n > 0 && starts[n-1].Offset >= f.held.start {
		c.take(f, starts[n-1], nil)
	} else if now-f.dueAt >= KeyTime {
		c.take(f, ts.Start{Offset: max(before, f.held.start)}, nil)
	}
}

// take puts f on air from start on; more are the starts behind it.
func (c *Channel) take(f *Feed, start ts.Start, more []ts.Start) {
	now, at := f.in.now, c.hist.Head()
	held, before := f.held.from(start.Offset), start.Tables
	var join *seam
	if at > 0 && f.in.format == formatTS {
		join = &seam{at: now}
		join.announce(held, now)
		before = slices.Concat(leaders(slices.Concat(start.Tables, held[:ts.PacketSize])), start.Tables)
	}
	c.put(f, at+int64(len(before))-start.Offset)
	f.from, f.in.seam = start.Offset, join
	c.hist.Write(before, now)
	c.hist.Write(held, now)
	if at > 0 {
		c.hist.Mark(history.Mark{Offset: at, At: now})
	}
	if c.format != f.in.format {
		c.format, c.packets = f.in.format, at
	}
	c.tried = [lineup.MaxSources]bool{}
	c.mark(f, more)
}

// put makes f the one on air; the first byte of its stream would stand at base.
func (c *Channel) put(f *Feed, base int64) {
	reason := NoData
	switch {
	case c.sources[c.last].err != nil:
		reason = SourceFailed
	case !c.searching(f.in.now):
		reason = Recovered
	}
	if c.air != none {
		c.leaveAir()
	}
	if f.index != c.last {
		c.switches++
		if c.switched.From == c.switched.To {
			c.switched.From = c.last
		}
		c.switched.To, c.switched.Reason = f.index, reason
	}
	c.air, c.last, c.next, c.heard = f.index, f.index, none, f.in.now
	f.in.store, f.in.base = c.hist, base
	f.held = hold{}
	f.before = f.faults()
}

// leaveAir puts the source on air on trial.
func (c *Channel) leaveAir() {
	f := c.sources[c.air].feed
	c.faults = faultsOnAir(c.faults, f)
	f.held = hold{start: f.in.head()}
	f.in.store, f.in.base, f.in.seam = &f.held, 0, nil
	f.trial = spell{since: never}
	f.dueAt = never
	c.air = none
}
