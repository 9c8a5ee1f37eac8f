package rtp

const (
	// reach is how far from the newest number, in packets, one may be and still belong
	// to the same run without proof. RFC 3550, A.1 has 3000 forward and 100 back; but a
	// single stray 3000 ahead would make everything after it late.
	reach = 512
	// maxDropout is the largest step forward that counts as loss once the next packet
	// has proved it; a larger one is a restart (RFC 3550, A.1).
	maxDropout = 3000
	// proof is how near to a packet out of reach the next one must be to confirm it.
	// RFC 3550 wants the next number; with some more a loss or a swap at the very restart
	// hides nothing.
	proof = 16
)

// verdict is what the number of a packet says about its sender.
type verdict uint8

const (
	ahead     verdict = iota // newer than any before
	behind                   // as old as the newest or older
	first                    // of all packets
	suspect                  // out of reach, or of another sender: the next one will tell
	resumed                  // proves the suspect: the same sender after a large loss
	restarted                // proves the suspect: the sender began anew
)

// run is the numbers that one sender gives its packets, one after the other, as seen
// on one leg.
type run struct {
	started bool
	ssrc    uint32
	newest  uint16

	doubted bool // there is a suspect
	odd     uint16
	oddSSRC uint32
}

// judge places the next packet. A suspect that the next packet does not prove was a
// stray.
func (r *run) judge(seq uint16, ssrc uint32) verdict {
	if ssrc == r.ssrc && r.started {
		if seq-r.newest-1 < reach {
			r.newest, r.doubted = seq, false
			return ahead
		}
		if r.newest-seq < reach {
			r.doubted = false
			return behind
		}
	}
	return r.doubt(seq, ssrc)
}

func (r *run) doubt(seq uint16, ssrc uint32) verdict {
	if !r.started {
		r.begin(seq, ssrc)
		return first
	}
	if !r.doubted || seq == r.odd || seq-r.odd+proof > 2*proof {
		r.doubted, r.odd, r.oddSSRC = true, seq, ssrc
		return suspect
	}
	v := restarted
	low, high := ordered(seq, r.odd)
	if ssrc == r.ssrc && ssrc == r.oddSSRC && low-r.newest <= maxDropout {
		v = resumed
	}
	r.begin(high, ssrc)
	return v
}

// begin starts anew with one packet.
func (r *run) begin(seq uint16, ssrc uint32) {
	*r = run{started: true, ssrc: ssrc, newest: seq}
}

// ordered returns two numbers, less than half the circle apart, the older one first.
func ordered(a, b uint16) (older, newer uint16) {
	if before(b, a) {
		return b, a
	}
	return a, b
}

// before says whether a is older than b, for numbers less than half the circle apart.
func before(a, b uint16) bool { return int16(a-b) < 0 }
