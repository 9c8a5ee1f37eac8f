package rtp

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// arrival is a packet that comes on a leg, in milliseconds.
type arrival struct{ at, leg, n int }

// drawArrivals is what a sender of one packet a millisecond makes of two ways that lose,
// double and delay: the first packet comes on both, before all others, and none is
// delayed by more than Hold.
func drawArrivals(t *rapid.T, packets int) []arrival {
	late := rapid.SliceOfN(rapid.IntRange(0, 40), 2, 2).Draw(t, "delay of a leg")
	all := []arrival{{0, 0, 0}, {0, 1, 0}}
	for n := 1; n < packets; n++ {
		for leg := range 2 {
			at := n + late[leg]
			switch rapid.IntRange(0, 5).Draw(t, "fate") {
			case 0:
				continue
			case 1:
				all = append(all, arrival{n + rapid.IntRange(0, 45).Draw(t, "again"), leg, n})
			case 2:
				at = n + rapid.IntRange(0, 45).Draw(t, "delay")
			}
			all = append(all, arrival{at, leg, n})
		}
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	return all
}

// account is what a Sorter must make of arrivals, by a list of all packets.
func account(all []arrival) (out []string, want Counts, lost [2]uint64) {
	seen := map[arrival]bool{}
	came := map[int]bool{}
	var newest [2]int
	last := 0
	for _, a := range all {
		want.Received++
		key := arrival{0, a.leg, a.n}
		switch {
		case seen[key]:
			want.Duplicates++
		case came[a.n]:
			want.Copies++
		case a.n < last:
			want.Reordered++
		}
		seen[key], came[a.n] = true, true
		last = max(last, a.n)
		newest[a.leg] = max(newest[a.leg], a.n)
	}
	for n := range last + 1 {
		if !came[n] {
			want.Lost++
			continue
		}
		out = append(out, strconv.Itoa(n))
		for leg := range lost {
			if n <= newest[leg] && !seen[arrival{0, leg, n}] {
				lost[leg]++
			}
		}
	}
	return out, want, lost
}

// TestMergeAgainstBookkeeping: whatever two legs lose, double and delay, each packet that
// came on either is there once and in order, and all counts are exact.
func TestMergeAgainstBookkeeping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint16().Draw(t, "start")
		all := drawArrivals(t, 300)
		b := belt{Sorter: Sorter{Legs: 2}}
		for _, a := range all {
			b.pass(time.Duration(a.at)*time.Millisecond - b.now)
			b.push(a.leg, start+uint16(a.n), 1, strconv.Itoa(a.n))
		}
		b.pass(DefaultHold)
		out, want, lost := account(all)
		if !slices.Equal(b.out, out) {
			t.Errorf("came out: %v, want %v", b.out, out)
		}
		if b.Counts != want {
			t.Errorf("counts %+v, want %+v", b.Counts, want)
		}
		for leg := range lost {
			if got := b.LegLost(leg); got != lost[leg] {
				t.Errorf("leg %d lost %d, want %d", leg, got, lost[leg])
			}
			if b.Dropped(leg) != "" {
				t.Errorf("leg %d dropped: %s", leg, b.Dropped(leg))
			}
		}
		if b.Holding() {
			t.Error("holds something still")
		}
	})
}

// FuzzSorter: whatever comes, memory is bounded, payloads stay what they were, each
// packet is accounted for, and between restarts the order is right.
func FuzzSorter(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x01\x00\x01\x00\x01"))
	f.Add([]byte("\x00\x01\x00\x03\x00\x01\x02\x32\x00\x01"))         // a gap, given up
	f.Add([]byte("\x00\x01\x01\x01\x00\x01\x01\x01\x10\x01\x11\x01")) // two legs; a new sender
	f.Add([]byte("\x00\x01\x03\x70\x00\x01\x03\x70\x00\x01\x00\x01")) // jumps
	f.Add([]byte("\x20\x01\x21\x01\x24\x01\x25\x01\x24\x01\x25\x01\x24\x01\x25\x01\x24\x01\x25\x01"))
	f.Add([]byte("\x08\x01\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02\x08\x02"))
	f.Fuzz(func(t *testing.T, script []byte) {
		sim := simulation{t: t, Sorter: Sorter{Legs: 2}}
		for script = script[:min(len(script), 4096)]; len(script) >= 2; {
			sim.step(script[0], script[1])
			script = script[2:]
		}
	})
}

