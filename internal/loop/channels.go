package loop

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/report"
)

var (
	errNoData = errors.New("the source delivers no data")
	errGone   = errors.New("the client closed the connection")

	errSlow = errors.New("the client is too slow")

	errStuck = errors.New("the client takes nothing")

	errAbandoned = errors.New("the engine lost its gws")

	errEmpty = errors.New("the source ended before it delivered anything")

	errDropped = errors.New("dropped by an order")
)

// refusalOf is what a client is told that was to be served and got nothing.
func refusalOf(r channel.Reason) error {
	switch r {
	case channel.ClientGone:
		return errGone
	case channel.ClientStuck:
		return errStuck
	case channel.ClientSlow:
		return errSlow
	case channel.Shutdown:
		return ErrEnded
	case channel.SourceEnded:
		return errEmpty
	case channel.Dropped:
		return errDropped
	default:
		return errNoData
	}
}

// attach gives c its channel, which is opened when nobody has it yet.
func (l *Loop) attach(c *client, to lineup.Channel, now time.Duration) {
	l.clients[c.fd] = c
	if l.ending {
		l.refuse(c, channel.Shutdown, ErrEnded)
		return
	}
	if err := l.poll.addClient(c.fd); err != nil {
		l.refuse(c, channel.ClientGone, err)
		return
	}
	ch := l.channels[to.Tag()]
	if ch == nil {
		ch = l.open(to, now)
	} else {
		ch.obey(to)
	}
	c.ch = ch
	ch.Join()
	if m, ok := ch.Start(c.start, now); ok {
		l.begin(c, m, now)
		return
	}
	ch.waiting = append(ch.waiting, c)
}

// pin has a channel received whether it has clients or not.
func (l *Loop) pin(to lineup.Channel, now time.Duration) {
	if l.ending {
		return
	}
	to.Pinned = true
	if ch := l.channels[to.Tag()]; ch != nil {
		ch.obey(to)
		ch.Pin()
		return
	}
	l.open(to, now)
}

// unpin lets a channel go that has no clients.
func (l *Loop) unpin(tag string, now time.Duration) {
	if ch := l.channels[tag]; ch != nil {
		ch.Unpin(now)
	}
}

// open makes the channel; its sources are opened beside the loop.
func (l *Loop) open(conf lineup.Channel, now time.Duration) *live {
	ch := &live{
		Channel: channel.New(conf, history.New(l.pool, limitsOf(conf)), now),
		taps:    make([]tap, len(conf.Sources)),
		since:   time.Now(), meter: meter{at: now}, viewers: roster{place: seatOf},
	}
	for i := range ch.taps {
		ch.taps[i].ch, ch.taps[i].index = ch, i
	}
	l.channels[conf.Tag()] = ch
	l.all = append(l.all, ch)
	l.tune(ch, now)
	return ch
}

// limitsOf are those of the channel's history. That of a copy holds the window of its one
// client, and is retired behind it.
func limitsOf(conf lineup.Channel) history.Limits {
	limits := history.Limits{Depth: conf.History.Depth, Bytes: conf.History.Bytes}
	if conf.Copy != 0 {
		limits.Bytes = min(cmp.Or(limits.Bytes, 2*maxWindow), 2*maxWindow)
	}
	return limits
}

// obey has the settings of a later order hold.
func (ch *live) obey(conf lineup.Channel) {
	ch.Obey(conf.Settings)
	ch.History().Limit(limitsOf(conf))
}

// shareHistory has the history stand in files while it is sent to many.
func (l *Loop) shareHistory(ch *live) { ch.History().Share(len(ch.viewers.all) >= l.sharedFrom) }

// endChannel stops receiving. Clients that wait though nothing came are refused, with err as
// the reason given; the others get what is left and then the end.
func (l *Loop) endChannel(ch *live, reason channel.Reason, err error, now time.Duration) {
	if ch.Ended() {
		return
	}
	l.admit(ch, now)
	ch.End(now)
	ch.reason = reason
	delete(l.channels, ch.Tag())
	l.tune(ch, now)
	l.conf.Observer.ChannelEnded(ch.Tag(), uint64(ch.History().Head()), reason)
	l.refuseWaiting(ch, reason, err, now)
	for i := len(ch.viewers.all) - 1; i >= 0; i-- {
		if c := ch.viewers.all[i]; !l.serve(c, now) && l.ring.has(c) {
			l.finish(c, reason, now)
		}
	}
	l.reap(ch)
}

