package pool

import (
	"container/list"
	"net/netip"
	"slices"
	"time"
)

// Visit is one session's way through a pool. It belongs to the session; its methods are
// called by one goroutine at a time.
type Visit struct {
	pool   *Pool
	client netip.Addr // not valid for a client without one
	wake   func()

	// Guarded by Pool.mu.
	remote *remote       // where it has a place; nil = nowhere
	taken  bool          // the remote has taken the connection
	tried  []*remote     // those that failed
	waits  *list.Element // of Pool.queue; nil = it does not wait
	called bool          // out of the queue: if it must wait again, it is the first
	left   bool
}

// Enter begins a visit. client is who is balanced and remembered by its address; wake is called,
// without a lock held and once for each ErrWait, when a visit that got it may ask Next again:
// there is room, or nothing to wait for any more. It may be called before Next has returned.
func (p *Pool) Enter(client netip.Addr, wake func()) *Visit {
	return &Visit{pool: p, client: client.Unmap(), wake: wake}
}

// Next chooses a remote, another than those that have failed this visit, and counts the
// session there. A visit that waits and is woken has its place: Next gives it, or another if
// that remote has gone down in between.
func (v *Visit) Next(now time.Time) (Remote, error) {
	p := v.pool
	p.mu.Lock()
	defer p.serveAndUnlock(now)
	p.callLocked(now) // who waits comes before who has just come
	switch {
	case v.left:
		return Remote{}, ErrNone
	case v.waits != nil:
		return Remote{}, ErrWait
	case v.remote != nil && v.keeps(now):
		v.called = false
		return v.remote.Remote, nil
	}
	p.releaseLocked(v)
	r, full := p.chooseLocked(v, now)
	switch {
	case r != nil:
		p.takeLocked(v, r, now)
		return r.Remote, nil
	case !full:
		return Remote{}, ErrNone
	case p.joinLocked(v):
		return Remote{}, ErrWait
	}
	return Remote{}, ErrFull
}

// Failed says that the remote of Next did not take the connection; it is counted there no
// more, and the failure is held against it.
func (v *Visit) Failed(now time.Time, err error) {
	p := v.pool
	p.mu.Lock()
	defer p.serveAndUnlock(now)
	r := v.remote
	if r == nil || v.taken {
		return
	}
	v.tried = append(v.tried, r)
	p.failedLocked(r, v, now, err)
	p.releaseLocked(v)
}

// Connected says that it took it, and how long that lasted.
func (v *Visit) Connected(now time.Time, took time.Duration) {
	p := v.pool
	p.mu.Lock()
	defer p.serveAndUnlock(now)
	if v.remote == nil || v.taken {
		return
	}
	v.taken = true
	v.remote.connected(now, took)
}

// Leave ends the visit, wherever it is: in the queue, with a place, connected. up and down
// are the bytes that the session carried. Calling it again does nothing.
func (v *Visit) Leave(now time.Time, up, down uint64) {
	p := v.pool
	p.mu.Lock()
	defer p.serveAndUnlock(now)
	if v.left {
		return
	}
	v.left = true
	if v.waits != nil {
		p.queue.Remove(v.waits)
		v.waits = nil
	}
	if v.taken {
		v.remote.bytes[0] += up
		v.remote.bytes[1] += down
	}
	p.releaseLocked(v)
}

// takeLocked gives v a place at r.
func (p *Pool) takeLocked(v *Visit, r *remote, now time.Time) {
	if r.ejected && !r.leftOut(now) {
		r.trial = v
	}
	r.sessions++
	v.remote = r
	if p.config.Sticky.Period > 0 {
		p.sticky.remember(v.client, r, now, p.config.Sticky.Size)
	}
	v.called = false
	if p.choices++; p.config.Rebalance > 0 && p.choices >= p.config.Rebalance {
		p.choices = 0
		p.forgetEjectionsLocked()
	}
}

// releaseLocked gives the place back that v has, if it has one.
func (p *Pool) releaseLocked(v *Visit) {
	r := v.remote
	if r == nil {
		return
	}
	r.sessions--
	if r.trial == v {
		r.trial = nil
	}
	v.remote, v.taken = nil, false
}

// keeps says that the place that v has is still good.
func (v *Visit) keeps(now time.Time) bool {
	r := v.remote
	return v.taken || r.mayTake(v) && (!r.leftOut(now) || r.trial == v)
}

// mayTake says that r is there for v, be it ejected or full: up, not disabled and not tried.
func (r *remote) mayTake(v *Visit) bool {
	return r.up && !r.gone && r.state != Disabled && !slices.Contains(v.tried, r)
}
