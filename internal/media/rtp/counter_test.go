package rtp

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestCounter(t *testing.T) {
	run := func(from, to uint16) (all []uint16) {
		for seq := from; seq != to; seq++ {
			all = append(all, seq)
		}
		return all
	}
	for _, c := range []struct {
		name string
		seqs []uint16
		want Counter
	}{
		{"in order", run(65_000, 1000), Counter{}},
		{"one lost", []uint16{1, 2, 4, 5}, Counter{Lost: 1}},
		{"many lost", []uint16{1, 1000, 1001}, Counter{Lost: 998}},
		{"many lost, then swapped", []uint16{1, 1001, 1000}, Counter{Lost: 998, Reordered: 1}},
		{"as many as need no proof", []uint16{1, 513}, Counter{Lost: 511}},
		{"a stray within what may be lost", []uint16{1, 1000, 2, 3}, Counter{}},
		{"lost over the wrap", []uint16{65_534, 1}, Counter{Lost: 2}},
		{"each twice", []uint16{1, 1, 2, 2, 3, 3}, Counter{Duplicate: 3}},
		{"swapped", []uint16{1, 3, 2, 4}, Counter{Reordered: 1}},
		{"swapped at the wrap", []uint16{65_534, 0, 65_535, 1}, Counter{Reordered: 1}},
		{"late, then again", []uint16{1, 3, 2, 2}, Counter{Reordered: 1, Duplicate: 1}},
		{"an old one again", []uint16{1, 2, 3, 4, 2}, Counter{Duplicate: 1}},
		{"late by 100", append([]uint16{1}, append(run(3, 103), 2)...), Counter{Reordered: 1}},
		{"late in a large gap", []uint16{1, 200, 100, 150, 73}, Counter{Lost: 195, Reordered: 3}},
		{"from before the first", []uint16{10, 9, 11}, Counter{Reordered: 1}},
		{"one stray packet", []uint16{1, 2, 30_000, 3, 4}, Counter{}},
		{"a jump that is kept up", []uint16{1, 2, 30_000, 30_001, 30_002}, Counter{Restarts: 1}},
		{"two stray packets", []uint16{1, 2, 30_000, 3, 30_001, 4}, Counter{}},
		{"a jump, the first of it twice", []uint16{1, 2, 30_000, 30_000, 30_001}, Counter{Restarts: 1}},
		{"a jump, the next one lost", []uint16{1, 2, 30_000, 30_002}, Counter{Restarts: 1, Lost: 1}},
		{"a jump, swapped", []uint16{1, 2, 30_001, 30_000, 30_002}, Counter{Restarts: 1, Reordered: 1}},
		{"3000 ahead is loss", []uint16{1, 3001, 3002}, Counter{Lost: 2999}},
		{"3001 ahead is a restart", []uint16{1, 3002, 3003}, Counter{Restarts: 1}},
	} {
		var got Counter
		for _, seq := range c.seqs {
			got.Add(seq, 7)
		}
		c.want.Received = uint64(len(c.seqs))
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Counter{})); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestCounterNewSender(t *testing.T) {
	var c Counter
	for _, p := range []struct {
		seq  uint16
		ssrc uint32
	}{{1, 7}, {2, 7}, {2, 9}, {3, 7}, {50, 9}, {51, 9}, {53, 9}} {
		c.Add(p.seq, p.ssrc)
	}
	// One packet of another sender is a stray; two begin anew.
	want := Counter{Received: 7, Lost: 1, Restarts: 1}
	if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Counter{})); diff != "" {
		t.Error(diff)
	}
}

// TestCounterAgainstBookkeeping: whatever is dropped, doubled and delayed by less
// than the window, the counts are what a list of all packets says.
func TestCounterAgainstBookkeeping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint16().Draw(t, "first")
		seen := map[int]bool{0: true}
		order := []int{0}
		for n := 1; n < 400; n++ {
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0: // lost, or late by n
				if late := rapid.IntRange(0, 60).Draw(t, "late"); late > 0 {
					order = append(order, n+late, n)
				}
			case 1:
				order = append(order, n, n)
			default:
				order = append(order, n)
			}
		}
		var c Counter
		highest, duplicate, reordered := 0, 0, 0
		c.Add(first, 1)
		for _, n := range order[1:] {
			c.Add(first+uint16(n), 1)
			switch {
			case seen[n]:
				duplicate++
			case n < highest:
				reordered++
			}
			seen[n] = true
			highest = max(highest, n)
		}
		want := Counter{
			Received:  uint64(len(order)),
			Lost:      uint64(highest + 1 - len(seen)),
			Duplicate: uint64(duplicate),
			Reordered: uint64(reordered),
		}
		if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Counter{})); diff != "" {
			t.Error(diff)
		}
	})
}
