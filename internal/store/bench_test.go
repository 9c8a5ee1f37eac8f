package store_test

import (
	"strings"
	"testing"

	"sluice/internal/store"
)

// What it costs to open a complete object: near the root, and four directories below.
func BenchmarkOpen(b *testing.B) {
	for kind, st := range map[string]store.Store{
		"directory": writable(b, b.TempDir()),
		"memory":    closing(b, store.NewMemory(store.MemoryConfig{})),
	} {
		for depth, name := range map[string]string{"flat": "seg1.m4s", "deep": "live/cam1/video/1080/seg1.m4s"} {
			put(b, st, name, "text")
			b.Run(kind+"/"+depth, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					closeItem(b, openItem(b, st, name))
				}
			})
		}
	}
}

// What it costs to put an object of 100 kB there, as an upload of 10 pieces.
func BenchmarkPut(b *testing.B) {
	piece := strings.Repeat("x", 10_000)
	for kind, st := range map[string]store.Store{
		"directory": openDir(b, store.DirConfig{Path: b.TempDir(), Writable: true, Retention: store.Retention{Segments: -5}}),
		"memory":    closing(b, store.NewMemory(store.MemoryConfig{Retention: store.Retention{Segments: 5}})),
	} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				u := create(b, st, "seg1.m4s", store.Create{Size: -1})
				for range 10 {
					write(b, u, piece)
				}
				end(b, u)
			}
		})
	}
}
