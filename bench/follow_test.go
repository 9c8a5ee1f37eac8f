package main

import (
	"testing"
)

// packets makes n packets of a stream from number first on.
func packets(first, n int) []byte {
	s := newStream(8_000_000)
	var all []byte
	for range first + n {
		all = s.appendPacket(all, 0)
	}
	return all[first*packetSize:]
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestFollower(t *testing.T) {
	tables := packets(420, 2)
	damaged := packets(100, 200)
	for i := 100 * packetSize; i < 101*packetSize; i++ {
		damaged[i] = 0
	}
	tests := map[string]struct {
		bytes      []byte
		chunk      int
		gaps, lost int64
	}{
		"whole":               {packets(0, 300), 1316, 0, 0},
		"odd chunks":          {packets(0, 300), 1000, 0, 0},
		"tiny chunks":         {packets(0, 300), 7, 0, 0},
		"start in the middle": {packets(1000, 300), 1316, 0, 0},
		"prologue":            {join(tables, packets(1008, 300)), 1316, 0, 0},
		"prologue, cut":       {join(tables, packets(1008, 300)), 250, 0, 0},
		"one packet lost":     {join(packets(100, 100), packets(201, 100)), 1316, 1, 1},
		"early loss":          {join(packets(100, 4), packets(106, 100)), 1316, 1, 2},
		"big loss":            {join(packets(100, 100), packets(5000, 100)), 1316, 1, 4800},
		"two losses":          {join(packets(0, 100), packets(101, 99), packets(202, 99)), 376, 2, 3},
		"tables no prologue":  {join(packets(100, 100), tables, packets(1008, 100)), 188, 2, 806},
		"repeated":            {join(packets(100, 100), packets(199, 100)), 1316, 1, 0},
		"damaged":             {damaged, 188, 1, 0},
		"raster lost":         {join(packets(100, 100), []byte{0x47}, packets(200, 40)), 188 * 10, 4, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var f follower
			for b := test.bytes; len(b) > 0; {
				n := min(test.chunk, len(b))
				f.take(b[:n])
				b = b[n:]
			}
			if f.gaps != test.gaps || f.lost != test.lost {
				t.Errorf("%d gaps, %d lost; want %d, %d", f.gaps, f.lost, test.gaps, test.lost)
			}
			if f.offset != int64(len(test.bytes)) {
				t.Errorf("offset %d, want %d", f.offset, len(test.bytes))
			}
		})
	}
}

// Any chunking of an undamaged stream is without a gap, and what is returned is the
// first whole packet of the chunk.
func FuzzFollower(f *testing.F) {
	f.Add([]byte{1, 255, 188, 0, 187})
	f.Add([]byte{33, 32, 200})
	b := packets(417, 400)
	f.Fuzz(func(t *testing.T, cuts []byte) {
		var fo follower
		at := 0
		for _, c := range cuts {
			n := min(int(c)*3, len(b)-at)
			first, ok := fo.take(b[at : at+n])
			whole := (at + packetSize - 1) / packetSize
			if ok && first.seq != uint64(417+whole) {
				t.Fatalf("chunk at %d: first packet %d, want %d", at, first.seq, 417+whole)
			}
			if want := whole*packetSize+stampEnd <= at+n; ok != want {
				t.Fatalf("chunk at %d of %d bytes: stamp %v, want %v", at, n, ok, want)
			}
			at += n
		}
		if fo.gaps != 0 {
			t.Fatalf("%d gaps in an undamaged stream cut at %v", fo.gaps, cuts)
		}
	})
}

func TestSight(t *testing.T) {
	key := packets(24*packetsPerFrame, 400) // tables, then a key frame
	later := packets(24*packetsPerFrame+2, 3)
	tests := map[string]struct {
		bytes            []byte
		packet, keyFrame bool
	}{
		"nothing":                  {nil, false, false},
		"part of a packet":         {key[:packetSize-1], false, false},
		"one packet":               {key[:packetSize], true, false},
		"tables and key frame":     {key[:3*packetSize], true, true},
		"key frame without tables": {later, true, false},
		"key frame before tables":  {join(later, key[:2*packetSize]), true, false},
		"other picture":            {join(key[:2*packetSize], packets(packetsPerFrame, 20)), true, false},
	}
	for name, test := range tests {
		var s sight
		for _, v := range test.bytes {
			s.take([]byte{v})
		}
		if s.packet != test.packet || s.keyFrame != test.keyFrame {
			t.Errorf("%s: packet %v, key frame %v; want %v, %v", name, s.packet, s.keyFrame, test.packet, test.keyFrame)
		}
	}
}

// What is skipped is vouched for by the packet behind it.
func TestFollowerSkips(t *testing.T) {
	whole := packets(1000, 300)
	lost := join(packets(1000, 150), packets(1151, 149))
	for name, test := range map[string]struct {
		bytes []byte
		gaps  int64
	}{"whole": {whole, 0}, "one lost in what is skipped": {lost, 1}} {
		var f follower
		f.take(test.bytes[:100*packetSize])
		f.take(test.bytes[100*packetSize : 110*packetSize])
		f.skip(90*packetSize + 7)
		f.take(test.bytes[200*packetSize+7:])
		if f.gaps != test.gaps {
			t.Errorf("%s: %d gaps, want %d", name, f.gaps, test.gaps)
		}
	}
}
