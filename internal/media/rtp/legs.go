package rtp

import (
	"hash/maphash"
	"time"
)

// How two legs are merged and how they are found not to belong together.
//
// A leg is "in" when its numbers are those that are passed on. The first to speak is
// in; the other one is when it has the same SSRC and its numbers are near, as they are
// when both are copies of one packet. A leg that begins anew while the other goes on is
// apart, and so is one that never was near; what it brings is dropped. It comes in
//
//   - when the other begins anew as well (the sender did, and this leg is the faster)
//     and then is near,
//   - when the other falls silent: then its numbers are the ones passed on,
//   - when its payloads turn out to be those of the other leg, number by number. Senders
//     that give each leg an SSRC of its own are recognised by this.
//
// So nothing of a foreign stream with numbers of its own is ever passed on, and a
// restart of the sender is followed when the slower leg gets there, which has all of it.
const (
	// matches is how many numbers in a row must have the same payload on both legs to
	// prove that a leg which was apart is in, or different ones to prove that it is not.
	// One may be a corrupted packet, or two streams that both send null packets.
	matches = 4
	// patience is how long a leg may be apart while both flow. It is more than any
	// difference in delay that ST 2022-7 knows (450 ms, class C), by which the legs follow
	// a sender's restart one after the other.
	patience = time.Second
	// enough is how many packets both legs must have brought in that time.
	enough = 100
	// A leg is silent when nothing of it came for patience, or for silence, while the
	// other brought so many packets. That is longer than a busy reader needs to get from
	// one leg to the other.
	silence        = 200 * time.Millisecond
	silencePackets = 16
)

// Reasons why a leg is dropped.
const (
	reasonDiffer = "not the same stream as the other leg: packets of one RTP number differ"
	reasonApart  = "not the same stream as the other leg, or too far from it: the RTP numbers do not meet"
)

// apart is what happened since a leg is not in.
type apart struct {
	since        time.Duration
	when         uint32 // Counts.Received then
	mine, others int    // packets
}

// pair is what is known of two legs together.
type pair struct {
	seed    maphash.Seed
	prints  *[past]print // of the numbers that came on one leg so far, by seq%past; nil with one leg
	same    int          // numbers in a row with the same payload on both
	differ  int          // numbers in a row without
	friends bool         // they have been the same once
}

// print is the hash of a payload that one leg brought.
type print struct {
	hash uint64
	when uint32 // Counts.Received then
	seq  uint16
	leg  uint8 // 0 for none, or 1 + the index of the leg
}

// maxAge is how old a print may be, in packets received, to be of the same round of
// the 65536 numbers.
const maxAge = 4 * past

// Dropped says why nothing of a leg is used any more; empty while it is.
func (s *Sorter) Dropped(index int) string { return s.legs[index].dropped }

// Drop takes a leg out of use for good; what it brings is ignored.
func (s *Sorter) Drop(index int, reason string) {
	l := &s.legs[index]
	if l.dropped != "" {
		return
	}
	if l.run.doubted {
		s.stray(l)
	}
	l.lost = s.LegLost(index)
	l.dropped, l.in, l.run = reason, false, run{}
	s.pair = pair{}
	if s.waiting == 0 {
		return
	}
	for i := range s.window {
		slot := &s.window[i]
		if slot.full && slot.brought == brought<<index {
			s.Apart++
			s.waiting--
			s.size -= len(slot.payload)
			s.free(slot.payload)
			*slot = held{}
		}
	}
}

// LegLost counts the numbers that were passed on thanks to the other leg only. One
// counts as soon as this leg is past it, and when it is 2048 numbers behind.
func (s *Sorter) LegLost(index int) uint64 {
	l := &s.legs[index]
	n := l.lost
	if !l.in {
		return n
	}
	for seq := s.next - past; seq != s.next && !before(l.run.newest, seq); seq++ {
		if marks := s.seen[seq%past]; marks&passed != 0 && marks&(brought<<index) == 0 {
			n++
		}
	}
	return n
}

// LegStray is the part of Counts.Stray that came on a leg.
func (s *Sorter) LegStray(index int) uint64 { return s.legs[index].strays }

// settle counts, for each leg, a number that will not be remembered any more.
func (s *Sorter) settle(marks uint8) {
	if marks&passed == 0 {
		return
	}
	for i := range s.legs {
		if l := &s.legs[i]; marks&(brought<<i) == 0 && l.dropped == "" {
			l.lost++
		}
	}
}

