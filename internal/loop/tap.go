package loop

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/report"
)

// tap is one source of a channel: open while the channel wants it.
type tap struct {
	ch    *live
	index int // among the channel's sources
	src   endpoint.Source
	feed  *channel.Feed // of src; both nil while it is not open

	opening bool               // beside the loop
	giveUp  context.CancelFunc // ends the opening
	given   bool               // it was: what comes of it is no failure
	patient bool               // the sender of src waits while it is not drained
	paused  bool               // stands in Loop.paused: the poller does not tell of it

	ready   bool          // stands in Loop.ready
	holding bool          // stands in Loop.holding
	hot     bool          // moved so much that it is drained in every slot
	drained time.Duration // when it last was
	renewed time.Duration // when its membership last was
	lost    bool          // could not join again: it is tried once a second

	counters report.Source // as last seen
}

// tune opens the sources that ch wants and closes those it does not.
func (l *Loop) tune(ch *live, now time.Duration) {
	for i := range ch.taps {
		t := &ch.taps[i]
		switch wanted := ch.Wants(i, now); {
		case wanted && t.src == nil && !t.opening:
			l.startOpening(t)
		case !wanted && t.opening && !t.given:
			t.given = true
			t.giveUp()
		case !wanted && t.src != nil:
			l.shut(t)
			ch.Closed(i, now)
		}
	}
}

func (l *Loop) startOpening(t *tap) {
	ctx, giveUp := context.WithCancel(l.life)
	t.opening, t.given, t.giveUp = true, false, giveUp
	l.opens.Add(1)
	go l.openSource(ctx, t, t.want())
}

// openSource runs beside the loop and posts what became of it.
func (l *Loop) openSource(ctx context.Context, t *tap, want endpoint.Want) {
	defer l.opens.Done()
	src, err := l.conf.Opener.Open(ctx, want)
	posted := l.post(func(now time.Duration) { l.opened(t, src, err, now) })
	if posted != nil && src != nil {
		l.closed(t, src.Close())
	}
}

// want is the source of t as its opener is told.
func (t *tap) want() endpoint.Want {
	return endpoint.Want{
		Source: t.ch.Sources[t.index], Trusted: t.ch.Trusted, NotLocal: t.ch.NotLocal,
		Growth: t.ch.Growth, Pace: paceOf(t.ch.Channel.Channel), Repeat: t.ch.Copy == 0 && t.ch.Repeat, Patience: t.ch.NoData,
	}
}

// paceOf is at what speed the file of a channel is delivered: who has a copy of his own need not
// wait for its time.
func paceOf(ch lineup.Channel) lineup.Pace {
	if ch.Copy != 0 && ch.Pace == (lineup.Pace{}) {
		return lineup.Pace{Clock: lineup.NoClock}
	}
	return ch.Pace
}

// opened takes a source that was opened, or the reason why it was not.
func (l *Loop) opened(t *tap, src endpoint.Source, err error, now time.Duration) {
	t.opening = false
	t.giveUp()
	if err == nil && t.ch.Wants(t.index, now) {
		if err = l.watch(t, src); err == nil {
			p, ok := src.(endpoint.Patient)
			t.patient = ok && p.Waits()
			t.src, t.feed, t.renewed, t.drained = src, t.ch.Opened(t.index, now), now, now-drainEvery
			if !t.ch.opened {
				t.ch.opened = true
				l.conf.Observer.ChannelOpened(t.ch.Tag())
			}
			if m, ok := src.(endpoint.Member); ok {
				t.lost = m.Rejoin() != nil // it may have got one of its groups only, and said so
				l.hold(t)
			}
			return
		}
	}
	if src != nil {
		l.closed(t, src.Close())
	}
	if err != nil && !t.given && !t.ch.Ended() {
		l.failed(t, err, now)
	}
}

// watch has the poller tell of src.
func (l *Loop) watch(t *tap, src endpoint.Source) error {
	for i, fd := range src.FDs() {
		if err := l.poll.addSource(fd); err != nil {
			for _, added := range src.FDs()[:i] {
				l.poll.removeSource(added)
				delete(l.taps, added)
			}
			return err
		}
		l.taps[fd] = t
	}
	return nil
}

