package rtp

import "time"

const (
	// past is how many numbers behind the next are remembered: how far the slower of two
	// legs may be behind. 2048 packets are two seconds of 10 Mbit/s.
	past = 2048
	// maxSize is the most that waits, in bytes: the window full of ordinary datagrams,
	// and a limit for long ones.
	maxSize = 1 << 20
	// maxSpare is the most that is kept in unused buffers, in bytes: 50 ms of 20 Mbit/s.
	maxSpare = 128 << 10
)

// Marks of a number in Sorter.seen: that it was passed on, and which legs brought it.
const (
	passed  uint8 = 1 << 7
	brought uint8 = 1 // shifted by the index of the leg
)

// held is a packet that waits, or nothing.
type held struct {
	full    bool
	brought uint8 // marks
	payload []byte
	since   time.Duration
}

// place is arrive for a packet of a leg that is in, or a copy of one.
func (s *Sorter) place(index int, p packet) bool {
	if p.seq == s.next {
		if s.waiting > 0 {
			s.Reordered++
		}
		s.step(passed | brought<<index)
		return true
	}
	if before(p.seq, s.next) {
		s.old(index, p.seq)
	} else {
		s.wait(index, p)
	}
	return false
}

// mark notes that a leg as well has brought a number.
func (s *Sorter) mark(index int, seq uint16) {
	if before(seq, s.next) {
		if s.next-seq <= past {
			s.seen[seq%past] |= brought << index
		}
	} else if s.waiting > 0 && seq-s.next < reach && s.window[seq%reach].full {
		s.window[seq%reach].brought |= brought << index
	}
}

// step goes on by one number, with the marks of that one.
func (s *Sorter) step(marks uint8) {
	mark := &s.seen[s.next%past]
	if s.Legs > 1 {
		s.settle(*mark)
	}
	*mark = marks
	s.next++
}

// old drops a packet whose number is behind.
func (s *Sorter) old(index int, seq uint16) {
	if s.next-seq > past {
		s.Late++
		return
	}
	mark := &s.seen[seq%past]
	if *mark&(brought<<index|passed) == 0 {
		s.Late++
	} else {
		s.again(*mark, index)
	}
	*mark |= brought << index
}

// again counts a packet that there is already, with these marks.
func (s *Sorter) again(marks uint8, index int) {
	if marks&(brought<<index) != 0 {
		s.Duplicates++
	} else {
		s.Copies++
	}
}

// wait puts a packet that is ahead into the window.
func (s *Sorter) wait(index int, p packet) {
	if s.window == nil {
		s.window = new([reach]held)
	}
	if p.seq-s.next >= reach {
		s.giveUp(p.seq - reach + 1)
	}
	slot := &s.window[p.seq%reach]
	if slot.full {
		s.again(slot.brought, index)
		slot.brought |= brought << index
		return
	}
	for s.waiting > 0 && s.size+len(p.payload) > maxSize && s.next != p.seq {
		to, _ := ordered(s.firstWaiting(), p.seq)
		s.giveUp(to)
	}
	switch {
	case s.waiting == 0:
		s.newest, s.oldest = p.seq, p.since
	case before(p.seq, s.newest):
		s.Reordered++
	default:
		s.newest = p.seq
	}
	*slot = held{true, brought << index, s.keep(p.payload), p.since}
	s.waiting++
	s.size += len(p.payload)
	s.release()
}

// firstWaiting is the oldest number in the window, which is not empty.
func (s *Sorter) firstWaiting() uint16 {
	seq := s.next
	for !s.window[seq%reach].full {
		seq++
	}
	return seq
}

// release passes on what waits for nothing any more.
func (s *Sorter) release() {
	for s.waiting > 0 {
		slot := &s.window[s.next%reach]
		if !slot.full {
			return
		}
		s.out = append(s.out, slot.payload)
		s.size -= len(slot.payload)
		s.waiting--
		s.step(passed | slot.brought)
		*slot = held{}
	}
}

// giveUp passes over all that is missing before the number to, and passes on what
// waits.
func (s *Sorter) giveUp(to uint16) {
	for s.release(); before(s.next, to); s.release() {
		s.Lost++
		s.step(0)
	}
}

// expire gives up what keeps a packet waiting that came at limit or before.
func (s *Sorter) expire(limit time.Duration) {
	to := s.next
	for seq, left := s.next, s.waiting; left > 0; seq++ {
		slot := &s.window[seq%reach]
		if !slot.full {
			continue
		}
		left--
		if slot.since <= limit {
			to = seq
		}
	}
	s.giveUp(to)
	s.oldest = limit + s.hold()
	for i := range s.window {
		if slot := &s.window[i]; slot.full {
			s.oldest = min(s.oldest, slot.since)
		}
	}
}

// restart passes on all that waits and begins anew at a number.
func (s *Sorter) restart(at uint16) {
	if s.started {
		s.Restarts++
	}
	for s.waiting > 0 {
		s.giveUp(s.firstWaiting())
	}
	if s.Legs > 1 {
		for _, marks := range s.seen {
			s.settle(marks)
		}
	}
	s.started, s.next = true, at
	s.seen = [past]uint8{}
}

// keep copies a payload into a buffer of the Sorter's.
func (s *Sorter) keep(payload []byte) []byte {
	var b []byte
	if n := len(s.spare); n > 0 {
		b = s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.spareSize -= cap(b)
	}
	return append(b[:0], payload...)
}

// free takes a buffer back.
func (s *Sorter) free(b []byte) {
	if s.spareSize+cap(b) <= maxSpare {
		s.spare = append(s.spare, b)
		s.spareSize += cap(b)
	}
}

// recycle takes back the buffers that Released returned.
func (s *Sorter) recycle() {
	for _, b := range s.out {
		s.free(b)
	}
	clear(s.out)
	s.out = s.out[:0]
}
