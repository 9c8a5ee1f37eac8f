package loop

import (
	"slices"
	"time"

	"sluice/internal/channel"
	"sluice/internal/lineup"
)

const (
	// maxSend is the most that one send takes, in bytes.
	maxSend = 256 << 10
	// maxSends bounds the sends that one client gets in its turn.
	maxSends = 4
	// muchTaken is what a client must have taken in its turn to get another one in the
	// next slot, when it still wants more: a fast channel or a new client need not wait
	// for a whole round, while a slow connection is not asked again and again.
	muchTaken = 64 << 10
)

// step is one slot at now.
func (l *Loop) step(now time.Duration) {
	elapsed := now - l.lastStep
	l.lastStep = now
	if l.listen(now) {
		l.lastBusy = now
	}
	l.greet(now)
	if l.send(elapsed, now) {
		l.lastBusy = now
	}
	l.endSlot()
	l.retire(now)
	if now-l.lastLook >= housekeeping {
		l.lastLook = now
		l.housekeep(now)
	}
	// Quiet for a whole round: everybody has everything.
	l.idle = now-l.lastBusy > l.round()
}

func (l *Loop) round() time.Duration { return Round(len(l.ring.all), len(l.all)) }

// greet starts the clients that waited for the first byte of their channel.
func (l *Loop) greet(now time.Duration) {
	for _, ch := range l.all {
		l.admit(ch, now)
	}
}

// admit starts those who waited for the first byte of ch, if it has come.
func (l *Loop) admit(ch *live, now time.Duration) {
	if len(ch.waiting) == 0 {
		return
	}
	m, ok := ch.Oldest()
	if !ok {
		return
	}
	waiting := ch.waiting
	ch.waiting = nil
	for _, c := range waiting {
		l.begin(c, m, now)
	}
}

// send serves the share of the clients that is due after elapsed, and says whether any
// of those served is behind.
func (l *Loop) send(elapsed, now time.Duration) (behind bool) {
	behind = l.keepPromises(now)
	n := len(l.ring.all)
	l.share += float64(n) * float64(elapsed) / float64(l.round())
	due := min(int(l.share), n)
	l.share -= float64(int(l.share))
	for range due {
		if len(l.ring.all) == 0 {
			break
		}
		if l.turn >= len(l.ring.all) {
			l.turn = 0
		}
		c := l.ring.all[l.turn]
		l.turn++
		l.refresh(c.ch, now)
		if l.ring.has(c) && l.serve(c, now) {
			behind = true
		}
	}
	return behind
}

// keepPromises serves those that were promised another turn in the slot before.
func (l *Loop) keepPromises(now time.Duration) (behind bool) {
	promised := l.again
	l.again = l.again2[:0]
	for _, c := range promised {
		c.promised = false
		if l.ring.has(c) && l.serve(c, now) {
			behind = true
		}
	}
	clear(promised)
	l.again2 = promised
	return behind
}

// serve sends c what it has not had, as long as it takes all it is given and at most
// maxSends times, and says whether something is left. A client that has all of an
// ended channel is finished; one whose connection failed is gone.
func (l *Loop) serve(c *client, now time.Duration) (behind bool) {
	before := c.sent
	for range maxSends {
		n, total, err := l.sendNext(c)
		if total == 0 {
			c.progress = now
			if c.ch.Ended() {
				l.finish(c, c.ch.reason, now)
			}
			return false
		}
		if err != nil {
			l.finish(c, channel.ClientGone, now)
			return false
		}
		if n > 0 {
			c.advance(n)
			c.progress = now
			if !c.started {
				c.started = true
				l.conf.Observer.Started(c.id, c.ch.Tag(), c.tag)
			}
		}
		if n < total {
			break
		}
		if c.ch.History().Head() == c.off {
			return false
		}
	}
	if c.sent-before >= muchTaken && !c.promised {
		c.promised = true
		l.again = append(l.again, c)
	}
	return true
}

// sendNext sends what c gets next: out of the file of a segment that has one, behind
// what comes before the stream, else all in one from memory. It returns how much was
// sent, and how much there was to send; 0 is nothing.
func (l *Loop) sendNext(c *client) (n, total int, err error) {
	x, shared := c.ch.History().Extent(c.off, maxSend)
	switch {
	case !shared:
		total = l.gather(c)
		if total > 0 {
			n, err = sendPieces(c.fd, l.pieces, false)
		}
	case len(c.pre) > 0:
		l.pieces, total = append(l.pieces[:0], c.pre), len(c.pre)
		n, err = sendPieces(c.fd, l.pieces, true)
	default:
		total = x.Length
		n, err = sendFile(c.fd, x)
	}
	return n, total, err
}

