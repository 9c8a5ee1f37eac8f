package object_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"

	"sluice/internal/object"
)

// What an append costs its writer while so many readers wait for it. They are all waiting again before the next one: in
// between they are served, which is not in the time. "memory" is what a waiting reader costs, with its goroutine.
func BenchmarkWrite(b *testing.B) {
	for _, readers := range []int{0, 1, 100, 1000} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) { benchmarkWrite(b, readers) })
	}
}

func benchmarkWrite(b *testing.B, readers int) {
	o := object.New(ring{})
	ctx, cancel := context.WithCancel(b.Context())
	var all, waiting sync.WaitGroup
	before := memory()
	waiting.Add(readers)
	for range readers {
		r, err := o.Reader(0, -1)
		if err != nil {
			b.Fatal(err)
		}
		all.Go(func() {
			defer r.Close()
			_, _ = r.Copy(ctx, io.Discard, func() error { waiting.Done(); return nil }) // it ends with ctx
		})
	}
	piece := make([]byte, 1200)
	if _, err := o.Write(piece); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		waiting.Wait()
		waiting.Add(readers)
		b.StartTimer()
		if _, err := o.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
	waiting.Wait()
	if readers > 0 {
		b.ReportMetric(float64(memory()-before)/float64(readers), "B/reader")
	}
	cancel()
	all.Wait()
	o.End()
}

// ring is a body that takes all and holds nothing.
type ring struct{}

func (ring) Write(p []byte) (int, error)           { return len(p), nil }
func (ring) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (ring) Close() error                          { return nil }

// memory is what stacks and heap have, in bytes.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
