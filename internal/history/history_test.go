package history_test

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/internal/history"
)

// TestModel drives a History and a plain byte slice with the same operations: what a
// reader sees at any offset of the window is what was written there.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := history.NewPool(rapid.SampledFrom([]int64{0, 3 * history.SegmentSize}).Draw(t, "limit"))
		defer pool.Close()
		h := history.New(pool, history.Limits{Depth: time.Second, Bytes: 5 * history.SegmentSize})
		defer h.Free()
		var all []byte // everything ever written
		var marks []int64
		now := time.Duration(0)
		write := func(n int, reserve bool) {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte((len(all) + i) * 131 >> 3)
			}
			if reserve {
				space := h.Reserve(max(n, 1))
				copy(space, b)
				h.Commit(n, now)
			} else {
				h.Write(b, now)
			}
			all = append(all, b...)
		}
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) { write(rapid.IntRange(0, history.SegmentSize).Draw(t, "n"), true) },
			"write":   func(t *rapid.T) { write(rapid.IntRange(0, 2*history.SegmentSize).Draw(t, "n"), false) },
			"mark": func(t *rapid.T) {
				h.Mark(history.Mark{Offset: h.Head()})
				marks = append(marks, h.Head())
			},
			"pass": func(t *rapid.T) { now += time.Duration(rapid.IntRange(0, 700).Draw(t, "ms")) * time.Millisecond },
			"retire": func(t *rapid.T) {
				for h.Due() {
					tail := h.AfterRetire()
					h.Retire()
					if h.Tail() != tail {
						t.Fatalf("tail %d after Retire, AfterRetire said %d", h.Tail(), tail)
					}
				}
			},
			"": func(t *rapid.T) {
				if h.Head() != int64(len(all)) {
					t.Fatalf("head %d, written %d", h.Head(), len(all))
				}
				off := rapid.Int64Range(h.Tail(), h.Head()).Draw(t, "off")
				limit := rapid.IntRange(1, 3*history.SegmentSize).Draw(t, "limit")
				got := bytes.Join(h.Slices(nil, off, limit), nil)
				want := all[off:min(int64(len(all)), off+int64(limit))]
				if !bytes.Equal(got, want) {
					t.Fatalf("at %d: %d bytes differ from the %d written", off, len(got), len(want))
				}
				checkLatest(t, h, marks)
			},
		})
	})
}

func checkLatest(t *rapid.T, h *history.History, marks []int64) {
	want, found := int64(0), false
	for _, m := range marks {
		if m >= h.Tail() {
			want, found = m, true
		}
	}
	got, ok := h.Latest()
	if ok != found || got.Offset != want {
		t.Fatalf("latest mark %d %v, want %d %v (tail %d)", got.Offset, ok, want, found, h.Tail())
	}
}

// TestBefore: a reader that wants to go back gets the mark that is old enough, and not
// older than it has to be.
func TestBefore(t *testing.T) {
	pool := history.NewPool(0)
	defer pool.Close()
	h := history.New(pool, history.Limits{Depth: time.Second})
	defer h.Free()
	if _, ok := h.Before(time.Hour); ok {
		t.Error("a mark in an empty window")
	}
	for s := range int64(4) {
		h.Mark(history.Mark{Offset: h.Head(), At: time.Duration(s) * time.Second})
		h.Write(make([]byte, history.SegmentSize), time.Duration(s)*time.Second)
	}
	check := func(at time.Duration, want int64) {
		t.Helper()
		if m, ok := h.Before(at); !ok || m.Offset != want*history.SegmentSize {
			t.Errorf("before %v: the mark at %d %v, want that at %d", at, m.Offset, ok, want*history.SegmentSize)
		}
	}
	check(0, 0)
	check(1999*time.Millisecond, 1)
	check(2*time.Second, 2)
	check(time.Hour, 3)
	h.Retire()
	check(0, 1)
}

func TestDueKeepsTheLimits(t *testing.T) {
	pool := history.NewPool(0)
	defer pool.Close()
	h := history.New(pool, history.Limits{Depth: time.Second, Bytes: 4 * history.SegmentSize})
	defer h.Free()
	now := time.Duration(0)
	for range 20 {
		h.Write(make([]byte, history.SegmentSize), now)
		for h.Due() {
			h.Retire()
		}
		if h.Held() > 4*history.SegmentSize {
			t.Fatalf("holds %d bytes, the limit is %d", h.Held(), 4*history.SegmentSize)
		}
	}
	now += 2 * time.Second
	h.Write([]byte("new"), now)
	for h.Due() {
		h.Retire()
	}
	if h.Held() != history.SegmentSize {
		t.Errorf("after the depth only the open segment stays, holds %d", h.Held())
	}
}

func TestPoolCounts(t *testing.T) {
	pool := history.NewPool(2 * history.SegmentSize)
	defer pool.Close()
	h := history.New(pool, history.Limits{})
	for i := range int64(40) {
		if over := i > 2; pool.Used() != i*history.SegmentSize || pool.Over() != over {
			t.Fatalf("after %d segments: %d bytes used, over %v", i, pool.Used(), pool.Over())
		}
		h.Write(make([]byte, history.SegmentSize), 0)
	}
	h.Free()
	if pool.Used() != 0 {
		t.Errorf("%d bytes in use after Free", pool.Used())
	}
}

func TestNoAllocation(t *testing.T) {
	pool := history.NewPool(0)
	defer pool.Close()
	h := history.New(pool, history.Limits{Depth: time.Hour, Bytes: 4 * history.SegmentSize})
	defer h.Free()
	var pieces [][]byte
	push := func() {
		h.Commit(len(h.Reserve(1316)[:1316]), 0)
		for h.Due() {
			h.Retire()
		}
		pieces = h.Slices(pieces[:0], h.Tail(), 64<<10)
	}
	for range 2000 {
		push()
	}
	if n := testing.AllocsPerRun(2000, push); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}

func BenchmarkHistory(b *testing.B) {
	pool := history.NewPool(0)
	defer pool.Close()
	h := history.New(pool, history.Limits{})
	defer h.Free()
	b.SetBytes(1316)
	for b.Loop() {
		h.Commit(len(h.Reserve(1316)[:1316]), 0)
		if h.Due() {
			h.Retire()
		}
	}
}