// simulation does what a fuzzer says, two bytes at a time.
type simulation struct {
	Sorter
	t      *testing.T
	now    time.Duration
	seq    [2]uint16
	passed uint64
	last   uint16
	turns  uint64 // how often the order was broken
}

func (m *simulation) step(kind, by byte) {
	leg := int(kind & 1)
	switch {
	case kind&2 != 0 && by < 128:
		m.now += time.Duration(by) * time.Millisecond
		m.Expire(m.now)
	case kind&2 != 0:
		m.seq[leg] += uint16(by) << 7
		return
	case kind == 0xFC:
		m.Drop(leg, "because")
		return
	default:
		m.seq[leg] += uint16(int8(by))
		m.receive(leg, kind)
	}
	m.take()
}

func (m *simulation) receive(leg int, kind byte) {
	seq := m.seq[leg]
	size := 2 + int(kind&4)*5
	if kind&8 != 0 {
		size = 60_000
	}
	payload := bytes.Repeat([]byte{kind & 0x20}, size)
	binary.BigEndian.PutUint16(payload, seq)
	if m.Push(leg, Header{Sequence: seq, SSRC: uint32(kind & 0x50)}, payload, m.now) {
		m.pass(payload)
	}
	clear(payload)
}

func (m *simulation) take() {
	for _, p := range m.Released() {
		m.pass(p)
	}
	held := uint64(m.waiting)
	for _, l := range m.legs {
		if l.run.doubted {
			held++
		}
	}
	if sum := m.passed + m.Duplicates + m.Copies + m.Late + m.Stray + m.Apart + held; sum != m.Received {
		m.t.Fatalf("%d received, %d accounted for: %d passed, %+v, %d held", m.Received, sum, m.passed, m.Counts, held)
	}
	if m.waiting > reach || m.size > maxSize+1<<16 || m.spareSize > maxSpare || (m.waiting == 0) != (m.size == 0) {
		m.t.Fatalf("holds %d packets of %d bytes, %d bytes spare", m.waiting, m.size, m.spareSize)
	}
}

func (m *simulation) pass(p []byte) {
	if len(p) < 2 || bytes.Count(p[2:], p[len(p)-1:]) != len(p)-2 && len(p) > 2 {
		m.t.Fatalf("a payload is not what it was")
	}
	seq := binary.BigEndian.Uint16(p)
	if m.passed > 0 && !before(m.last, seq) {
		if m.turns++; m.turns > m.Restarts {
			m.t.Fatalf("%d after %d, %d restarts", seq, m.last, m.Restarts)
		}
	}
	m.last = seq
	m.passed++
}

func BenchmarkSorter(b *testing.B) {
	payload := bytes.Repeat([]byte{0x47}, 7*tsPacket)
	for name, order := range map[string][]uint16{
		"in order":             {0, 1, 2, 3, 4, 5, 6, 7},
		"one of eight swapped": {0, 1, 2, 4, 3, 5, 6, 7},
	} {
		b.Run(name, func(b *testing.B) {
			var s Sorter
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				seq := uint16(n)&^7 + order[n%8]
				s.Push(0, Header{Sequence: seq, SSRC: 1}, payload, 0)
			}
		})
	}
	b.Run("two legs", func(b *testing.B) {
		s := Sorter{Legs: 2}
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			s.Push(n&1, Header{Sequence: uint16(n / 2), SSRC: 1}, payload, 0)
		}
	})
}

// TestInOrderAllocatesNothing: neither in order nor, once it has its buffers, out of it.
func TestInOrderAllocatesNothing(t *testing.T) {
	s := Sorter{Legs: 2}
	payload := bytes.Repeat([]byte{0x47}, 7*tsPacket)
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		for _, d := range []uint16{0, 2, 1, 3} {
			for leg := range 2 {
				s.Push(leg, Header{Sequence: seq + d, SSRC: 1}, payload, 0)
			}
		}
		seq += 4
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
