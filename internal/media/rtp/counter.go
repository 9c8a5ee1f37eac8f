package rtp

const (
	// maxDropout is the largest step forward that counts as loss (RFC 3550, A.1).
	maxDropout = 3000
	// window is how late, in packets, one may come and still be told from a restart.
	// RFC 3550 has 100; a window of two words costs nothing more.
	window = 128
)

// Counter judges the sequence numbers of one RTP stream. The zero Counter is
// ready; it allocates nothing and is not safe for concurrent use.
type Counter struct {
	Received  uint64 // all packets
	Lost      uint64 // missing so far; one that still comes, late, is taken off again
	Duplicate uint64 // came more than once
	Reordered uint64 // came after a later one
	Restarts  uint64 // the sender began anew: another SSRC or a jump that was kept up

	started bool
	ssrc    uint32
	highest uint16
	ahead   uint64 // packets from the first of this run to highest, what is missing included
	missing bitmap // bit k: highest-k was counted as lost
	suspect uint32 // 0, or 1<<16 | the number that would confirm a jump
}

// Add counts one packet.
func (c *Counter) Add(seq uint16, ssrc uint32) {
	c.Received++
	if !c.started || ssrc != c.ssrc {
		if c.started {
			c.Restarts++
		}
		c.restart(seq, ssrc)
		return
	}
	forward, back := seq-c.highest, c.highest-seq
	switch {
	case forward == 0:
		c.Duplicate++
	case forward <= maxDropout:
		c.advance(uint(forward))
	case back < window:
		c.late(uint(back))
	default:
		c.jump(seq)
		return
	}
	c.suspect = 0
}

func (c *Counter) restart(seq uint16, ssrc uint32) {
	c.started, c.ssrc, c.highest = true, ssrc, seq
	c.ahead, c.missing, c.suspect = 0, bitmap{}, 0
}

func (c *Counter) advance(n uint) {
	c.highest += uint16(n)
	c.ahead += uint64(n)
	c.Lost += uint64(n - 1)
	c.missing = c.missing.shiftIn(n)
}

func (c *Counter) late(back uint) {
	switch {
	case c.missing.has(back):
		c.missing = c.missing.without(back)
		c.Lost--
		c.Reordered++
	case uint64(back) > c.ahead: // from before the first one: nobody missed it
		c.Reordered++
	default:
		c.Duplicate++
	}
}

// jump takes a far number for a restart once the next one follows it; a single
// stray packet changes nothing (RFC 3550, A.1).
func (c *Counter) jump(seq uint16) {
	if c.suspect == 1<<16|uint32(seq) {
		c.Restarts++
		c.restart(seq, c.ssrc)
		return
	}
	c.suspect = 1<<16 | uint32(seq+1)
}

// bitmap holds window bits; bit 0 is the lowest of the first word.
type bitmap [2]uint64

// shiftIn moves all bits up by n and sets bits 1 to n-1.
func (b bitmap) shiftIn(n uint) bitmap {
	if n >= window {
		return bitmap{^uint64(1), ^uint64(0)}
	}
	ones := bitmap{1<<min(n, 64) - 1, 0}
	if n > 64 {
		ones[1] = 1<<(n-64) - 1
	}
	ones[0] &^= 1
	if n >= 64 {
		return bitmap{ones[0], b[0]<<(n-64) | ones[1]}
	}
	return bitmap{b[0]<<n | ones[0], b[1]<<n | b[0]>>(64-n) | ones[1]}
}

func (b bitmap) has(i uint) bool { return b[i/64]>>(i%64)&1 != 0 }

func (b bitmap) without(i uint) bitmap {
	b[i/64] &^= 1 << (i % 64)
	return b
}
