package store_test

import (
	"fmt"
	"testing"

	"sluice/internal/store"
)

// retained is acceptance line 49 as far as both kinds of store have it in common.
func retained(t *testing.T, open makeStore) {
	t.Run("old segments go, each representation by itself", func(t *testing.T) {
		st := open(t, store.Retention{Segments: -2})
		put(t, st, "v/init-1.mp4", "i")
		put(t, st, "live.mpd", "m")
		for n := range 3 {
			put(t, st, fmt.Sprintf("v/seg-%d.m4s", n+8), "v")
			put(t, st, fmt.Sprintf("v/chunk-a-%d.m4s", n+8), "a")
		}
		if got := listed(t, st, "v"); got != "v/chunk-a-10.m4s v/chunk-a-9.m4s v/init-1.mp4 v/seg-10.m4s v/seg-9.m4s" {
			t.Errorf("there is %s", got)
		}
		put(t, st, "v/seg-9.m4s", "again, and so the newest")
		put(t, st, "v/seg-11.m4s", "v")
		if got := listed(t, st, "v"); got != "v/chunk-a-10.m4s v/chunk-a-9.m4s v/init-1.mp4 v/seg-11.m4s v/seg-9.m4s" {
			t.Errorf("there is %s", got)
		}
		events, stop := record(st)
		defer stop()
		put(t, st, "v/seg-12.m4s", "v")
		if got := events(); got != "began v/seg-12.m4s, ended v/seg-12.m4s, removed v/seg-9.m4s" {
			t.Errorf("what happened: %s", got)
		}
	})
	t.Run("nothing goes that is read, nor what came after it", func(t *testing.T) {
		st := open(t, store.Retention{Segments: -1})
		put(t, st, "seg1.ts", "one")
		it := openItem(t, st, "seg1.ts")
		put(t, st, "seg2.ts", "two")
		put(t, st, "seg3.ts", "three")
		if got := listed(t, st, "."); got != "seg1.ts seg2.ts seg3.ts" {
			t.Errorf("there is %s", got)
		}
		if text := content(t, it); text != "one" {
			t.Errorf("%q", text)
		}
		closeItem(t, it)
		put(t, st, "seg4.ts", "four")
		if got := listed(t, st, "."); got != "seg4.ts" {
			t.Errorf("there is %s", got)
		}
	})
	t.Run("nothing goes that is being written again", func(t *testing.T) {
		st := open(t, store.Retention{Segments: -1})
		put(t, st, "seg1.ts", "old")
		u := create(t, st, "seg1.ts", store.Create{Hidden: true, Size: -1})
		put(t, st, "seg2.ts", "two")
		if text := read(t, st, "seg1.ts"); text != "old" {
			t.Errorf("%q", text)
		}
		u.Abort(nil)
		put(t, st, "seg3.ts", "three")
		if got := listed(t, st, "."); got != "seg3.ts" {
			t.Errorf("there is %s", got)
		}
	})
	t.Run("parts go with their segment", func(t *testing.T) {
		st := open(t, store.Retention{Segments: -1})
		for n := range 4 {
			for part := range 3 {
				put(t, st, fmt.Sprintf("seg%d.part%d.m4s", n, part), "p")
				put(t, st, fmt.Sprintf("seg%d.m4s.%d", n, part), "p")
			}
			if n < 3 {
				put(t, st, fmt.Sprintf("seg%d.m4s", n), "s")
			}
		}
		want := "seg2.m4s seg2.m4s.0 seg2.m4s.1 seg2.m4s.2 seg2.part0.m4s seg2.part1.m4s seg2.part2.m4s " +
			"seg3.m4s.0 seg3.m4s.1 seg3.m4s.2 seg3.part0.m4s seg3.part1.m4s seg3.part2.m4s"
		if got := listed(t, st, "."); got != want {
			t.Errorf("there is %s", got)
		}
	})
}
