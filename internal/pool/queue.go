package pool

import "time"

// joinLocked puts v into the queue and says whether there was room: at its end, or in front,
// and beyond the bound, if it was called before and has lost its place since.
func (p *Pool) joinLocked(v *Visit) bool {
	switch {
	case v.called:
		v.waits = p.queue.PushFront(v)
	case p.queue.Len() < p.config.Queue:
		v.waits = p.queue.PushBack(v)
	default:
		return false
	}
	v.called = false
	return true
}

// callLocked gives places to those who wait, in their order, and has those woken that got
// one, or have nothing to wait for any more.
func (p *Pool) callLocked(now time.Time) {
	if p.queue.Len() == 0 {
		return
	}
	// One visit that has tried nothing finds what another finds, unless it sticks to a
	// remote that is closed to the others.
	alike := !p.drainsLocked()
	full := false
	for e := p.queue.Front(); e != nil; {
		v := e.Value.(*Visit)
		e = e.Next()
		if full && len(v.tried) == 0 {
			continue
		}
		r, wait := p.chooseLocked(v, now)
		if wait {
			full = full || alike && len(v.tried) == 0
			continue
		}
		p.queue.Remove(v.waits)
		if r != nil {
			p.takeLocked(v, r, now)
		}
		v.waits, v.called = nil, true
		p.woken = append(p.woken, v.wake)
	}
}

// drainsLocked says that there is a remote which takes only those who stick to it.
func (p *Pool) drainsLocked() bool {
	if p.config.Sticky.Period <= 0 {
		return false
	}
	for _, r := range p.remotes {
		if r.state == Draining {
			return true
		}
	}
	return false
}

// serveAndUnlock ends what a method has done: places that have become free go to those who
// wait, and these are woken when the lock is no longer held.
func (p *Pool) serveAndUnlock(now time.Time) {
	p.callLocked(now)
	woken := p.woken
	p.woken = nil
	p.mu.Unlock()
	for _, wake := range woken {
		wake()
	}
}
