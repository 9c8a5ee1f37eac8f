package rtp

import (
	"time"
)

// DefaultHold is how long a packet waits for those missing before it. Reordering on one
// way is over within a few milliseconds; 50 ms is also the difference in delay of two
// ways that SMPTE ST 2022-7 calls moderate (class B). Nobody sees it in a picture that
// is seconds old.
const DefaultHold = 50 * time.Millisecond

// Counts is what a Sorter has met. Each packet received was passed on, or is held, or
// is in exactly one of Duplicates, Copies, Late, Stray and Apart.
type Counts struct {
	Received   uint64 // all packets, those of a dropped leg excepted
	Lost       uint64 // numbers passed over: they came on no leg, or too late
	Duplicates uint64 // came more than once on one leg
	Copies     uint64 // the other leg had brought them: what a second leg is for
	Reordered  uint64 // came behind a later one and were put in their place
	Late       uint64 // came when their place had been passed over, or before the first
	Stray      uint64 // single ones whose number or SSRC fits nowhere
	Apart      uint64 // of a leg while it did not belong to the other, see Dropped
	Restarts   uint64 // the sender began anew: another SSRC, or a jump that was kept up
}

// Sorter puts the packets of one RTP stream in order, drops what comes twice, and
// merges two legs on which the same packets come (as in SMPTE ST 2022-7). What it does
// with a packet:
//
//   - The next number is passed on at once and not touched: no copy, no allocation.
//   - Behind a gap it is held until the gap is filled, until it has waited for Hold, or
//     until the window (512 packets, 1 MiB) is full. Then the gap counts as lost.
//   - A number that was passed already is dropped.
//   - A number out of reach (512 packets), or of another SSRC, is held until the next
//     packet of its leg is near it. Then the numbers begin anew (or go on behind a large
//     loss), and nothing of what proved it is missing. Without that proof it was a stray,
//     unless nothing else came for Hold.
//
// With two legs it makes no difference which one brings a number, so that the loss of
// either is not seen; their SSRCs may differ. Legs that do not belong together are found
// out and one is dropped, see Dropped. A leg that is silent or dropped delays nothing.
//
// A Sorter has no clock: now is any monotonic time. It is not safe for concurrent use.
type Sorter struct {
	Legs int           // 1 or 2; if zero, 1
	Hold time.Duration // if zero, DefaultHold

	Counts

	started bool
	next    uint16      // the number that may pass at once
	seen    [past]uint8 // marks of the numbers before next, by seq%past

	window  *[reach]held  // what waits, by seq%reach; nil until something does
	waiting int           // packets in the window
	size    int           // bytes in the window
	newest  uint16        // number in the window, when something waits
	oldest  time.Duration // nothing in the window came before

	out       [][]byte // what Released returns
	spare     [][]byte // buffers to be used again
	spareSize int      // bytes in spare

	legs [2]leg
	pair pair
}

// leg is what is known of the packets of one leg.
type leg struct {
	run run
	odd packet // the suspect, while run has doubts
	in  bool   // its numbers are those that are passed on

	last    time.Duration // when the last packet came
	quiet   int           // packets of the other leg since
	apart   apart         // while it is not in
	lost    uint64        // see LegLost
	strays  uint64        // see LegStray
	dropped string        // see Dropped
}

// packet is one that came, or its copy.
type packet struct {
	seq     uint16
	payload []byte
	since   time.Duration
}

// Push takes the next packet of a leg, 0 or 1. When it returns true, payload is to be
// passed on now; otherwise the Sorter has copied it or has no use for it. In both cases
// what Released returns comes next.
func (s *Sorter) Push(index int, h Header, payload []byte, now time.Duration) bool {
	if len(s.out) > 0 {
		s.recycle()
	}
	l := &s.legs[index]
	if l.dropped != "" {
		return false
	}
	s.Received++
	if s.Legs > 1 {
		s.meet(index, now)
	}
	doubted := l.run.doubted
	v := l.run.judge(h.Sequence, h.SSRC)
	if v > behind || doubted {
		return s.unusual(index, v, doubted, packet{h.Sequence, payload, now})
	}
	if h.Sequence == s.next && s.waiting == 0 && s.Legs <= 1 { // nearly always
		s.seen[s.next%past] = passed | brought
		s.next++
		return true
	}
	return s.accept(index, packet{h.Sequence, payload, now})
}

// unusual is Push for a packet that is not simply one more of its leg.
func (s *Sorter) unusual(index int, v verdict, doubted bool, p packet) bool {
	l := &s.legs[index]
	if doubted && v <= suspect {
		s.stray(l)
	}
	switch v {
	case ahead, behind:
	case first:
		s.begin(index, p)
	case suspect:
		p.payload = s.keep(p.payload)
		l.odd = p
		return false
	case resumed, restarted:
		if older, _ := ordered(l.odd.seq, p.seq); v == restarted {
			s.turn(index, older, p.since)
		}
		s.putOdd(index)
		p.payload = s.keep(p.payload)
		s.put(index, p)
		return false
	}
	return s.accept(index, p)
}

// stray drops the suspect of a leg.
func (s *Sorter) stray(l *leg) {
	s.Stray++
	l.strays++
	s.free(l.odd.payload)
	l.odd = packet{}
}

// putOdd puts the suspect of a leg, which has been proved.
func (s *Sorter) putOdd(index int) {
	l := &s.legs[index]
	odd := l.odd
	l.odd = packet{}
	s.put(index, odd)
}

// put takes a packet of a leg whose payload the Sorter owns.
func (s *Sorter) put(index int, p packet) {
	if !s.arrive(index, p) {
		s.free(p.payload)
		return
	}
	s.out = append(s.out, p.payload)
	s.release()
}

// accept takes a packet of a leg, with the result of Push.
func (s *Sorter) accept(index int, p packet) bool {
	if !s.arrive(index, p) {
		return false
	}
	first := len(s.out) == 0
	if !first { // it began anew, and what waited before goes before
		s.out = append(s.out, s.keep(p.payload))
	}
	s.release()
	return first
}

// arrive finds the place of a packet; true when that is here and now. The caller then
// passes it on and releases what waited for it.
func (s *Sorter) arrive(index int, p packet) bool {
	l := &s.legs[index]
	copied := s.Legs > 1 && s.compare(index, p)
	if l.dropped != "" { // for this very packet
		s.Apart++
		return false
	}
	if !l.in && !copied && !s.admit(index, p) {
		return false
	}
	here := s.place(index, p)
	if copied {
		s.mark(1-index, p.seq)
	}
	return here
}

// Expire lets go what has waited for Hold. It is to be called from time to time while
// Holding; what Released returns comes next.
func (s *Sorter) Expire(now time.Duration) {
	if len(s.out) > 0 {
		s.recycle()
	}
	limit := now - s.hold()
	for i := range s.legs {
		if l := &s.legs[i]; l.run.doubted && l.odd.since <= limit {
			l.run.begin(l.run.odd, l.run.oddSSRC)
			s.turn(i, l.odd.seq, now)
			s.putOdd(i)
		}
	}
	if s.waiting > 0 && s.oldest <= limit {
		s.expire(limit)
	}
}

// Holding says that packets wait for others.
func (s *Sorter) Holding() bool {
	return s.waiting > 0 || s.legs[0].run.doubted || s.legs[1].run.doubted
}

// Released returns the payloads that are to be passed on next, in order. They are valid
// until the next call of Push or Expire, before which all must be taken.
func (s *Sorter) Released() [][]byte { return s.out }

func (s *Sorter) hold() time.Duration {
	if s.Hold == 0 {
		return DefaultHold
	}
	return s.Hold
}
