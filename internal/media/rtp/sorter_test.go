package rtp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// belt drives a Sorter and keeps what comes out. Every packet's payload says which it is.
type belt struct {
	Sorter
	now time.Duration
	out []string
}

func (b *belt) push(leg int, seq uint16, ssrc uint32, payload string) {
	p := []byte(payload)
	if b.Push(leg, Header{Sequence: seq, SSRC: ssrc}, p, b.now) {
		b.out = append(b.out, payload)
	}
	for i := range p {
		p[i] = 'x' // the caller's buffer is used again
	}
	b.take()
}

func (b *belt) pass(d time.Duration) {
	b.now += d
	b.Expire(b.now)
	b.take()
}

func (b *belt) take() {
	for _, p := range b.Released() {
		b.out = append(b.out, string(p))
	}
}

// run plays a script of words: "7" is packet 7 on the first leg, "b7" on the second, "7/9"
// has SSRC 9 instead of 1, "7!" another payload, "1..5" is 1 2 3 4 5, "ab1..3" each on
// both legs, "+20" lets 20 ms pass and Expire look.
func (b *belt) run(t *testing.T, script string) {
	t.Helper()
	for _, word := range strings.Fields(script) {
		if ms, ok := strings.CutPrefix(word, "+"); ok {
			b.pass(time.Duration(number(t, ms)) * time.Millisecond)
			continue
		}
		legs := []int{0}
		if rest, ok := strings.CutPrefix(word, "ab"); ok {
			word, legs = rest, []int{0, 1}
		} else if rest, ok := strings.CutPrefix(word, "b"); ok {
			word, legs = rest, []int{1}
		}
		word, foreign := strings.CutSuffix(word, "!")
		numbers, ssrc, given := strings.Cut(word, "/")
		if !given {
			ssrc = "1"
		}
		from, to, span := strings.Cut(numbers, "..")
		if !span {
			to = from
		}
		for seq := number(t, from); seq <= number(t, to); seq++ {
			payload := strconv.Itoa(seq)
			if foreign {
				payload += "!"
			}
			for _, leg := range legs {
				b.push(leg, uint16(seq), uint32(number(t, ssrc)), payload)
			}
		}
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// words writes numbers out: "1..3 7" is "1 2 3 7".
func words(t *testing.T, script string) []string {
	var all []string
	for word := range strings.FieldsSeq(script) {
		from, to, span := strings.Cut(word, "..")
		if !span {
			all = append(all, word)
			continue
		}
		for n := number(t, from); n <= number(t, to); n++ {
			all = append(all, strconv.Itoa(n))
		}
	}
	return all
}

func TestSorter(t *testing.T) {
	for _, c := range []struct {
		name, in, out string
		want          Counts // but Received
		holding       bool
	}{
		{"in order, over the wrap", "65533..65535 0..3", "65533..65535 0..3", Counts{}, false},
		{"each twice", "1 1 2 2 3 3", "1..3", Counts{Duplicates: 3}, false},
		{"twice while it waits", "1 3 3 2", "1..3", Counts{Duplicates: 1, Reordered: 1}, false},
		{"swapped", "1 3 2 4", "1..4", Counts{Reordered: 1}, false},
		{"swapped over the wrap", "65535 1 0 2", "65535 0..2", Counts{Reordered: 1}, false},
		{"turned round", "1 5 4 3 2 6", "1..6", Counts{Reordered: 3}, false},
		{"two gaps, filled", "1 3 5 4 2 6", "1..6", Counts{Reordered: 2}, false},
		{"two gaps, one filled", "1 3 5 4", "1", Counts{Reordered: 1}, true},
		{"waits for Hold, not longer", "1 3 +49 4", "1", Counts{}, true},
		{"lost after Hold", "1 3 +49 4 +1 5", "1 3..5", Counts{Lost: 1}, false},
		{"each gap has its own time", "1 3 +30 5 +20 +29", "1 3", Counts{Lost: 1}, true},
		{"no packet waits longer than Hold", "1 9 +40 5 +10", "1 5 9", Counts{Lost: 6, Reordered: 1}, false},
		{"too late", "1 3 +50 2 4", "1 3 4", Counts{Lost: 1, Late: 1}, false},
		{"too late, and again", "1 3 +50 2 2 4", "1 3 4", Counts{Lost: 1, Late: 1, Duplicates: 1}, false},
		{"from before the first", "10 9 11", "10 11", Counts{Late: 1}, false},
		{"the window is full", "1 3..513", "1", Counts{}, true},
		{"the window is over-full", "1 3..514", "1 3..514", Counts{Lost: 1}, false},
		{"a gap as large as the window", "1 513 +50", "1 513", Counts{Lost: 511}, false},
		{"a loss larger than the window", "1 1000 1001 +50", "1 1000 1001", Counts{Lost: 998}, false},
		{"one stray packet", "1 2 30000 3 4", "1..4", Counts{Stray: 1}, false},
		{"a stray packet that would be loss", "1 2 1000 3 4", "1..4", Counts{Stray: 1}, false},
		{"two stray packets", "1 2 30000 3 30001 4", "1..4", Counts{Stray: 2}, false},
		{"a stray packet of another sender", "1 2 3/9 3 4", "1..4", Counts{Stray: 1}, false},
		{"two senders in turn", "1 50/9 2 51/9 3 52/9 4", "1..4", Counts{Stray: 3}, false},
		{"a jump that is kept up", "1 2 30000..30002", "1 2 30000..30002", Counts{Restarts: 1}, false},
		{"a jump back", "3000 3001 1..3", "3000 3001 1..3", Counts{Restarts: 1}, false},
		{"a jump, swapped", "1 2 30001 30000 30003 30002", "1 2 30000..30003", Counts{Restarts: 1, Reordered: 2}, false},
		{"a jump, the second lost", "1 2 30000 30002 30003 +50", "1 2 30000 30002 30003", Counts{Restarts: 1, Lost: 1}, false},
		{"a jump behind a gap", "1 3 30000 30001", "1 3 30000 30001", Counts{Restarts: 1, Lost: 1}, false},
		{"a jump, the old ones still come", "1..3 30000 30001 4 30002", "1..3 30000..30002", Counts{Restarts: 1, Stray: 1}, false},
		{"a new sender", "1 2 30000/9 30001/9", "1 2 30000 30001", Counts{Restarts: 1}, false},
		{"a new sender with old numbers", "1..9 1/9 2/9 3/9", "1..9 1..3", Counts{Restarts: 1}, false},
		{"a new sender behind a gap", "1 3 7/9 8/9", "1 3 7 8", Counts{Restarts: 1, Lost: 1}, false},
		{"a sender whose SSRC is never the same", "1/1 2/2 3/3 4/4 5/5", "1..5", Counts{Restarts: 2}, false},
		{"a jump that nothing follows", "1 2 30000 +49", "1 2", Counts{}, true},
		{"a jump that nothing follows for Hold", "1 2 30000 +50 30001", "1 2 30000 30001", Counts{Restarts: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b belt
			b.run(t, c.in)
			check(t, &b, c.out, c.want, c.holding)
		})
	}
}

// check compares what came out and what was counted; the sum of the counts must fit.
func check(t *testing.T, b *belt, out string, want Counts, holding bool) {
	t.Helper()
	if diff := cmp.Diff(words(t, out), b.out); diff != "" {
		t.Errorf("other packets came out (-want): %s", diff)
	}
	want.Received = b.Received
	if diff := cmp.Diff(want, b.Counts); diff != "" {
		t.Errorf("counts (-want): %s", diff)
	}
	if b.Holding() != holding {
		t.Errorf("holding: %v", b.Holding())
	}
	if err := balance(b); err != nil {
		t.Error(err)
	}
}

// balance says whether each packet is counted exactly once.
func balance(b *belt) error {
	held := uint64(b.waiting)
	for _, l := range b.legs {
		if l.run.doubted {
			held++
		}
	}
	sum := uint64(len(b.out)) + b.Duplicates + b.Copies + b.Late + b.Stray + b.Apart + held
	if sum != b.Received {
		return fmt.Errorf("%d received, but %d passed on and %+v and %d held", b.Received, len(b.out), b.Counts, held)
	}
	return nil
}

func TestTwoLegs(t *testing.T) {
	for _, c := range []struct {
		name, in, out string
		want          Counts
		lost          [2]uint64
		dropped       [2]string
	}{
		{"the same on both", "ab1..5", "1..5", Counts{Copies: 5}, [2]uint64{}, [2]string{}},
		{"each loses some", "b0 ab1 2 ab3 b4 ab5 b5", "0..5", Counts{Copies: 3, Duplicates: 1}, [2]uint64{2, 1}, [2]string{}},
		{"nothing in common", "1 b2 3 b4 5 6 b7 8", "1..8", Counts{}, [2]uint64{3, 4}, [2]string{}},
		{"lost on both", "ab1 ab3 +50", "1 3", Counts{Lost: 1, Copies: 2}, [2]uint64{}, [2]string{}},
		{"the second is faster", "b1..4 1..4 b5..8 6..8", "1..8", Counts{Copies: 7}, [2]uint64{1, 0}, [2]string{}},
		{"the slower one fills a gap", "1..4 6..9 b1..9", "1..9", Counts{Copies: 8, Reordered: 1}, [2]uint64{1, 0}, [2]string{}},
		{"too slow to fill a gap", "1..4 6..9 +50 b1..9", "1..4 6..9", Counts{Copies: 8, Lost: 1, Late: 1}, [2]uint64{}, [2]string{}},
		{"one stops", "ab1..5 6..9", "1..9", Counts{Copies: 5}, [2]uint64{}, [2]string{}},
		{"one stops, the other loses", "ab1..5 6 8 +50 9", "1..6 8 9", Counts{Copies: 5, Lost: 1}, [2]uint64{}, [2]string{}},
		{"one comes back", "ab1..5 6..9 b10 10", "1..10", Counts{Copies: 6}, [2]uint64{0, 4}, [2]string{}},
		{"other SSRCs", "1 b1/2 2 b2/2 3 b3/2 4 b4/2 b5/2 6 b6/2", "1..6", Counts{Copies: 5}, [2]uint64{1, 0}, [2]string{}},
		{"other SSRCs, before it is proved", "1 b1/2 2 b2/2 b3/2 4 b4/2 b5/2 +50", "1 2 4", Counts{Copies: 3, Apart: 2, Lost: 1}, [2]uint64{}, [2]string{}},

		{"the sender jumps", "ab1..5 ab30000..30003", "1..5 30000..30003", Counts{Copies: 7, Apart: 2, Restarts: 1}, [2]uint64{}, [2]string{}},
		{"the sender is replaced", "ab1..5 ab1/9 ab2/9 ab3/9", "1..5 1..3", Counts{Copies: 6, Apart: 2, Restarts: 1}, [2]uint64{}, [2]string{}},
		{
			"the faster leg jumps first", "ab1 2..4 30000..30004 b2..4 b30000..30004 30005 b30005",
			"1..4 30000..30005",
			Counts{Copies: 5, Apart: 5, Restarts: 1},
			[2]uint64{},
			[2]string{},
		},
		{"the sender jumps while one leg is silent", "ab1..5 +1000 30000 30001 b30000 b30001", "1..5 30000 30001", Counts{Copies: 5 + 2, Restarts: 1}, [2]uint64{}, [2]string{}},
		{
			"a leg that was away for long", "ab1..5 6..4000 b4001..4007 4001..4007", "1..4007",
			Counts{Copies: 5, Apart: 7},
			[2]uint64{1: 3995},
			[2]string{},
		},

		{"a leg that jumped takes over when the other falls silent", "ab1..5 30000..30003 +200 30004..30025", "1..5 30015..30025", Counts{Copies: 5, Apart: 15, Restarts: 1}, [2]uint64{}, [2]string{}},
		{"one corrupted packet", "ab1..5 6 b6! ab7..9", "1..9", Counts{Copies: 9}, [2]uint64{}, [2]string{}},
		{"three corrupted packets", "ab1..5 6..8 b6..8! ab9", "1..9", Counts{Copies: 9}, [2]uint64{}, [2]string{}},
		{"other payloads", "1..9 b1..9! 10", "1..10", Counts{Copies: 3, Apart: 1}, [2]uint64{1: 1}, [2]string{1: reasonDiffer}},
		{"other payloads, ahead", "1 b5..9! 2..12", "1..4 5! 6! 7! 8! 9! 10..12", Counts{Copies: 5, Reordered: 3}, [2]uint64{1: 4}, [2]string{1: reasonDiffer}},
		{"other payloads and another SSRC, ahead", "1 b5..9/2! 2..12", "1..12", Counts{Apart: 5}, [2]uint64{}, [2]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := belt{Sorter: Sorter{Legs: 2}}
			b.run(t, c.in)
			check(t, &b, c.out, c.want, false)
			for i := range 2 {
				if got := b.LegLost(i); got != c.lost[i] {
					t.Errorf("leg %d lost %d, want %d", i, got, c.lost[i])
				}
				if got := b.Dropped(i); got != c.dropped[i] {
					t.Errorf("leg %d dropped: %q, want %q", i, got, c.dropped[i])
				}
			}
		})
	}
}

var (
	_ = rapid.Check
	_ = slices.Sort[[]int]
)
