package store_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"sluice/internal/object"
	"sluice/internal/store"
	"sluice/internal/testkit"
)

// TestDirectory and TestMemory: both kinds of store keep the same contract.
func TestDirectory(t *testing.T) {
	suite(t, func(t testing.TB, r store.Retention) store.Store {
		return openDir(t, store.DirConfig{Path: t.TempDir(), Writable: true, Retention: r})
	})
}

func TestMemory(t *testing.T) {
	suite(t, func(t testing.TB, r store.Retention) store.Store {
		return closing(t, store.NewMemory(store.MemoryConfig{Retention: r}))
	})
}

type makeStore func(t testing.TB, r store.Retention) store.Store

func suite(t *testing.T, open makeStore) {
	for name, test := range map[string]func(t *testing.T, st store.Store){
		"an upload is read while it comes":             readWhileItComes,
		"an upload that breaks off breaks its readers": breaksOff,
		"what is replaced is replaced whole":           replacedWhole,
		"hidden until complete":                        hiddenUntilComplete,
		"what is broken off hides nothing":             brokenHidesNothing,
		"what is broken off may stay":                  keptPartial,
		"two writers of one name":                      twoWriters,
		"readers of what is removed finish":            removedWhileRead,
		"removed while it grows":                       removedWhileItGrows,
		"names":                                        namesRefused,
		"directories":                                  directories,
		"a patch":                                      patched,
		"tags":                                         tagsDiffer,
		"types":                                        typesKept,
		"events":                                       eventsInOrder,
		"a watcher may call the store":                 watcherCalls,
		"awaiting":                                     awaiting,
		"an item holds what it opened":                 itemHolds,
		"closing":                                      closingAborts,
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			test(t, open(t, store.Retention{}))
		})
	}
	t.Run("retention", func(t *testing.T) { retained(t, open) })
}

func openDir(t testing.TB, c store.DirConfig) store.Store {
	t.Helper()
	st, err := store.NewDir(c)
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, st)
}

func closing(t testing.TB, st store.Store) store.Store {
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func create(t testing.TB, st store.Store, name string, c store.Create) store.Upload {
	t.Helper()
	u, err := st.Create(name, c)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func write(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); err != nil || n != len(text) {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

func end(t testing.TB, u store.Upload) (replaced bool) {
	t.Helper()
	replaced, err := u.End()
	if err != nil {
		t.Fatal(err)
	}
	return replaced
}

// put puts an object there.
func put(t testing.TB, st store.Store, name, text string) (replaced bool) {
	t.Helper()
	u := create(t, st, name, store.Create{Size: -1})
	write(t, u, text)
	return end(t, u)
}

func openItem(t testing.TB, st store.Store, name string) *store.Item {
	t.Helper()
	it, err := st.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

// read is the whole of a complete object.
func read(t testing.TB, st store.Store, name string) string {
	t.Helper()
	it := openItem(t, st, name)
	defer closeItem(t, it)
	if it.Object != nil || it.Growing {
		t.Fatalf("%s is growing", name)
	}
	return content(t, it)
}

func content(t testing.TB, it *store.Item) string {
	t.Helper()
	text, err := io.ReadAll(it.Content)
	if err != nil {
		t.Fatal(err)
	}
	if it.Size != int64(len(text)) {
		t.Fatalf("%s says that it has %d bytes, and has %d", it.Name, it.Size, len(text))
	}
	return string(text)
}

func closeItem(t testing.TB, it *store.Item) {
	t.Helper()
	if err := it.Close(); err != nil {
		t.Error(err)
	}
}

func missing(t testing.TB, st store.Store, name string) {
	t.Helper()
	if _, err := st.Open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("open %s: %v, should not be there", name, err)
	}
	if _, err := st.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("stat %s: %v, should not be there", name, err)
	}
}

// follow reads what grows to its end.
func follow(t testing.TB, it *store.Item) (text string, err error) {
	t.Helper()
	r, err := it.Object.Reader(0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	_, err = r.Copy(t.Context(), &b, nil)
	return b.String(), err
}

// listed is what a directory holds: / marks directories, + what grows.
func listed(t testing.TB, st store.Store, dir string) string {
	t.Helper()
	list, err := st.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, i := range list {
		name := i.Name
		if i.Dir {
			name += "/"
		}
		if i.Growing {
			name += "+"
		}
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

// record collects events.
func record(st store.Store) (events func() string, stop func()) {
	var mu sync.Mutex
	var all []string
	stop = st.Watch(func(e store.Event) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, map[store.Happening]string{
			store.Began: "began", store.Ended: "ended", store.Aborted: "aborted", store.Removed: "removed",
		}[e.What]+" "+e.Name+e.Type)
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(all, ", ")
	}, stop
}

// brokenHidesNothing has a reader that looks again as soon as it hears of the end.
func brokenHidesNothing(t *testing.T, st store.Store) {
	put(t, st, "a.m4s", "old")
	for range 50 {
		u := create(t, st, "a.m4s", store.Create{Size: -1})
		it := openItem(t, st, "a.m4s")
		over := make(chan struct{})
		go func() {
			defer close(over)
			u.Abort(nil)
		}()
		if _, err := follow(t, it); !errors.Is(err, object.ErrAborted) {
			t.Error(err)
		}
		closeItem(t, it)
		if info, err := st.Stat("a.m4s"); err != nil || info.Growing {
			t.Errorf("%+v, %v", info, err)
		}
		if text := read(t, st, "a.m4s"); text != "old" {
			t.Errorf("%q after an upload that broke off", text)
		}
		<-over
	}
}
