// Package endtest is the suite that every source passes, whatever its kind: what
// endpoint.Source promises, tried on a real one.
package endtest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/history"
	"sluice/internal/uri"
)

// End is one kind of source under test.
type End struct {
	Opener endpoint.Opener
	Source uri.Source
	// Send makes the peer of the end send b as one unit (a datagram, a write).
	Send func(t *testing.T, b []byte)
	// Sizes of the units that the end has to carry whole; each is tried.
	Sizes []int
}

// Window is an endpoint.Writer on a real history.
type Window struct {
	*history.History
}

// NewWindow makes an empty Window that is freed when the test ends.
func NewWindow(t testing.TB) Window {
	pool := history.NewPool(0)
	w := Window{history.New(pool, history.Limits{Bytes: 1 << 30})}
	t.Cleanup(func() {
		w.Free()
		pool.Close()
	})
	return w
}

// Commit implements endpoint.Writer.
func (w Window) Commit(n int) { w.History.Commit(n, 0) }

// All is everything that came.
func (w Window) All() []byte {
	return bytes.Join(w.Slices(nil, w.Tail(), int(w.Head()-w.Tail())), nil)
}

// Run tries the suite on e.
func Run(t *testing.T, e End) {
	t.Run("NothingYet", func(t *testing.T) { nothingYet(t, e) })
	t.Run("SameDescriptors", func(t *testing.T) { sameDescriptors(t, e) })
	t.Run("WholeAndInOrder", func(t *testing.T) { wholeAndInOrder(t, e) })
	t.Run("OneSourceDoesNotHoldTheLoop", func(t *testing.T) { returnsEarly(t, e) })
	t.Run("CloseAndOpenAgain", func(t *testing.T) { closeAndOpen(t, e) })
}

// Open opens the end and closes it when the test ends.
func Open(t *testing.T, e End) endpoint.Source {
	t.Helper()
	src, err := e.Opener.Open(context.Background(), endpoint.Want{Source: e.Source})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return src
}

// Await waits until src is readable; the test's deadline bounds it.
func Await(t *testing.T, src endpoint.Source) {
	t.Helper()
	var fds []unix.PollFd
	for _, fd := range src.FDs() {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	for {
		n, err := unix.Poll(fds, 10_000)
		switch {
		case n > 0:
			return
		case err != nil && err != unix.EINTR:
			t.Fatal(err)
		case n == 0:
			t.Fatal("nothing arrived in 10 s")
		}
	}
}

// Collect drains src into w, at time 0, until it holds n bytes.
func Collect(t *testing.T, src endpoint.Source, w Window, n int) {
	t.Helper()
	for w.Head() < int64(n) {
		Await(t, src)
		if err := src.Drain(0, w); err != nil {
			t.Fatal(err)
		}
	}
}

// CollectUnits drains src into w, at the time now, until n units have come on all its
// legs together, whatever became of them.
func CollectUnits(t *testing.T, src endpoint.Source, w Window, n int, now time.Duration) {
	t.Helper()
	for Units(src) < uint64(n) {
		Await(t, src)
		if err := src.Drain(now, w); err != nil {
			t.Fatal(err)
		}
	}
}

// Units is how many units have come on all legs of src together.
func Units(src endpoint.Source) (n uint64) {
	for _, leg := range src.Counters().Legs {
		n += leg.Datagrams
	}
	return n
}

func nothingYet(t *testing.T, e End) {
	src, w := Open(t, e), NewWindow(t)
	if err := src.Drain(0, w); err != nil || w.Head() != 0 {
		t.Errorf("drained %d bytes of a silent source, error %v", w.Head(), err)
	}
}

// sameDescriptors: they are there, not one for two, and stay when something comes.
func sameDescriptors(t *testing.T, e End) {
	src, w := Open(t, e), NewWindow(t)
	before := slices.Clone(src.FDs())
	e.Send(t, []byte{0x47})
	Collect(t, src, w, 1)
	if after := src.FDs(); len(before) == 0 || !slices.Equal(before, after) {
		t.Errorf("descriptors %v, later %v", before, after)
	}
	slices.Sort(before)
	if unique := slices.Compact(before); len(unique) != len(src.FDs()) {
		t.Errorf("descriptors %v: one is there twice", src.FDs())
	}
}

func wholeAndInOrder(t *testing.T, e End) {
	src, w := Open(t, e), NewWindow(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var want []byte
	for round := range 40 {
		size := e.Sizes[round%len(e.Sizes)]
		for range 1 + rng.IntN(5) {
			unit := make([]byte, size)
			for i := range unit {
				unit[i] = byte(rng.Uint32())
			}
			unit[0] = 0x47 // nothing that looks like a wrapping to be taken off
			e.Send(t, unit)
			want = append(want, unit...)
		}
		Collect(t, src, w, len(want))
	}
	if !bytes.Equal(w.All(), want) {
		t.Errorf("%d bytes sent, %d came, or others", len(want), w.Head())
	}
	if src.Holding() {
		t.Error("keeps something back, though nothing is missing")
	}
}

func returnsEarly(t *testing.T, e End) {
	src, w := Open(t, e), NewWindow(t)
	unit := bytes.Repeat([]byte{0x47}, 32<<10)
	for range 64 {
		e.Send(t, unit)
	}
	Await(t, src)
	if err := src.Drain(0, w); err != nil {
		t.Fatal(err)
	}
	if w.Head() > 2<<20 {
		t.Errorf("one Drain moved %d bytes; about a MiB is promised", w.Head())
	}
}

func closeAndOpen(t *testing.T, e End) {
	for range 3 {
		src, err := e.Opener.Open(context.Background(), endpoint.Want{Source: e.Source})
		if err != nil {
			t.Fatal(err)
		}
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
