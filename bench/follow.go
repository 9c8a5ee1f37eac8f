package main

// follower follows the stamps in the bytes that one client receives. Every packet
// has a number, and so has its place in the byte stream: a packet that is missing,
// doubled or damaged moves all that follow, so that the first whole packet of each
// read vouches for everything before it.
type follower struct {
	offset int64  // bytes taken
	base   uint64 // number of the packet at offset 0, had there been no prologue
	known  bool   // base is set
	begun  bool   // a packet that is no table was seen: the prologue is over
	gaps   int64  // times the numbers did not fit
	lost   int64  // packets that gaps jumped over
}

// prologue is how many packets a server may repeat before the point where the client
// starts: its copies of the tables, whose numbers are older.
const prologue = 16

// take looks at the next bytes of the stream. It returns the stamp of the first whole
// packet, false when b holds none.
func (f *follower) take(b []byte) (first stamp, ok bool) {
	at := int((packetSize - f.offset%packetSize) % packetSize)
	index := uint64((f.offset + packetSize - 1) / packetSize)
	f.offset += int64(len(b))
	if at+stampEnd > len(b) {
		return stamp{}, false
	}
	first, ok = f.check(b[at:], index)
	for index++; index < prologue; index++ {
		at += packetSize
		if at+stampEnd > len(b) {
			break
		}
		f.check(b[at:], index)
	}
	return first, ok
}

// skip goes on behind n bytes that nobody looks at: the next packet vouches for them.
func (f *follower) skip(n int) { f.offset += int64(n) }

func (f *follower) check(p []byte, index uint64) (stamp, bool) {
	s, ok := readStamp(p)
	switch {
	case !ok:
		f.gaps++
		f.known = false
		return stamp{}, false
	case f.known && s.seq != f.base+index && f.begun:
		f.gaps++
		if jump := int64(s.seq - f.base - index); jump > 0 {
			f.lost += jump
		}
	}
	f.base, f.known = s.seq-index, true
	f.begun = f.begun || !isTable(p)
	return s, true
}

// sight looks at every whole packet from the first byte of a stream on and notes what
// a decoder needs, in the order it needs it.
type sight struct {
	rest     []byte // a packet that is not whole yet
	packet   bool   // one whole packet
	pat, pmt bool
	keyFrame bool // its first packet, with both tables before it
}

func (s *sight) take(b []byte) {
	s.rest = append(s.rest, b...)
	for len(s.rest) >= packetSize {
		p := s.rest[:packetSize]
		s.rest = s.rest[packetSize:]
		if _, ok := readStamp(p); !ok {
			continue
		}
		s.packet = true
		switch pid := pidOf(p); {
		case pid == patPID:
			s.pat = true
		case pid == pmtPID:
			s.pmt = s.pat
		case startsKeyFrame(p):
			s.keyFrame = s.keyFrame || s.pmt
		}
	}
}
