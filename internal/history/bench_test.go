package history_test

import (
	"testing"
	"time"

	"sluice/internal/history"
)

// What the loop does with a History for every datagram, every client's turn and every
// key frame. None of it allocates once the window is full; TestNoAllocation holds that,
// here the figure stands beside the time.

const (
	datagram = 1316
	depth    = 10 * time.Second
	interval = datagram * 8 * time.Second / 8_000_000 // of datagrams at 8 Mbit/s
)

// full is a history of a channel of 8 Mbit/s that has been open for longer than its
// depth, and the time of its newest byte.
func full(b *testing.B, shared bool) (*history.History, time.Duration) {
	pool := history.NewPool(0)
	b.Cleanup(pool.Close)
	h := history.New(pool, history.Limits{Depth: depth})
	b.Cleanup(h.Free)
	h.Share(shared)
	now := time.Duration(0)
	for ; now < 2*depth; now += interval {
		receive(h, now)
	}
	return h, now
}

// receive publishes one datagram, marks a second's first one, and retires what is due.
func receive(h *history.History, now time.Duration) {
	if now/time.Second != (now-interval)/time.Second {
		h.Mark(history.Mark{Offset: h.Head(), At: now})
	}
	_ = h.Reserve(datagram)
	h.Commit(datagram, now)
	for h.Due() {
		h.Retire()
	}
}

// One datagram: space for it, its publication, and its share of marks and of segments
// that come and go.
func BenchmarkReceive(b *testing.B) {
	for name, shared := range map[string]bool{"memory": false, "file": true} {
		b.Run(name, func(b *testing.B) {
			h, now := full(b, shared)
			b.SetBytes(datagram)
			b.ReportAllocs()
			for b.Loop() {
				receive(h, now)
				now += interval
			}
		})
	}
}

// One turn of a client: the pieces of 64 KiB, of one that keeps up and of one that is
// behind by the whole window.
func BenchmarkSlices(b *testing.B) {
	h, _ := full(b, false)
	const turn = 64 << 10
	for name, off := range map[string]int64{"live": h.Head() - turn, "behind": h.Tail(), "across": h.Tail() + history.SegmentSize - turn/2} {
		b.Run(name, func(b *testing.B) {
			var pieces [][]byte
			b.ReportAllocs()
			for b.Loop() {
				pieces = h.Slices(pieces[:0], off, turn)
			}
			if len(pieces) == 0 {
				b.Fatal("there is nothing to read")
			}
		})
	}
}

// The same turn when the bytes are sent from a file.
func BenchmarkExtent(b *testing.B) {
	h, _ := full(b, true)
	const turn = 64 << 10
	off := h.Head() - turn
	if _, ok := h.Extent(off, turn); !ok {
		b.Skip("this system has no files in memory")
	}
	b.ReportAllocs()
	for b.Loop() {
		if x, ok := h.Extent(off, turn); !ok || x.Length == 0 {
			b.Fatal("there is nothing to read")
		}
	}
}

// A point to start at comes; the newest one is looked up for a client that joins, and an
// older one for a client that wants to be further back.
func BenchmarkMark(b *testing.B) {
	h, now := full(b, false)
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			// With its datagrams: marks go with the segments that they stand in.
			h.Mark(history.Mark{Offset: h.Head(), At: now})
			receive(h, now)
			now += interval
		}
	})
	b.Run("latest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := h.Latest(); !ok {
				b.Fatal("there is no mark")
			}
		}
	})
	b.Run("before", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := h.Before(now - depth/2); !ok {
				b.Fatal("there is no mark")
			}
		}
	})
}
