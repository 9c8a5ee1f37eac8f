package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"sluice/internal/store"
	"sluice/internal/testkit"
)

// TestMemoryFull: old segments make room for new ones, nothing else does, and what is announced as too large does not begin.
func TestMemoryFull(t *testing.T) {
	st := closing(t, store.NewMemory(store.MemoryConfig{Limit: 100_000, Retention: store.Retention{Segments: 100}}))
	put(t, st, "live.m3u8", "kept")
	for n := range 20 {
		put(t, st, fmt.Sprintf("seg%d.ts", n), strings.Repeat("x", 20_000))
	}
	if got := listed(t, st, "."); !strings.HasPrefix(got, "live.m3u8 seg1") || !strings.HasSuffix(got, " seg19.ts") || strings.Contains(got, "seg9.") {
		t.Errorf("there is %s", got)
	}
	if _, err := st.Create("big.bin", store.Create{Size: 100_001}); !errors.Is(err, store.ErrFull) {
		t.Errorf("announced: %v", err)
	}
	u := create(t, st, "big.bin", store.Create{Size: -1})
	var err error
	for err == nil {
		_, err = u.Write(make([]byte, 5000))
	}
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("grown: %v", err)
	}
	u.Abort(err)
	if got := listed(t, st, "."); got != "live.m3u8" {
		t.Errorf("there is %s", got)
	}
}

// TestMemoryTimeShift: in memory the lesser of the amount and the time shift is kept, and one segment at least (acceptance line 49).
func TestMemoryTimeShift(t *testing.T) {
	for _, c := range []struct{ segments, shift, want int }{{5, 0, 5}, {-5, 0, 5}, {0, 0, 1}, {5, 3, 3}, {2, 3, 2}} {
		st := closing(t, store.NewMemory(store.MemoryConfig{Retention: store.Retention{Segments: c.segments, TimeShift: c.shift}}))
		for n := range 10 {
			put(t, st, fmt.Sprintf("seg%d.ts", n), "x")
		}
		if objects, _ := st.Usage(); objects != c.want {
			t.Errorf("%+v: %d are kept", c, objects)
		}
	}
	st := closing(t, store.NewMemory(store.MemoryConfig{Retention: store.Retention{Segments: 50}}))
	put(t, st, "a/live.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ns1.ts\n#EXTINF:2,\ns2.ts\n#EXTINF:2,\ns3.ts\n")
	for n := range 10 {
		put(t, st, fmt.Sprintf("a/s%d.ts", n), "x")
		put(t, st, fmt.Sprintf("b/s%d.ts", n), "x")
	}
	if got := listed(t, st, "a"); got != "a/live.m3u8 a/s6.ts a/s7.ts a/s8.ts a/s9.ts" {
		t.Errorf("there is %s", got)
	}
	if got := listed(t, st, "b"); strings.Count(got, " ") != 9 {
		t.Errorf("there is %s", got)
	}
}

// TestMemoryAwait: who waits in memory is woken by what can be opened, and by nothing else.
func TestMemoryAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := store.NewMemory(store.MemoryConfig{})
		awaits := func(name string) *error {
			outcome := new(error)
			*outcome = errWaits
			go func() { *outcome = st.Await(t.Context(), name) }()
			synctest.Wait()
			return outcome
		}
		is := func(outcome *error, want error) {
			t.Helper()
			if synctest.Wait(); !errors.Is(*outcome, want) {
				t.Errorf("%v, not %v", *outcome, want)
			}
		}
		visible, hidden, kept, never := awaits("v"), awaits("h"), awaits("k"), awaits("never")
		v, h := create(t, st, "v", store.Create{Size: -1}), create(t, st, "h", store.Create{Size: -1, Hidden: true})
		is(visible, nil)
		is(hidden, errWaits)
		end(t, h)
		is(hidden, nil)
		end(t, v)
		create(t, st, "k", store.Create{Size: -1, Hidden: true}).Abort(nil)
		is(kept, errWaits)
		put(t, st, "never/was/a/file", "")
		is(never, errWaits)
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		is(never, fs.ErrClosed)
		is(kept, fs.ErrClosed)
	})
}

var errWaits = errors.New("it waits still")

// TestMemoryLimit: whatever is done, no more than the limit is taken, what is open can be read, and all is given back.
func TestMemoryLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &limited{
			st:      store.NewMemory(store.MemoryConfig{Limit: 20_000, Retention: store.Retention{Segments: 3}}),
			uploads: map[string]*growing{}, items: map[*store.Item]string{}, texts: map[string]string{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "write": m.write, "end": m.end, "abort": m.abort,
			"open": m.open, "close": m.close, "remove": m.remove, "": m.check,
		})
		for name, g := range m.uploads {
			g.Abort(nil)
			delete(m.uploads, name)
		}
		for it := range m.items {
			closeOne(t, it)
		}
		if err := m.st.Close(); err != nil {
			t.Fatal(err)
		}
		if objects, used := m.st.Usage(); objects != 0 || used != 0 {
			t.Fatalf("in the end %d objects have %d bytes", objects, used)
		}
	})
}

type limited struct {
	st      store.Store
	uploads map[string]*growing
	items   map[*store.Item]string // with the text that they had when they were opened
	texts   map[string]string      // of what is complete; it may have been removed
}

type growing struct {
	store.Upload
	text string
}

var limitedNames = []string{"a1.ts", "a2.ts", "a3.ts", "a4.ts", "b1.ts", "b2.ts", "live.mpd", "d/init.mp4"}