// gather puts what c gets next into l.pieces and returns its length.
func (l *Loop) gather(c *client) (total int) {
	l.pieces, total = l.pieces[:0], len(c.pre)
	if total > 0 {
		l.pieces = append(l.pieces, c.pre)
	}
	hist := c.ch.History()
	if left := hist.Head() - c.off; left > 0 {
		l.pieces = hist.Slices(l.pieces, c.off, maxSend)
		total += int(min(left, maxSend))
	}
	return total
}

// retire lets segments go that are due by their channel's limits and, while all
// together hold too much memory, those of the channel that holds the most.
func (l *Loop) retire(now time.Duration) {
	for i := len(l.all) - 1; i >= 0; i-- { // an ended channel may go with its last client
		for ch := l.all[i]; ch.due(); {
			l.retireOne(ch, now)
		}
	}
	for l.pool.Over() {
		var most *live
		for _, ch := range l.all {
			if ch.History().Spare() && !ch.needed() && (most == nil || ch.History().Held() > most.History().Held()) {
				most = ch
			}
		}
		if most == nil {
			return
		}
		l.retireOne(most, now)
	}
}

// due says whether the oldest segment has to go: by the limits of the history, or of a
// copy as soon as its client has taken it.
func (ch *live) due() bool {
	h := ch.History()
	read := ch.Copy != 0 && len(ch.viewers.all) > 0 && h.Spare()
	return (read || h.Due()) && !ch.needed()
}

// needed says that the oldest segment is still to be read by the client that is furthest
// ahead, of a source that waits for it: nobody is to lose a byte that took what came.
func (ch *live) needed() bool {
	if !ch.patient || len(ch.viewers.all) == 0 || !ch.History().Spare() {
		return false
	}
	return !ch.anyBeyond(ch.History().AfterRetire())
}

// anyBeyond says that a client has taken all that stands before off.
func (ch *live) anyBeyond(off int64) bool {
	return slices.ContainsFunc(ch.viewers.all, func(c *client) bool { return c.off >= off })
}

// owesAll says that clients may take as long as they like over what is left of an ended
// channel: its source has waited for them, and no order has ended it.
func (ch *live) owesAll() bool {
	switch ch.reason {
	case channel.SourceEnded:
		return true
	case channel.NoData, channel.SourceFailed:
		return ch.patient
	}
	return false
}

// retireOne lets the oldest segment of ch go. Whoever still stands in it is put on the
// newest start point first, or sent away, as its policy says: a slow client never holds
// up the channel.
func (l *Loop) retireOne(ch *live, now time.Duration) {
	hist := ch.History()
	tail := hist.AfterRetire()
	for i := len(ch.viewers.all) - 1; i >= 0; i-- {
		switch c := ch.viewers.all[i]; {
		case c.off >= tail:
		case c.slow == lineup.Disconnect:
			l.finish(c, channel.ClientSlow, now)
		default:
			c.skip(tail)
		}
	}
	if hist.Spare() { // not if it was the last client of an ended channel that was sent away
		hist.Retire()
	}
}

// housekeep looks at what time does to channels and clients.
func (l *Loop) housekeep(now time.Duration) {
	for i := len(l.all) - 1; i >= 0; i-- {
		ch := l.all[i]
		l.look(ch, now)
		if !ch.owesAll() && ch.EndedFor(now) >= l.conf.Stall { // time enough to take what was left
			l.finishViewers(ch, ch.reason, now)
		}
	}
	for i := len(l.ring.all) - 1; i >= 0; i-- {
		if c := l.ring.all[i]; now-c.progress >= l.conf.Stall {
			l.finish(c, channel.ClientStuck, now)
		}
	}
	for i := len(l.leaving.all) - 1; i >= 0; i-- {
		if c := l.leaving.all[i]; now >= c.leaveBy {
			l.forget(c)
		}
	}
	if now-l.lastRate >= time.Second {
		l.lastRate = now
		for _, ch := range l.all {
			ch.meter.sample(uint64(ch.History().Head()), now)
		}
		for _, c := range l.ring.all {
			c.meter.sample(c.sent, now)
		}
		l.renew(now)
		l.tellRates()
	}
}

// tellRates tells the rates of all channels, if there are any.
func (l *Loop) tellRates() {
	if len(l.channels) == 0 {
		return
	}
	l.rates = l.rates[:0]
	for tag, ch := range l.channels {
		l.rates = append(l.rates, Rate{tag, ch.meter.rate})
	}
	l.conf.Observer.Rates(l.rates)
}
