package pool

import "time"

// chooseLocked finds a remote for v: the one it sticks to, the one that its address leads
// to, one that is well, a backup, one that is ejected. Without one, full says that v may
// wait for room: a remote that is well and full is waited for before backups are looked at.
func (p *Pool) chooseLocked(v *Visit, now time.Time) (r *remote, full bool) {
	kept := p.keptLocked(v, now)
	if kept != nil && !kept.Backup {
		return kept, false
	}
	if r := p.homeLocked(v, now); r != nil {
		return r, false
	}
	for _, backup := range [...]bool{false, true} {
		if backup && kept != nil {
			return kept, false
		}
		open, full := p.openLocked(v, now, backup)
		if len(open) > 0 {
			return p.pickLocked(open, v), false
		}
		if full {
			return nil, true
		}
	}
	return p.lastResortLocked(v, now)
}

// keptLocked is the remote that the client was sent to before, if it is still there for it.
func (p *Pool) keptLocked(v *Visit, now time.Time) *remote {
	if p.config.Sticky.Period <= 0 {
		return nil
	}
	r := p.sticky.find(v.client, now, p.config.Sticky.Period)
	if r == nil || !r.mayTake(v) || r.leftOut(now) || !r.hasRoom() {
		return nil
	}
	return r
}

// homeLocked is the remote that the client's address leads to, of all that are configured,
// so that only those move whose remote cannot take them. In a slow start that is a part
// of its clients, and always the same.
func (p *Pool) homeLocked(v *Visit, now time.Time) *remote {
	if !p.homes.any() || !v.client.IsValid() {
		return nil
	}
	h := hashOf(v.client)
	r := p.homes.of(h)
	if r.state != Enabled || !r.mayTake(v) || r.leftOut(now) || !r.hasRoom() {
		return nil
	}
	if int64(again(h)%wholeShare) >= r.share(now, p.config.SlowStart) {
		return nil
	}
	return r
}

// openLocked are the remotes, backups or the others, that v may be sent to now, with their
// weights of this moment. full says that there are more, which have no room. The slice is
// valid until the next call.
func (p *Pool) openLocked(v *Visit, now time.Time, backup bool) (open []*remote, full bool) {
	open = p.open[:0]
	for _, r := range p.remotes {
		switch {
		case r.Backup != backup || r.state != Enabled || !r.mayTake(v) || r.leftOut(now):
		case !r.hasRoom():
			full = true
		default:
			r.now = int64(r.weight()) * r.share(now, p.config.SlowStart)
			open = append(open, r)
		}
	}
	p.open = open
	return open, full
}

// lastResortLocked is, when there are ejected remotes only, the one whose time is over first.
func (p *Pool) lastResortLocked(v *Visit, now time.Time) (first *remote, full bool) {
	for _, r := range p.remotes {
		switch {
		case r.state != Enabled || !r.mayTake(v) || !r.leftOut(now):
		case !r.hasRoom():
			full = true
		case first == nil || r.until.Before(first.until):
			first = r
		}
	}
	return first, full && first == nil
}

// pickLocked chooses one of those that may be, by the pool's way of balancing.
func (p *Pool) pickLocked(open []*remote, v *Visit) *remote {
	switch p.config.Balance {
	case RoundRobin:
		return inTurn(open)
	case TwoChoices:
		return twoChoices(open, p.chance)
	case Random:
		return byChance(open, p.chance)
	case Source, Maglev:
		return p.elsewhereLocked(open, v)
	case First:
		return open[0]
	}
	return least(open)
}

// elsewhereLocked is for a client whose home cannot take it: by its address as well, but
// differently, so that the clients of one remote spread over all others. Clients without an
// address go by chance.
func (p *Pool) elsewhereLocked(open []*remote, v *Visit) *remote {
	if !v.client.IsValid() {
		return byChance(open, p.chance)
	}
	h := again(again(hashOf(v.client)))
	return at(open, int64(h%uint64(weightOf(open))))
}