func (m *limited) begin(t *rapid.T) {
	name := rapid.SampledFrom(limitedNames).Draw(t, "name")
	u, err := m.st.Create(name, store.Create{Size: int64(rapid.IntRange(-1, 25_000).Draw(t, "announced"))})
	switch {
	case m.uploads[name] != nil && !errors.Is(err, store.ErrBusy):
		t.Fatalf("a second upload of %s: %v", name, err)
	case err == nil:
		m.uploads[name] = &growing{Upload: u}
	case !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrBusy):
		t.Fatal(err)
	}
}

// some is an upload that is under way.
func (m *limited) some(t *rapid.T) (string, *growing) {
	name := rapid.SampledFrom(limitedNames).Draw(t, "name")
	if m.uploads[name] == nil {
		t.Skip()
	}
	return name, m.uploads[name]
}

func (m *limited) write(t *rapid.T) {
	_, g := m.some(t)
	text := strings.Repeat(string(rune('a'+len(g.text)%26)), rapid.IntRange(0, 15_000).Draw(t, "length"))
	n, err := g.Write([]byte(text))
	if err != nil && !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	g.text += text[:n]
}

func (m *limited) end(t *rapid.T) {
	name, g := m.some(t)
	delete(m.uploads, name)
	if _, err := g.End(); err != nil {
		t.Fatal(err)
	}
	m.texts[name] = g.text
}

func (m *limited) abort(t *rapid.T) {
	name, g := m.some(t)
	delete(m.uploads, name)
	g.Abort(nil)
}

func (m *limited) open(t *rapid.T) {
	name := rapid.SampledFrom(limitedNames).Draw(t, "name")
	it, err := m.st.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		t.Fatal(err)
	case it.Object != nil:
		m.items[it] = m.uploads[name].text
	default:
		m.items[it] = m.texts[name]
	}
}

func (m *limited) close(t *rapid.T) {
	for it, want := range m.items {
		delete(m.items, it)
		if it.Object == nil {
			got := make([]byte, it.Size)
			if n, _ := it.Content.Read(got); n > 0 && string(got[:n]) != want[:n] || it.Size != int64(len(want)) {
				t.Fatalf("%s has %d bytes that are not those %d it was opened with", it.Name, it.Size, len(want))
			}
		}
		closeOne(t, it)
		return
	}
	t.Skip()
}

func (m *limited) remove(t *rapid.T) {
	name := rapid.SampledFrom(limitedNames).Draw(t, "name")
	if err := m.st.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if g := m.uploads[name]; g != nil {
		if _, err := g.Write([]byte("x")); err == nil {
			t.Fatal("the writer of what was removed is not told")
		}
		g.Abort(nil)
		delete(m.uploads, name)
	}
}

func (m *limited) check(t *rapid.T) {
	if _, used := m.st.Usage(); used > 20_000 || used < 0 {
		t.Fatalf("%d bytes are taken", used)
	}
}

func closeOne(t *rapid.T, it *store.Item) {
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestStress: many writers, readers and removers at once, in both kinds of store; nobody reads what was not written so.
func TestStress(t *testing.T) {
	for kind, open := range map[string]func(t testing.TB) store.Store{
		"directory": func(t testing.TB) store.Store {
			return openDir(t, store.DirConfig{Path: t.TempDir(), Writable: true, Retention: store.Retention{Segments: -3}})
		},
		"memory": func(t testing.TB) store.Store {
			return closing(t, store.NewMemory(store.MemoryConfig{Limit: 300_000, Retention: store.Retention{Segments: 3}}))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			testkit.NoLeaks(t)
			st := open(t)
			defer st.Watch(func(store.Event) {
				if _, used := st.Usage(); kind == "memory" && used > 300_000 {
					t.Errorf("%d bytes are taken", used)
				}
			})()
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { stressWrites(t, st) })
				all.Go(func() { stressReads(t, st) })
				all.Go(func() { stressRemoves(t, st) })
			}
			all.Wait()
		})
	}
}

func stressName() string { return fmt.Sprintf("d%d/seg%d.ts", rand.IntN(2), rand.IntN(8)) }

// stressWrites writes objects that are one letter again and again.
func stressWrites(t *testing.T, st store.Store) {
	for range 100 {
		u, err := st.Create(stressName(), store.Create{Size: -1, Hidden: rand.IntN(3) == 0})
		if errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrFull) {
			continue
		} else if err != nil {
			t.Error(err)
			return
		}
		text := []byte(strings.Repeat(string(rune('a'+rand.IntN(26))), rand.IntN(3000)+1))
		for range rand.IntN(10) {
			if _, err = u.Write(text); err != nil {
				break
			}
		}
		if err != nil || rand.IntN(4) == 0 {
			u.Abort(err)
		} else if _, err := u.End(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

func stressReads(t *testing.T, st store.Store) {
	for range 200 {
		it, err := st.Open(stressName())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			t.Error(err)
			return
		}
		var text string
		if it.Object != nil {
			text, _ = follow(t, it) // it may have been broken off
		} else {
			text = content(t, it)
		}
		if text != "" && strings.Trim(text, text[:1]) != "" {
			t.Errorf("%s is a mix", it.Name)
		}
		closeItem(t, it)
	}
}

func stressRemoves(t *testing.T, st store.Store) {
	for range 50 {
		if err := st.Remove(stressName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		st.RemoveEmpty("d0", ".")
		if _, err := st.List("d1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}
