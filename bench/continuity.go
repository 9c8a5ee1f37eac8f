package main

// continuity checks every packet that one viewer of the soak receives, from the first to
// the last of a connection, and says of each that is missing or out of place whether the
// source made it so.
type continuity struct {
	channel int
	slow    bool // the viewer rests: it may be put on a later key frame
	found   findings
	strange func(what string, first, last uint64) // told of the packets that the source does not explain

	rest    []byte // a packet that is not whole yet
	next    uint64 // number of the packet that should come
	begun   bool   // next is known
	skipped bool   // what comes now follows a skip: tables, then a key frame
}

// findings counts packets, except where it says otherwise.
type findings struct {
	packets int64 // received
	dropped int64 // missing: the source did not send them
	delayed int64 // missing in their place: the source sent them late
	again   int64 // came behind a later one: the source sent them late or twice
	skips   int64 // times a slow viewer was put on a later key frame

	missing   int64 // the source sent them once and in their place
	repeated  int64 // came behind a later one, and the source did not do it
	misplaced int64 // skips that did not end on a key frame
	broken    int64 // no packet of the source at all
}

// unexplained is what must not be.
func (f findings) unexplained() int64 { return f.missing + f.repeated + f.misplaced + f.broken }

func (f *findings) add(g findings) {
	f.packets += g.packets
	f.dropped += g.dropped
	f.delayed += g.delayed
	f.again += g.again
	f.skips += g.skips
	f.missing += g.missing
	f.repeated += g.repeated
	f.misplaced += g.misplaced
	f.broken += g.broken
}

// farthest is how far a number may be ahead: five minutes at 16 Mbit/s. What is beyond
// is no packet of the source.
const farthest = 1 << 22

// take checks the next bytes of the connection.
func (c *continuity) take(b []byte) {
	if len(c.rest) > 0 {
		n := min(packetSize-len(c.rest), len(b))
		c.rest, b = append(c.rest, b[:n]...), b[n:]
		if len(c.rest) < packetSize {
			return
		}
		c.packet(c.rest)
		c.rest = c.rest[:0]
	}
	for ; len(b) >= packetSize; b = b[packetSize:] {
		c.packet(b[:packetSize])
	}
	c.rest = append(c.rest, b...)
}

func (c *continuity) packet(p []byte) {
	s, ok := readStamp(p)
	if !ok || c.begun && s.seq > c.next+farthest {
		c.found.broken++
		c.strange("no packet of the source in the place of", c.next, c.next)
		return
	}
	c.found.packets++
	switch {
	case !c.begun:
		c.begin(s.seq, p)
	case s.seq == c.next:
		c.next++
	case s.seq < c.next:
		c.back(s.seq, p)
	default:
		c.jump(s.seq, p)
	}
}

// begin takes the tables that a server repeats before the point where it starts, and
// then the first packet of the stream.
func (c *continuity) begin(seq uint64, p []byte) {
	if isTable(p) {
		return
	}
	if c.skipped && !startsKeyFrame(p) {
		c.found.misplaced++
		c.strange("a skip ended on no key frame but on", seq, seq)
	}
	c.begun, c.skipped, c.next = true, false, seq+1
}

// back judges a packet that is older than the one before it.
func (c *continuity) back(seq uint64, p []byte) {
	switch f := fateOf(c.channel, datagramOf(seq)); {
	case f == fateDelayed || f == fateDoubled:
		c.found.again++
	case c.slow && isTable(p):
		c.skip(seq, p)
	default:
		c.found.repeated++
		c.strange("repeated", seq, seq)
	}
}

// jump judges the packets before seq that have not come.
func (c *continuity) jump(seq uint64, p []byte) {
	var missing, first, last uint64
	var lost, late int64
	for n := c.next; n < seq; n++ {
		switch fateOf(c.channel, datagramOf(n)) {
		case fateDropped:
			lost++
		case fateDelayed:
			late++
		default:
			if missing == 0 {
				first = n
			}
			missing++
			last = n
		}
	}
	if missing > 0 && c.slow {
		c.skip(seq, p)
		return
	}
	c.found.dropped += lost
	c.found.delayed += late
	if missing > 0 {
		c.found.missing += int64(missing)
		c.strange("missing", first, last)
	}
	c.next = seq + 1
}

// skip begins anew at p.
func (c *continuity) skip(seq uint64, p []byte) {
	c.found.skips++
	c.begun, c.skipped = false, true
	c.begin(seq, p)
}
