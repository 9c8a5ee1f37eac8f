package loop

import (
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/report"
)

// client is one receiver: a socket, what it gets before the stream goes on (pre), and
// a cursor.
type client struct {
	id   uint64
	fd   int
	addr string
	ch   *live

	pre     []byte // response head, tables, the rest of a cut packet: sent before off
	off     int64  // next byte of the history
	turn    int    // index in the ring
	started bool   // something was written
	leaveBy time.Duration

	since    time.Duration
	progress time.Duration // when it last took something, or had everything
	sent     uint64
	skips    uint64
	skipped  uint64
	meter    meter
}

// advance takes n sent bytes off what is to be sent.
func (c *client) advance(n int) {
	c.sent += uint64(n)
	k := min(n, len(c.pre))
	if c.pre = c.pre[k:]; len(c.pre) == 0 {
		c.pre = nil
	}
	c.off += int64(n - k)
}

// skip moves the cursor out of the bytes below tail, which are about to go.
func (c *client) skip(tail int64) {
	cut, to := c.ch.Skip(c.off, tail)
	pre := make([]byte, 0, len(c.pre)+len(cut)+len(to.Preamble))
	pre = append(append(append(pre, c.pre...), cut...), to.Preamble...)
	c.skips++
	c.skipped += uint64(to.Offset - c.off - int64(len(cut)))
	c.pre, c.off = pre, to.Offset
}

// begin puts c on m and sends it what is there.
func (l *Loop) begin(c *client, m history.Mark, now time.Duration) {
	if len(m.Preamble) > 0 {
		pre := make([]byte, 0, len(c.pre)+len(m.Preamble))
		c.pre = append(append(pre, c.pre...), m.Preamble...)
	}
	c.off = m.Offset
	c.progress, c.since = now, now
	c.meter = meter{at: now}
	c.turn = len(l.ring)
	l.ring = append(l.ring, c)
	if l.serve(c, now) {
		l.lastBusy, l.idle = now, false
	}
}

// finish takes a client out of the ring. One whose connection works is told the end
// in order: our side is shut down, and what it still sends is read away until it
// closes or drainTime is over (a close with unread input would be a reset, and the
// client would lose the tail).
func (l *Loop) finish(c *client, reason channel.Reason, now time.Duration) {
	last := len(l.ring) - 1
	l.ring[c.turn] = l.ring[last]
	l.ring[c.turn].turn = c.turn
	l.ring[last] = nil
	l.ring = l.ring[:last]
	l.leave(c, now)
	if !c.started {
		l.refuse(c, reason, errGone)
		return
	}
	l.conf.Observer.Ended(c.id, c.ch.Tag, c.addr, c.sent, reason)
	if reason == channel.ClientGone || unix.Shutdown(c.fd, unix.SHUT_WR) != nil || l.poll.watchInput(c.fd) != nil {
		l.forget(c)
		return
	}
	c.leaveBy = now + drainTime
	c.pre = nil
	l.leaving = append(l.leaving, c)
}

// refuse tells that c was not started and closes its socket here.
func (l *Loop) refuse(c *client, reason channel.Reason, err error) {
	l.forget(c)
	l.conf.Observer.Refused(c.id, reason, err)
}

// forget closes the socket of a client that is in no list, or takes it off those who
// leave.
func (l *Loop) forget(c *client) {
	for i, o := range l.leaving {
		if o == c {
			l.leaving = append(l.leaving[:i], l.leaving[i+1:]...)
			break
		}
	}
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
	case c.leaveBy > 0:
		if drained(fd) {
			l.forget(c)
		}
	case c.started || l.inRing(c):
		l.finish(c, channel.ClientGone, now)
	default:
		l.unwait(c)
		l.leave(c, now)
		l.refuse(c, channel.ClientGone, errGone)
	}
}

func (l *Loop) inRing(c *client) bool { return c.turn < len(l.ring) && l.ring[c.turn] == c }

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

func (c *client) report(l *Loop) report.Client {
	return report.Client{
		ID: c.id, Tag: "TCP://" + c.addr, Addr: c.addr, Since: l.wall(c.since),
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
