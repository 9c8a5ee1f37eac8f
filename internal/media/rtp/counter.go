package rtp

// Counter judges the sequence numbers of one RTP stream that nobody sorts. The zero
// Counter is ready; it allocates nothing and is not safe for concurrent use. A Sorter
// counts for itself.
type Counter struct {
	Received  uint64 // all packets
	Lost      uint64 // missing so far; one that still comes, late, is taken off again
	Duplicate uint64 // came more than once
	Reordered uint64 // came after a later one
	Restarts  uint64 // the sender began anew: another SSRC or a jump that was kept up

	run     run
	span    uint64             // packets from the first of this run to the newest, what is missing included
	missing [reach / 64]uint64 // bit seq%reach: seq, in reach behind the newest, was counted as lost
}

// Add counts one packet.
func (c *Counter) Add(seq uint16, ssrc uint32) {
	c.Received++
	newest, odd := c.run.newest, c.run.odd
	v := c.run.judge(seq, ssrc)
	switch v {
	case first, suspect:
	case ahead:
		c.advance(newest, seq)
	case behind:
		c.late(seq)
	case resumed, restarted: // the suspect counts as well
		older, newer := ordered(odd, seq)
		if v == resumed {
			c.advance(newest, older)
		} else {
			c.Restarts++
			c.span, c.missing = 0, [reach / 64]uint64{}
		}
		c.advance(older, newer)
		if newer == odd {
			c.Reordered++
		}
	}
}

// advance goes from the newest number before to that of now.
func (c *Counter) advance(from, to uint16) {
	c.span += uint64(to - from)
	c.Lost += uint64(to - from - 1)
	for seq := from + 1; seq != to; seq++ {
		c.missing[seq%reach/64] |= 1 << (seq % 64)
	}
	c.missing[to%reach/64] &^= 1 << (to % 64)
}

func (c *Counter) late(seq uint16) {
	word, bit := &c.missing[seq%reach/64], uint64(1)<<(seq%64)
	switch {
	case *word&bit != 0:
		*word &^= bit
		c.Lost--
		c.Reordered++
	case uint64(c.run.newest-seq) > c.span: // from before the first one: nobody missed it
		c.Reordered++
	default:
		c.Duplicate++
	}
}
