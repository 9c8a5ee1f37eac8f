package main

import (
	"slices"
	"testing"
)

func TestFateOf(t *testing.T) {
	const n = 1_000_000
	var count [4]int
	for i := range uint64(n) {
		count[fateOf(3, i)]++
	}
	for f, c := range count[1:] {
		if want := n / faultEvery; c < want*9/10 || c > want*11/10 {
			t.Errorf("fate %d: %d of %d datagrams, want about %d", f+1, c, n, want)
		}
	}
	same := 0
	for i := range uint64(n) {
		if a := fateOf(0, i); a != fateSent && a == fateOf(1, i) {
			same++
		}
	}
	if same > n/faultEvery/10 {
		t.Errorf("two channels share %d faults", same)
	}
}

func TestFaultQueue(t *testing.T) {
	tests := map[string]struct {
		fates map[int]fate
		want  []byte // numbers in the order of their sending, seven in all
	}{
		"none":        {nil, []byte{0, 1, 2, 3, 4, 5, 6}},
		"dropped":     {map[int]fate{2: fateDropped}, []byte{0, 1, 3, 4, 5, 6}},
		"doubled":     {map[int]fate{2: fateDoubled}, []byte{0, 1, 2, 2, 3, 4, 5, 6}},
		"delayed":     {map[int]fate{2: fateDelayed}, []byte{0, 1, 3, 4, 5, 2, 6}},
		"two delayed": {map[int]fate{1: fateDelayed, 2: fateDelayed}, []byte{0, 3, 4, 1, 5, 2, 6}},
		"at the end":  {map[int]fate{5: fateDelayed}, []byte{0, 1, 2, 3, 4, 6, 5}},
		"all three":   {map[int]fate{0: fateDelayed, 1: fateDropped, 2: fateDoubled}, []byte{2, 2, 3, 0, 4, 5, 6}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var q faultQueue
			var got []byte
			send := func(d []byte) { got = append(got, d[0]) }
			buf := make([]byte, 1) // used again, as by a source
			for n := range 7 {
				buf[0] = byte(n)
				q.pass(buf, test.fates[n], send)
			}
			q.flush(send)
			if !slices.Equal(got, test.want) {
				t.Errorf("sent %v, want %v", got, test.want)
			}
		})
	}
}

// find is the first datagram from number n on, of channel 0, with fates in a row.
func find(n uint64, fates ...fate) uint64 {
	for ; ; n++ {
		ok := true
		for i, f := range fates {
			ok = ok && fateOf(0, n+uint64(i)) == f
		}
		if ok {
			return n
		}
	}
}