// shut closes the source of t.
func (l *Loop) shut(t *tap) {
	src := t.src
	for _, fd := range src.FDs() {
		delete(l.taps, fd)
		l.poll.removeSource(fd)
	}
	t.counters = src.Counters()
	t.src, t.feed, t.hot, t.lost = nil, nil, false, false
	if t.paused {
		t.paused = false
		l.paused = slices.DeleteFunc(l.paused, func(p *tap) bool { return p == t })
	}
	l.closed(t, src.Close())
}

func (l *Loop) closed(t *tap, err error) {
	if err != nil {
		l.conf.Log.Warn("source was not closed cleanly", logs.Channel, t.ch.Tag(), logs.Error, err)
	}
}

// failed tells the channel that the source of t, which is not open, failed. It may take
// another one, or end.
func (l *Loop) failed(t *tap, err error, now time.Duration) {
	t.ch.err = err
	l.conf.Observer.SourceFailed(t.ch.Tag(), t.ch.Sources[t.index].Tag(), err)
	t.ch.Failed(t.index, err, now)
	l.look(t.ch, now)
}

// finished tells the channel that the source of t has delivered all that it had. Its
// clients get what was drained with the end, too.
func (l *Loop) finished(t *tap, err error, now time.Duration) {
	t.feed.Finish()
	l.shut(t)
	if len(t.ch.Sources) > 1 {
		l.failed(t, err, now)
		return
	}
	t.ch.Finished(t.index, err, now)
	l.look(t.ch, now)
}

// look does what is due with the sources of ch, which may end by it.
func (l *Loop) look(ch *live, now time.Duration) {
	l.tune(ch, now)
	if s, ok := ch.Switched(); ok {
		l.conf.Observer.Switched(ch.Tag(), ch.Sources[s.From].Tag(), ch.Sources[s.To].Tag(), s.Reason)
	}
	switch reason := ch.Overdue(now); {
	case reason == channel.None:
	case reason == channel.SourceFailed && ch.err != nil:
		l.endChannel(ch, reason, ch.err, now)
	case reason == channel.SourceEnded && ch.History().Head() == 0: // a channel that has nothing is not to be had
		l.endChannel(ch, channel.SourceFailed, errEmpty, now)
	case reason == channel.SourceEnded:
		l.endChannel(ch, reason, errEmpty, now)
	default:
		l.endChannel(ch, reason, errNoData, now)
	}
}

// listen finds out which sources have something, drains those that cannot wait, and says
// whether there were any. The others are drained when a client of their channel is due,
// so that what is sent is fresh and a drain moves much at a time.
func (l *Loop) listen(now time.Duration) (came bool) {
	l.goOn(now)
	for _, fd := range l.poll.readySources() {
		if t := l.taps[fd]; t != nil {
			l.setReady(t)
		}
	}
	for _, t := range l.holding {
		t.holding = false
		if t.src != nil {
			l.setReady(t)
		}
	}
	clear(l.holding)
	l.holding = l.holding[:0]
	for i := 0; i < len(l.ready); i++ {
		if t := l.ready[i]; t.hot || now-t.drained >= drainEvery || len(t.ch.waiting) > 0 {
			l.drain(t, now)
		}
	}
	return len(l.ready) > 0
}

func (l *Loop) setReady(t *tap) {
	if !t.ready {
		t.ready = true
		l.ready = append(l.ready, t)
	}
}

// endSlot forgets which sources were ready: the next slot asks again.
func (l *Loop) endSlot() {
	for _, t := range l.ready {
		t.ready = false
	}
	clear(l.ready)
	l.ready = l.ready[:0]
}

// refresh drains the sources of ch that have something. The channel may end by it.
func (l *Loop) refresh(ch *live, now time.Duration) {
	for i := range ch.taps {
		if t := &ch.taps[i]; t.ready {
			l.drain(t, now)
		}
	}
}

