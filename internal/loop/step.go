package loop

import (
	"time"

	"sluice/internal/channel"
)

const (
	// maxSend is the most that one send takes, in bytes.
	maxSend = 256 << 10
	// maxSends bounds the sends that one client gets in its turn: enough for a channel
	// of 1.6 Gbit/s, and for a new client to catch up.
	maxSends = 4
)

// step is one slot at now.
func (l *Loop) step(now time.Duration) {
	elapsed := now - l.lastStep
	l.lastStep = now
	if l.receive(now) {
		l.lastBusy = now
	}
	l.greet(now)
	if l.send(elapsed, now) {
		l.lastBusy = now
	}
	l.retire()
	if now-l.lastLook >= housekeeping {
		l.lastLook = now
		l.housekeep(now)
	}
	// Quiet for a whole round: everybody has everything.
	l.idle = now-l.lastBusy > Round(len(l.ring))
}

// receive drains the sources that have something.
func (l *Loop) receive(now time.Duration) (came bool) {
	for _, fd := range l.poll.readySources() {
		ch := l.sources[fd]
		if ch == nil {
			continue // ended by an earlier one's error
		}
		came = true
		ch.At(now)
		if err := ch.src.Drain(ch); err != nil {
			l.endChannel(ch, channel.SourceFailed, err, now)
		}
	}
	return came
}

// greet starts the clients that waited for the first byte of their channel.
func (l *Loop) greet(now time.Duration) {
	for _, ch := range l.all {
		if len(ch.waiting) == 0 {
			continue
		}
		if m, ok := ch.Oldest(); ok {
			waiting := ch.waiting
			ch.waiting = nil
			for _, c := range waiting {
				l.begin(c, m, now)
			}
		}
	}
}

// send serves the share of the clients that is due after elapsed, and says whether
// any of them is behind.
func (l *Loop) send(elapsed, now time.Duration) (behind bool) {
	n := len(l.ring)
	slots := max(1, Round(n)/SlotTime)
	l.share += float64(n) * float64(elapsed) / float64(slots*SlotTime)
	due := min(int(l.share), n)
	l.share -= float64(int(l.share))
	for range due {
		if len(l.ring) == 0 {
			break
		}
		if l.turn >= len(l.ring) {
			l.turn = 0
		}
		c := l.ring[l.turn]
		l.turn++
		if l.serve(c, now) {
			behind = true
		}
	}
	return behind
}

// serve sends c what it has not had, as long as it takes all it is given and at most
// maxSends times, and says whether something is left. A client that has all of an
// ended channel is finished; one whose connection failed is gone.
func (l *Loop) serve(c *client, now time.Duration) (behind bool) {
	for range maxSends {
		total := l.gather(c)
		if total == 0 {
			c.progress = now
			if c.ch.State() == channel.Ended {
				l.finish(c, c.ch.reason, now)
			}
			return false
		}
		n, err := sendPieces(c.fd, l.pieces)
		if err != nil {
			l.finish(c, channel.ClientGone, now)
			return false
		}
		if n > 0 {
			c.advance(n)
			c.progress = now
			if !c.started {
				c.started = true
				l.conf.Observer.Started(c.id, c.ch.Tag, c.addr)
			}
		}
		if n < total {
			return true
		}
		if c.ch.History().Head() == c.off {
			return false
		}
	}
	return true
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

// retire lets segments go that are due. Whoever still stands in one is put on the
// newest start point first: a slow client never holds up the channel.
func (l *Loop) retire() {
	for _, ch := range l.all {
		for {
			tail, due := ch.History().Due()
			if !due {
				break
			}
			for _, c := range l.ring {
				if c.ch == ch && c.off < tail {
					c.skip(tail)
				}
			}
			ch.History().Retire()
		}
	}
}

// housekeep looks at what time does to channels and clients.
func (l *Loop) housekeep(now time.Duration) {
	for i := len(l.all) - 1; i >= 0; i-- {
		ch := l.all[i]
		if reason := ch.Overdue(now); reason != channel.None {
			l.endChannel(ch, reason, errNoData, now)
		}
	}
	for i := len(l.ring) - 1; i >= 0; i-- {
		if c := l.ring[i]; now-c.progress >= l.conf.Stall {
			l.finish(c, channel.ClientStuck, now)
		}
	}
	for i := len(l.leaving) - 1; i >= 0; i-- {
		if c := l.leaving[i]; now >= c.leaveBy {
			l.forget(c)
		}
	}
	if now-l.lastRate >= time.Second {
		l.lastRate = now
		for _, ch := range l.all {
			ch.meter.sample(uint64(ch.History().Head()), now)
		}
		for _, c := range l.ring {
			c.meter.sample(c.sent, now)
		}
	}
}