// refuseWaiting refuses those who wait for the first byte of ch.
func (l *Loop) refuseWaiting(ch *live, reason channel.Reason, err error, now time.Duration) {
	waiting := ch.waiting
	ch.waiting = nil
	for _, c := range waiting {
		l.leave(c, now)
		l.refuse(c, reason, err)
	}
}

// drop ends clients of a channel, or all of it; one that has ended may still have clients.
func (l *Loop) drop(tag, client string, now time.Duration) {
	for _, ch := range slices.Clone(l.all) {
		switch {
		case ch.Tag() != tag:
		case client != "":
			l.dropClient(ch, client, now)
		case ch.Ended():
			l.finishViewers(ch, channel.Dropped, now)
		default:
			l.endChannel(ch, channel.Dropped, errDropped, now)
		}
	}
}

func (l *Loop) dropClient(ch *live, tag string, now time.Duration) {
	for i := len(ch.viewers.all) - 1; i >= 0; i-- {
		if c := ch.viewers.all[i]; c.tag == tag {
			l.finish(c, channel.Dropped, now)
		}
	}
	for _, c := range slices.Clone(ch.waiting) {
		if c.tag == tag {
			l.unwait(c)
			l.leave(c, now)
			l.refuse(c, channel.Dropped, errDropped)
		}
	}
}

// reset drops every channel.
func (l *Loop) reset(now time.Duration) {
	for _, ch := range slices.Clone(l.all) {
		l.drop(ch.Tag(), "", now)
	}
}

// abandon refuses those that nothing was written to, of which the gws is gone.
func (l *Loop) abandon(which func(*client) bool, now time.Duration) {
	for _, ch := range l.all {
		for _, c := range slices.Clone(ch.waiting) {
			if which(c) {
				l.unwait(c)
				l.leave(c, now)
				l.refuse(c, channel.Shutdown, errAbandoned)
			}
		}
	}
	for i := len(l.ring.all) - 1; i >= 0; i-- {
		if c := l.ring.all[i]; !c.started && which(c) {
			l.finish(c, channel.Shutdown, now)
		}
	}
}

// endAll begins the end of the loop.
func (l *Loop) endAll(now time.Duration) {
	l.ending = true
	l.deadline = now + l.conf.Grace
	for _, ch := range slices.Clone(l.all) {
		l.endChannel(ch, channel.Shutdown, ErrEnded, now)
	}
	l.lastBusy, l.idle = now, false
}

// leave takes c out of its channel's count; an ended channel goes with its last.
func (l *Loop) leave(c *client, now time.Duration) {
	c.ch.Leave(now)
	l.reap(c.ch)
}

// reap frees an ended channel that has no clients left.
func (l *Loop) reap(ch *live) {
	if !ch.Ended() || ch.Clients() > 0 {
		return
	}
	if i := slices.Index(l.all, ch); i >= 0 {
		l.all = slices.Delete(l.all, i, i+1)
		ch.History().Free()
	}
}

// unwait takes c off those that wait for the first byte of its channel.
func (l *Loop) unwait(c *client) {
	if i := slices.Index(c.ch.waiting, c); i >= 0 {
		c.ch.waiting = slices.Delete(c.ch.waiting, i, i+1)
	}
}

func (l *Loop) report(now time.Duration) []report.Channel {
	out := make([]report.Channel, 0, len(l.all))
	for _, ch := range l.all {
		r := ch.Report(now, func(i int) report.Source {
			if t := &ch.taps[i]; t.src != nil {
				t.counters = t.src.Counters()
			}
			return ch.taps[i].counters
		})
		r.Since, r.Rate = ch.since, ch.meter.rate
		r.Clients = make([]report.Client, 0, len(ch.viewers.all))
		for _, c := range ch.viewers.all {
			r.Clients = append(r.Clients, c.report())
		}
		out = append(out, r)
	}
	return out
}