// drain moves what t has into its channel, which may take another source by it, or end.
func (l *Loop) drain(t *tap, now time.Duration) {
	t.ready, t.drained = false, now
	if t.src == nil {
		return // closed by what another one's bytes brought
	}
	onAir := t.ch.OnAir(t.index)
	if onAir && t.patient && l.enough(t.ch) {
		l.pause(t, now)
		return
	}
	if onAir {
		t.ch.patient = t.patient
	}
	before := t.feed.Taken()
	t.feed.At(now)
	switch err := t.src.Drain(now, t.feed); {
	case errors.Is(err, endpoint.ErrEnd):
		l.finished(t, err, now)
		return
	case err != nil:
		if errors.Is(err, endpoint.ErrCut) {
			t.ch.Cut()
		}
		l.shut(t)
		l.failed(t, err, now)
		return
	}
	t.hot = t.feed.Taken()-before >= hotDrain
	l.hold(t)
}

// enough says that all clients of ch have so much before them that a source which waits is
// left alone: a window, and while there is not enough memory anything at all.
func (l *Loop) enough(ch *live) bool {
	h := ch.History()
	window := min(cmp.Or(ch.Settings.History.Bytes, 2*maxWindow)/2, maxWindow)
	if l.pool.Over() {
		window = 1
	}
	return len(ch.viewers.all) > 0 && !ch.anyBeyond(h.Head()-window+1)
}

// pause leaves t alone until its channel has not enough any more. The poller is not asked
// about it: it would tell each time that there is something to read.
func (l *Loop) pause(t *tap, now time.Duration) {
	for _, fd := range t.src.FDs() {
		l.poll.removeSource(fd)
	}
	t.paused, t.hot = true, false
	l.paused = append(l.paused, t)
	t.ch.Held(now)
}

// goOn has the poller tell again of those that were paused and are needed. A source that was
// left for another meanwhile is as well.
func (l *Loop) goOn(now time.Duration) {
	for _, t := range slices.Clone(l.paused) {
		if !t.paused {
			continue // closed by what became of another one
		}
		if t.ch.OnAir(t.index) && l.enough(t.ch) {
			t.ch.Held(now)
			continue
		}
		t.paused = false
		l.paused = slices.DeleteFunc(l.paused, func(p *tap) bool { return p == t })
		if err := l.watch(t, t.src); err != nil {
			l.shut(t)
			l.failed(t, err, now)
		}
	}
}

// hold has t drained in the next slot, if it wants to though nothing arrives.
func (l *Loop) hold(t *tap) {
	if !t.holding && t.src.Holding() {
		t.holding = true
		l.holding = append(l.holding, t)
	}
}

// renew tells the network, as often as it is configured, that the groups are wanted, and
// joins again what could not be joined.
func (l *Loop) renew(now time.Duration) {
	for fd, t := range l.taps {
		m, ok := t.member(fd)
		switch {
		case !ok:
		case t.lost:
			l.rejoinOne(t, m)
		case l.conf.Renew > 0 && now-t.renewed >= l.conf.Renew:
			t.renewed = now
			if err := m.Renew(); err != nil {
				l.limited.Warn("membership not renewed", logs.Channel, t.ch.Tag(), logs.Error, err)
			}
		}
	}
}

// rejoin is for all sources, after interfaces have changed.
func (l *Loop) rejoin(time.Duration) {
	for fd, t := range l.taps {
		if m, ok := t.member(fd); ok {
			l.rejoinOne(t, m)
		}
	}
}

// member is the source of t if it has joined something; of a source with several
// descriptors only the first tells.
func (t *tap) member(fd int) (m endpoint.Member, ok bool) {
	m, ok = t.src.(endpoint.Member)
	return m, ok && fd == t.src.FDs()[0]
}

func (l *Loop) rejoinOne(t *tap, m endpoint.Member) {
	err := m.Rejoin()
	switch {
	case err != nil && !t.lost:
		l.conf.Log.Warn("group not joined any more, trying again", logs.Channel, t.ch.Tag(), logs.Error, err)
	case err == nil && t.lost:
		l.conf.Log.Info("group joined again", logs.Channel, t.ch.Tag())
	}
	t.lost = err != nil
	l.hold(t) // with what it has now: the poller knows only what there was when it was opened
}
