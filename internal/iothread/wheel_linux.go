package iothread

import (
	"math/bits"
	"time"
)

// tick is the resolution of time-outs. They are never early and up to a tick late.
const tick = 10 * time.Millisecond

const (
	wheelLevels = 4 // 10 ms · 64⁴ = 46 hours; what is further away is looked at then
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelSpan   = 1 << (wheelBits * wheelLevels)
)

// wheel has every session that waits for a time in a bucket that fires no later. Who
// fires looks whether its time has come, and goes back into a bucket if not: a session
// that moves bytes need not touch the wheel. A bucket of level n takes 64ⁿ ticks and fires
// when they begin. The zero wheel stands at tick 0.
type wheel struct {
	now     int64                                // all ticks up to this one have fired
	heads   [wheelLevels*wheelSlots + 1]*session // the last one are those that fire just now
	inUse   [wheelLevels]uint64
	waiting int
}

const firing = wheelLevels * wheelSlots

// timer is what a session has of the wheel.
type timer struct {
	next, prev *session
	bucket     int16 // from 1; 0 = in none
	fires      int64 // tick
}

// set has s fire at a tick, or before; sooner than it does already if need be.
func (w *wheel) set(s *session, at int64) {
	at = max(at, w.now+1)
	if s.timer.bucket != 0 {
		if s.timer.fires <= at {
			return
		}
		w.remove(s)
	}
	ahead := min(at-w.now, wheelSpan-1)
	at = w.now + ahead
	level := (bits.Len64(uint64(ahead)) - 1) / wheelBits
	shift := level * wheelBits
	slot := int(at>>shift) & (wheelSlots - 1)
	w.inUse[level] |= 1 << slot
	s.timer.fires = at >> shift << shift
	w.push(s, level*wheelSlots+slot)
	w.waiting++
}

func (w *wheel) push(s *session, bucket int) {
	s.timer.bucket = int16(bucket + 1)
	s.timer.prev, s.timer.next = nil, w.heads[bucket]
	if s.timer.next != nil {
		s.timer.next.timer.prev = s
	}
	w.heads[bucket] = s
}

// remove takes s out of the wheel, if it is there.
func (w *wheel) remove(s *session) {
	t := &s.timer
	if t.bucket == 0 {
		return
	}
	bucket := int(t.bucket - 1)
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.heads[bucket] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	if w.heads[bucket] == nil && bucket != firing {
		w.inUse[bucket/wheelSlots] &^= 1 << (bucket % wheelSlots)
	}
	*t = timer{}
	w.waiting--
}

// upcoming is the next tick at which a bucket fires; ok is false when the wheel is empty.
func (w *wheel) upcoming() (at int64, ok bool) {
	for level, inUse := range w.inUse {
		if inUse == 0 {
			continue
		}
		shift := level * wheelBits
		now := w.now >> shift
		ahead := bits.TrailingZeros64(bits.RotateLeft64(inUse, -(int(now+1)&(wheelSlots-1)))) + 1
		if t := (now + int64(ahead)) << shift; !ok || t < at {
			at, ok = t, true
		}
	}
	return at, ok
}

// advance lets everything fire up to a tick. Who fires is in the wheel no more, unless
// fire puts it back.
func (w *wheel) advance(to int64, fire func(s *session)) {
	for {
		at, ok := w.upcoming()
		if !ok || at > to {
			w.now = max(w.now, to)
			return
		}
		w.now = at
		for level := wheelLevels - 1; level >= 0; level-- {
			if shift := level * wheelBits; at>>shift<<shift == at {
				w.empty(level, int(at>>shift)&(wheelSlots-1), fire)
			}
		}
	}
}

// empty lets one bucket fire. Those in it go aside first: some come back into the same bucket, for the next time round.
func (w *wheel) empty(level, slot int, fire func(s *session)) {
	bucket := level*wheelSlots + slot
	w.heads[firing], w.heads[bucket] = w.heads[bucket], nil
	w.inUse[level] &^= 1 << slot
	for s := w.heads[firing]; s != nil; s = s.timer.next {
		s.timer.bucket = firing + 1
	}
	for s := w.heads[firing]; s != nil; s = w.heads[firing] {
		w.remove(s)
		fire(s)
	}
}
