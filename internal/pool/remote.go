package pool

import "time"

// MaxWeight bounds the weight of a remote; more is as much.
const MaxWeight = 1_000_000

// wholeShare is the share of its weight that a remote has when no slow start runs.
const wholeShare = 1024

// remote is what a pool knows of a remote. Guarded by Pool.mu.
type remote struct {
	Remote  // Weight is at least 1
	state   State
	ordered int  // weight that an operator wants; 0 = none
	gone    bool // by an Update

	up     bool // by its check
	reason string
	since  time.Time

	fails   int       // connections that failed in a row
	ejected bool      // until a session is connected
	until   time.Time // of ejected: then one session may try it
	trial   *Visit    // which does
	times   int       // ejections in a row
	ramp    time.Time // when slow start began; zero = long ago

	sessions int   // that have a place here, be they connected or not
	turn     int64 // RoundRobin: who has the most is next
	now      int64 // weight in this moment, in shares; set by openLocked

	total, failures uint64
	bytes           [2]uint64
	connectTime     time.Duration
	lastError       string
}

// configure puts what the configuration says in the place of what it said before.
func (r *remote) configure(c Remote) {
	c.Weight = min(max(c.Weight, 1), MaxWeight)
	if c.Weight != r.Weight {
		r.ordered = 0
	}
	r.Remote = c
}

// weight is the one that counts, slow start apart.
func (r *remote) weight() int {
	if r.ordered > 0 {
		return r.ordered
	}
	return r.Weight
}

// share is how much of its weight a remote has, of wholeShare: a tenth at the beginning of a
// slow start.
func (r *remote) share(now time.Time, slowStart time.Duration) int64 {
	if r.ramp.IsZero() || slowStart <= 0 {
		return wholeShare
	}
	passed := now.Sub(r.ramp)
	if passed >= slowStart {
		return wholeShare
	}
	const least = wholeShare / 10
	return least + int64(float64(wholeShare-least)*max(0, passed.Seconds()/slowStart.Seconds()))
}

// leftOut says that the remote is ejected and that it is no time to try it, or that another
// session does.
func (r *remote) leftOut(now time.Time) bool {
	return r.ejected && (r.trial != nil || now.Before(r.until))
}

// hasRoom says that one more session may go there.
func (r *remote) hasRoom() bool { return r.MaxConns <= 0 || r.sessions < r.MaxConns }

// isBack forgets all failures: the remote has come back.
func (r *remote) isBack(now time.Time) {
	r.fails, r.times = 0, 0
	r.ejected, r.trial = false, nil
	r.ramp = now
}

// load is sessions for weight, as tcprelay counts it; it is computed before a session is
// added.
func (r *remote) load() int64 { return int64(r.sessions) << 8 * wholeShare / r.now }

// ejectLocked leaves r out for a while, if it may be. It was tried just now.
func (p *Pool) ejectLocked(r *remote, now time.Time) {
	c := p.config.Eject
	out := 0
	for _, other := range p.remotes {
		if other != r && other.leftOut(now) {
			out++
		}
	}
	if out+1 > max(1, len(p.remotes)*c.Share/100) {
		return
	}
	d := backOff(c, r.times)
	d += time.Duration(p.chance.Int64N(int64(d)/10 + 1))
	r.ejected, r.until, r.trial = true, now.Add(d), nil
	r.times++
}

// backOff is how long a remote is left out that was it so many times in a row before.
func backOff(c Eject, times int) time.Duration {
	d := c.For
	for range times {
		if d >= c.Max/2 {
			return c.Max
		}
		d *= 2
	}
	return d
}

// failedLocked holds a connection that failed against r.
func (p *Pool) failedLocked(r *remote, v *Visit, now time.Time, err error) {
	r.failures++
	r.fails++
	if err != nil {
		r.lastError = err.Error()
	}
	tried := r.trial == v
	if tried {
		r.trial = nil
	}
	limit := p.config.Eject.Fails
	if limit > 0 && (tried || !r.ejected && r.fails >= limit) { // what had begun before it was ejected is one failure with that
		p.ejectLocked(r, now)
	}
}

// connected notes that r took a connection.
func (r *remote) connected(now time.Time, took time.Duration) {
	r.total++
	r.fails, r.times = 0, 0
	if r.ejected {
		r.isBack(now)
	}
	if r.total == 1 {
		r.connectTime = took
	}
	r.connectTime += (took - r.connectTime) / 8
}

// forgetEjectionsLocked lets all remotes be chosen again.
func (p *Pool) forgetEjectionsLocked() {
	for _, r := range p.remotes {
		r.ejected, r.trial, r.fails = false, nil, 0
	}
}

func (r *remote) view() View {
	v := View{
		Remote: r.Remote, State: r.state, Ordered: r.ordered > 0,
		Up: r.up, Reason: r.reason, Since: r.since, Ejected: r.ejected,
		Sessions: r.sessions, Total: r.total, Failures: r.failures, Bytes: r.bytes,
		ConnectTime: r.connectTime, LastError: r.lastError,
	}
	v.Weight = r.weight()
	if v.Ejected {
		v.Until = r.until
	}
	return v
}
