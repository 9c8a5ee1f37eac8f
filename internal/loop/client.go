package loop

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/report"
)

// client is one receiver: a socket, what it gets before the stream goes on (pre), and
// a cursor.
type client struct {
	id   uint64
	fd   int
	addr string
	tag  string
	away bool // see Client
	ch   *live

	start lineup.Start
	slow  lineup.Slow

	pre     []byte // response head, the rest of a cut packet, tables: sent before off
	tables  int    // how many bytes of pre, at its end, are the tables for off
	head    int    // how many bytes of pre, at its beginning, are the response head
	off     int64  // next byte of the history
	turn    int    // index in the ring, then among those who leave
	seat    int    // index among the viewers of the channel
	started bool   // something was written
	leaveBy time.Duration

	promised bool // stands in Loop.again

	since    time.Time
	progress time.Duration // when it last took something, or had everything
	sent     uint64        // bytes of the stream, without the response head
	skips    uint64
	skipped  uint64
	meter    meter
}

// advance takes n sent bytes off what is to be sent.
func (c *client) advance(n int) {
	h, k := min(n, c.head), min(n, len(c.pre))
	c.head -= h
	c.sent += uint64(n - h)
	if c.pre = c.pre[k:]; len(c.pre) == 0 {
		c.pre, c.tables = nil, 0
	}
	c.off += int64(n - k)
}

// skip moves the cursor out of the bytes below tail, which are about to go. Tables
// that were not begun to be sent are replaced by those of the new place.
func (c *client) skip(tail int64) {
	cut, to := c.ch.Skip(c.off, tail)
	keep := c.pre
	if len(keep) >= c.tables {
		keep = keep[:len(keep)-c.tables]
	}
	c.skips++
	c.skipped += uint64(to.Offset - c.off - int64(len(cut)))
	c.place(to, keep, cut)
}

// place puts the cursor on m, behind what has to be sent before.
func (c *client) place(m history.Mark, before ...[]byte) {
	c.pre = bytes.Join(append(before, m.Preamble), nil)
	c.tables = len(m.Preamble)
	c.off = m.Offset
}

// begin puts c on m and sends it what is there.
func (l *Loop) begin(c *client, m history.Mark, now time.Duration) {
	c.head = len(c.pre)
	c.place(m, c.pre)
	c.progress, c.since = now, time.Now()
	c.meter = meter{at: now}
	l.ring.add(c)
	c.ch.viewers.add(c)
	l.shareHistory(c.ch)
	if l.serve(c, now) {
		l.lastBusy, l.idle = now, false
	}
}

// finish takes a client out of the ring. One whose connection works is told the end
// in order: our side is shut down, and what it still sends is read away until it
// closes or drainTime is over (a close with unread input would be a reset, and the
// client would lose the tail). One that is too slow is not, nor an origin, behind a UNIX
// socket, whose source broke off or whose engine ends: it is to see that this is no end of
// the stream (live.NewStream). An origin takes the tail as slowly as its own client does, and as
// long as we stay it knows that there was all of it.
func (l *Loop) finish(c *client, reason channel.Reason, now time.Duration) {
	l.ring.remove(c)
	c.ch.viewers.remove(c)
	l.shareHistory(c.ch)
	l.leave(c, now)
	if !c.started {
		l.refuse(c, reason, refusalOf(reason))
		return
	}
	l.conf.Observer.Ended(c.id, c.ch.Tag(), c.tag, c.sent, reason)
	local := isLocal(c.fd)
	lost := reason == channel.ClientGone || reason == channel.ClientSlow || reason == channel.ClientStuck ||
		local && (reason == channel.SourceFailed || reason == channel.Shutdown)
	if lost || unix.Shutdown(c.fd, unix.SHUT_WR) != nil || l.poll.watchInput(c.fd) != nil {
		l.forget(c)
		return
	}
	c.leaveBy = now + drainTime
	if local && reason == channel.SourceEnded {
		c.leaveBy = now + tailTime
	}
	c.pre = nil
	l.leaving.add(c)
}

// isLocal says whether a socket is one of this machine (UNIX).
func isLocal(fd int) bool {
	at, err := unix.Getsockname(fd)
	_, local := at.(*unix.SockaddrUnix)
	return err == nil && local
}

// finishViewers finishes all that are left of a channel.
func (l *Loop) finishViewers(ch *live, reason channel.Reason, now time.Duration) {
	for i := len(ch.viewers.all) - 1; i >= 0; i-- {
		l.finish(ch.viewers.all[i], reason, now)
	}
}

// refuse tells that c was not started and closes its socket here.
func (l *Loop) refuse(c *client, reason channel.Reason, err error) {
	l.forget(c)
	l.conf.Observer.Refused(c.id, reason, err)
}

// forget closes the socket of a client that is in no list, or among those who leave.
func (l *Loop) forget(c *client) {
	l.leaving.remove(c)
	delete(l.clients, c.fd)
	l.poll.removeClient(c.fd)
	unix.Close(c.fd)
}

// hungUp handles what the poller says of a client: both directions are closed, the
// connection failed, or one that leaves has sent something.
func (l *Loop) hungUp(fd int, now time.Duration) {
	c := l.clients[fd]
	switch {
	case c == nil:
	case l.leaving.has(c):
		if drained(fd) {
			l.forget(c)
		}
	case l.ring.has(c):
		l.finish(c, channel.ClientGone, now)
	default:
		l.unwait(c)
		l.leave(c, now)
		l.refuse(c, channel.ClientGone, errGone)
	}
}

// drained reads away what a client sent and says whether that was all there will be.
func drained(fd int) bool {
	var buf [4096]byte
	for range 64 {
		n, err := unix.Read(fd, buf[:])
		switch {
		case n > 0 || err == unix.EINTR:
		case err == unix.EAGAIN:
			return false
		default:
			return true
		}
	}
	return false
}

func (c *client) report() report.Client {
	return report.Client{
		ID: c.id, Tag: c.tag, Addr: c.addr, Since: c.since,
		Bytes: c.sent, Rate: c.meter.rate,
		Lag:   uint64(c.ch.History().Head() - c.off),
		Skips: c.skips, Skipped: c.skipped,
	}
}

// meter makes a rate of a growing count.
type meter struct {
	at   time.Duration
	last uint64
	rate uint64 // bits a second between the last two samples
}

func (m *meter) sample(total uint64, now time.Duration) {
	if passed := now - m.at; passed > 0 {
		m.rate = uint64(float64(total-m.last) * 8 / passed.Seconds())
	}
	m.at, m.last = now, total
}
