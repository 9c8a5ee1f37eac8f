package main

import "testing"

// datagrams makes those from number first to the one before end.
func datagrams(first, end uint64) []byte {
	return packets(int(first*packetsPerDatagram), int((end-first)*packetsPerDatagram))
}

func TestContinuity(t *testing.T) {
	// A place in the middle of a picture, so that no table is near, with the wanted fates.
	place := func(fates ...fate) uint64 {
		n := find(5, fates...)
		for n%30 < 5 || n%30 > 20 {
			n = find(n+1, fates...)
		}
		return n
	}
	dropped := place(fateSent, fateSent, fateDropped, fateSent, fateSent, fateSent, fateSent) + 2
	delayed := place(fateSent, fateSent, fateDelayed, fateSent, fateSent, fateSent, fateSent) + 2
	doubled := place(fateSent, fateSent, fateDoubled, fateSent, fateSent, fateSent, fateSent) + 2
	plain := place(fateSent, fateSent, fateSent, fateSent, fateSent, fateSent, fateSent) + 2
	const keyFrame = packetsPerFrame * framesPerGroup / packetsPerDatagram // datagrams between two
	key := (plain/keyFrame + 2) * keyFrame                                 // begins with tables and a key frame
	tables := datagrams(key, key+1)[:2*packetSize]
	tests := map[string]struct {
		bytes []byte
		slow  bool
		want  findings // packets left out
	}{
		"whole":                 {datagrams(plain, plain+3), false, findings{}},
		"whole, with a fault":   {datagrams(dropped-2, dropped+3), false, findings{}}, // sent after all
		"dropped":               {join(datagrams(dropped-2, dropped), datagrams(dropped+1, dropped+3)), false, findings{dropped: 7}},
		"delayed":               {join(datagrams(delayed-2, delayed), datagrams(delayed+1, delayed+4), datagrams(delayed, delayed+1)), false, findings{delayed: 7, again: 7}},
		"delayed, put in place": {datagrams(delayed-2, delayed+3), false, findings{}},
		"delayed, never came":   {join(datagrams(delayed-2, delayed), datagrams(delayed+1, delayed+4)), false, findings{delayed: 7}},
		"doubled":               {join(datagrams(doubled-2, doubled+1), datagrams(doubled, doubled+3)), false, findings{again: 7}},
		"doubled, missing":      {join(datagrams(doubled-2, doubled), datagrams(doubled+1, doubled+3)), false, findings{missing: 7}},
		"missing":               {join(datagrams(plain-2, plain), datagrams(plain+1, plain+3)), false, findings{missing: 7}},
		"one packet missing":    {join(datagrams(plain-2, plain), datagrams(plain, plain+3)[packetSize:]), false, findings{missing: 1}},
		"more than was dropped": {join(datagrams(dropped-2, dropped), datagrams(dropped+2, dropped+4)), false, findings{dropped: 7, missing: 7}},
		"repeated":              {join(datagrams(plain-2, plain+1), datagrams(plain, plain+3)), false, findings{repeated: 7}},
		"tables before it":      {join(tables, datagrams(plain, plain+3)), false, findings{}},
		"no packet":             {join(datagrams(plain-2, plain), make([]byte, packetSize), datagrams(plain, plain+3)), false, findings{broken: 1}},
		"skip":                  {join(datagrams(plain, plain+3), datagrams(key, key+3)), true, findings{skips: 1}},
		"skip, not slow":        {join(datagrams(plain, plain+3), datagrams(key, key+3)), false, findings{missing: int64(key-plain-3) * packetsPerDatagram}},
		"skip to no key frame":  {join(datagrams(plain, plain+1), datagrams(plain+2, plain+3)), true, findings{skips: 1, misplaced: 1}},
		"skip, older tables":    {join(datagrams(key, key+3), tables, datagrams(key+keyFrame, key+keyFrame+1)[2*packetSize:]), true, findings{skips: 1}},
		"tables only":           {join(datagrams(plain, plain+3), tables, datagrams(plain+3, plain+4)), true, findings{skips: 1, misplaced: 1}},
	}
	for name, test := range tests {
		for _, chunk := range []int{packetSize, 1000, 7, 1 << 20} {
			c := continuity{slow: test.slow, strange: func(string, uint64, uint64) {}}
			for b := test.bytes; len(b) > 0; {
				n := min(chunk, len(b))
				c.take(b[:n])
				b = b[n:]
			}
			got := c.found
			if whole := int64(len(test.bytes)/packetSize) - got.broken; got.packets != whole {
				t.Errorf("%s: %d packets counted of %d", name, got.packets, whole)
			}
			got.packets = 0
			// What is missing beside a long way may have been dropped, too.
			if test.want.missing > 100 {
				got.missing, got.dropped, got.delayed = got.missing+got.dropped+got.delayed, 0, 0
			}
			if got != test.want {
				t.Errorf("%s, in pieces of %d: %+v, want %+v", name, chunk, got, test.want)
			}
		}
	}
}

// What is strange is told with the packets that are concerned.
func TestContinuityTells(t *testing.T) {
	plain := find(40, fateSent, fateSent, fateSent)
	var first, last uint64
	c := continuity{strange: func(_ string, a, b uint64) { first, last = a, b }}
	c.take(join(datagrams(plain, plain+1), datagrams(plain+2, plain+3)))
	if first != (plain+1)*packetsPerDatagram || last != (plain+2)*packetsPerDatagram-1 {
		t.Errorf("told of %d to %d, missing is datagram %d", first, last, plain+1)
	}
}

// Whatever comes, every packet is counted once and nothing breaks.
func FuzzContinuity(f *testing.F) {
	f.Add([]byte{0, 1, 2, 9, 3, 200}, true)
	f.Add([]byte{5, 4, 3}, false)
	all := packets(0, 255*20+3)
	f.Fuzz(func(t *testing.T, order []byte, slow bool) {
		c := continuity{slow: slow, strange: func(string, uint64, uint64) {}}
		for _, n := range order {
			at := int(n) * 20 * packetSize
			c.take(all[at : at+int(n%3)*packetSize+packetSize])
			c.take(order)
			c.rest = c.rest[:0]
		}
		if c.found.packets < int64(len(order)) {
			t.Fatalf("%d packets counted of at least %d", c.found.packets, len(order))
		}
	})
}
