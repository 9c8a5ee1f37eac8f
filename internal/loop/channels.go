package loop

import (
	"errors"
	"slices"
	"time"

	"sluice/internal/channel"
	"sluice/internal/endpoint"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/report"
)

var (
	errNoData = errors.New("the source delivers no data")
	errGone   = errors.New("the client closed the connection")

	errStuck = errors.New("the client takes nothing")

	errAbandoned = errors.New("the engine lost its gws")
)

// refusalOf is what a client is told that was to be served and got nothing.
func refusalOf(r channel.Reason) error {
	switch r {
	case channel.ClientGone:
		return errGone
	case channel.ClientStuck:
		return errStuck
	case channel.Shutdown:
		return ErrEnded
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
	}
	c.ch = ch
	ch.Join()
	if m, ok := ch.Start(); ok {
		l.begin(c, m, now)
		return
	}
	ch.waiting = append(ch.waiting, c)
}

// open makes the channel; its source is opened beside the loop.
func (l *Loop) open(conf lineup.Channel, now time.Duration) *live {
	limits := history.Limits{Depth: conf.History.Depth, Bytes: conf.History.Bytes}
	ch := &live{
		Channel: channel.New(conf, history.New(l.pool, limits), now),
		since:   now, meter: meter{at: now}, viewers: roster{place: seatOf},
	}
	ch.tap.ch = ch
	l.channels[conf.Tag()] = ch
	l.all = append(l.all, ch)
	l.opens.Add(1)
	go l.openSource(ch)
	return ch
}

// openSource runs beside the loop and posts what became of it.
func (l *Loop) openSource(ch *live) {
	defer l.opens.Done()
	src, err := l.conf.Opener.Open(ch.Sources[0])
	posted := l.post(func(now time.Duration) {
		if err == nil && ch.State() != channel.Ended {
			if err = l.watch(src); err == nil {
				ch.tap.src = src
				for _, fd := range src.FDs() {
					l.taps[fd] = &ch.tap
				}
				l.conf.Observer.ChannelOpened(ch.Tag())
				return
			}
		}
		if src != nil {
			l.closed(ch, src.Close())
		}
		if ch.State() != channel.Ended {
			l.endChannel(ch, channel.SourceFailed, err, now)
		}
	})
	if posted != nil && src != nil {
		l.closed(ch, src.Close())
	}
}

// share has the history stand in files while it is sent to many.
func (ch *live) share() { ch.History().Share(len(ch.viewers.all) >= sharedFrom) }

// watch has the poller tell of src.
func (l *Loop) watch(src endpoint.Source) error {
	for i, fd := range src.FDs() {
		if err := l.poll.addSource(fd); err != nil {
			for _, added := range src.FDs()[:i] {
				l.poll.removeSource(added)
			}
			return err
		}
	}
	return nil
}

// endChannel stops receiving. Clients that wait are refused, with err as the reason
// given; the others get what is left and then the end.
func (l *Loop) endChannel(ch *live, reason channel.Reason, err error, now time.Duration) {
	if ch.State() == channel.Ended {
		return
	}
	ch.End(now)
	ch.reason = reason
	delete(l.channels, ch.Tag())
	if src := ch.tap.src; src != nil {
		for _, fd := range src.FDs() {
			delete(l.taps, fd)
			l.poll.removeSource(fd)
		}
		ch.counters = src.Counters()
		l.closed(ch, src.Close())
		ch.tap.src = nil
		l.conf.Observer.ChannelEnded(ch.Tag(), reason)
	}
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

// abandon refuses everybody that nothing was written to.
func (l *Loop) abandon(now time.Duration) {
	for _, ch := range l.all {
		l.refuseWaiting(ch, channel.Shutdown, errAbandoned, now)
	}
	for i := len(l.ring.all) - 1; i >= 0; i-- {
		if c := l.ring.all[i]; !c.started {
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
	if ch.State() != channel.Ended || ch.Clients() > 0 {
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

func (l *Loop) closed(ch *live, err error) {
	if err != nil {
		l.conf.Log.Warn("source was not closed cleanly", logs.Channel, ch.Tag(), logs.Error, err)
	}
}

func (l *Loop) report() []report.Channel {
	out := make([]report.Channel, 0, len(l.all))
	for _, ch := range l.all {
		if ch.tap.src != nil {
			ch.counters = ch.tap.src.Counters()
		}
		r := ch.Report(ch.counters)
		r.Since, r.Rate = l.wall(ch.since), ch.meter.rate
		r.Clients = make([]report.Client, 0, len(ch.viewers.all))
		for _, c := range ch.viewers.all {
			r.Clients = append(r.Clients, c.report(l))
		}
		out = append(out, r)
	}
	return out
}