// begin decides where the first packet of a leg belongs.
func (s *Sorter) begin(index int, p packet) {
	l := &s.legs[index]
	if s.flowing(1-index, p.since) && s.near(l.run, s.legs[1-index].run) {
		l.in = true
		return
	}
	s.turn(index, p.seq, p.since)
}

// turn is when a leg begins anew: all begin anew with it, unless the other one flows.
func (s *Sorter) turn(index int, at uint16, now time.Duration) {
	l := &s.legs[index]
	l.in, l.apart = false, apart{since: now, when: uint32(s.Received)}
	s.pair.same, s.pair.differ = 0, 0
	if !s.flowing(1-index, now) {
		s.lead(index, at, now)
	}
}

// lead begins anew with a leg.
func (s *Sorter) lead(index int, at uint16, now time.Duration) {
	s.restart(at)
	s.legs[index].in = true
	other := &s.legs[1-index]
	s.pair.restart(1-index, other.apart.when)
	other.in = !other.silent(now) && s.near(other.run, s.legs[index].run)
	other.apart = apart{since: now, when: uint32(s.Received)}
}

// admit says whether a packet is of a leg that is in, or may be from now on. What it
// refuses is counted.
func (s *Sorter) admit(index int, p packet) bool {
	l := &s.legs[index]
	if l.in {
		return true
	}
	if !s.flowing(1-index, p.since) {
		s.lead(index, p.seq, p.since)
		return true
	}
	s.Apart++
	l.apart.mine++
	if l.apart.mine < enough || l.apart.others < enough || p.since-l.apart.since < patience {
		return false
	}
	if s.pair.friends {
		s.Drop(index, reasonApart)
	} else {
		s.Drop(1, reasonApart)
	}
	return false
}

// flowing says whether a leg is in and goes on.
func (s *Sorter) flowing(index int, now time.Duration) bool {
	l := &s.legs[index]
	return l.in && !l.silent(now)
}

func (l *leg) silent(now time.Duration) bool {
	quiet := now - l.last
	return quiet >= patience || quiet >= silence && l.quiet >= silencePackets
}

// near says whether one leg's packets may be copies of those of the other, which is in.
func (s *Sorter) near(one, in run) bool {
	return one.started && one.ssrc == in.ssrc && one.newest-s.next+past < past+reach
}

// meet notes that a leg brings a packet.
func (s *Sorter) meet(index int, now time.Duration) {
	l, other := &s.legs[index], &s.legs[1-index]
	l.last, l.quiet = now, 0
	other.quiet++
	other.apart.others++
}

// compare says whether the other leg has brought the same packet, draws its conclusions,
// and otherwise keeps a print.
func (s *Sorter) compare(index int, p packet) (same bool) {
	l, other := &s.legs[index], &s.legs[1-index]
	if l.dropped != "" || other.dropped != "" {
		return false
	}
	same = s.pair.compare(index, p, uint32(s.Received))
	switch {
	case s.pair.same >= matches:
		s.pair.friends, l.in, other.in = true, true, true
	case s.pair.differ >= matches && l.in && s.flowing(1-index, p.since):
		s.Drop(1, reasonDiffer)
	}
	return same
}

func (p *pair) compare(index int, what packet, when uint32) (same bool) {
	if p.prints == nil {
		p.seed, p.prints = maphash.MakeSeed(), new([past]print)
	}
	mine := print{maphash.Bytes(p.seed, what.payload), when, what.seq, uint8(1 + index)}
	slot := &p.prints[what.seq%past]
	if slot.leg != uint8(2-index) || slot.seq != mine.seq || when-slot.when > maxAge {
		*slot = mine
		return false
	}
	slot.leg = 0
	if slot.hash == mine.hash {
		p.same, p.differ = p.same+1, 0
		return true
	}
	p.same, p.differ = 0, p.differ+1
	return false
}

// restart forgets all prints but those that a leg has left since a time: it is the
// faster one and has begun anew already.
func (p *pair) restart(index int, since uint32) {
	p.same, p.differ = 0, 0
	if p.prints == nil {
		return
	}
	for i := range p.prints {
		if slot := &p.prints[i]; slot.leg != uint8(1+index) || int32(slot.when-since) < 0 {
			*slot = print{}
		}
	}
}
