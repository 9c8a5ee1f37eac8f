package app

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/config"
	"sluice/internal/origin"
	"sluice/internal/store"
)

// filled are stores with those of conf; they are closed at the end of the test.
func filled(t *testing.T, s *stores, conf *origin.Config) {
	t.Helper()
	c := config.Default()
	if err := s.fill(conf, &c); err != nil {
		t.Fatal(err)
	}
}

func testStores(t *testing.T) *stores {
	t.Helper()
	s := newStores(slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The same directory is the same store wherever it is named, also when the configuration is read again; so is the memory.
func TestSameDirectorySameStore(t *testing.T) {
	dir, s := t.TempDir(), testStores(t)
	first := origin.Config{Read: []origin.Mount{{Dir: dir}, {}}, Write: &origin.Mount{Dir: dir}, Pushes: []origin.Push{{}, {Channel: "$a"}, {Dir: dir}, {Dir: t.TempDir()}}}
	filled(t, s, &first)
	if first.Read[0].Store != first.Write.Store || first.Read[1].Store != first.Pushes[0].Store || first.Pushes[1].Store != nil ||
		first.Pushes[2].Store != first.Write.Store || first.Pushes[3].Store != nil {
		t.Errorf("stores of %+v", first)
	}
	s.keep(&first)
	second := origin.Config{Read: []origin.Mount{{Dir: dir}}}
	filled(t, s, &second)
	if second.Read[0].Store != first.Write.Store {
		t.Error("another store after a reload")
	}
}

// A store that nothing names any more is closed when its last upload has ended, and not before.
func TestGoneStoreIsClosedWhenIdle(t *testing.T) {
	s := testStores(t)
	first := origin.Config{Read: []origin.Mount{{}}, Write: &origin.Mount{}}
	filled(t, s, &first)
	memory := first.Write.Store
	up, err := memory.Create("a", store.Create{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	changed(t, memory, "b") // which is no upload
	second := origin.Config{Read: []origin.Mount{{Dir: t.TempDir()}}}
	filled(t, s, &second)
	s.keep(&second)
	<-s.idle
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte("text")); err != nil {
		t.Errorf("an upload is broken off by a reload: %v", err)
	}
	if _, err := up.End(); err != nil {
		t.Error(err)
	}
	<-s.idle
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	if len(s.gone) > 0 {
		t.Error("the store is not closed")
	}
}

// changed has an object made and a part of it replaced.
func changed(t *testing.T, st store.Store, name string) {
	t.Helper()
	up, err := st.Create(name, store.Create{Size: -1})
	if err == nil {
		_, err = up.End()
	}
	if err != nil {
		t.Fatal(err)
	}
	patch, err := st.Patch(name)
	if err == nil {
		err = patch.End()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A directory that was only read is opened anew when it is to be written.
func TestReadOnlyBecomesWritable(t *testing.T) {
	dir, s := t.TempDir(), testStores(t)
	first := origin.Config{Read: []origin.Mount{{Dir: dir}}}
	filled(t, s, &first)
	if _, err := first.Read[0].Store.Create("a", store.Create{Size: -1}); !errors.Is(err, store.ErrDenied) {
		t.Errorf("a directory that is only read is written: %v", err)
	}
	second := origin.Config{Read: []origin.Mount{{Dir: dir}}, Records: map[string]origin.Record{"a": {}}}
	filled(t, s, &second)
	up, err := second.Read[0].Store.Create("a", store.Create{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.End(); err != nil {
		t.Error(err)
	}
}

// A configuration that is tried in vain leaves the stores of the one that holds: one that it would have written stays open for
// reading, and what it alone names is closed.
func TestVainReloadKeepsStores(t *testing.T) {
	dir, s := t.TempDir(), testStores(t)
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	held := origin.Config{Read: []origin.Mount{{Dir: dir}}}
	filled(t, s, &held)
	s.keep(&held)
	tried := origin.Config{Read: []origin.Mount{{Dir: dir}}, Write: &origin.Mount{Dir: dir}}
	filled(t, s, &tried)
	s.keep(&held)
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	it, err := held.Read[0].Store.Open("a")
	if err != nil {
		t.Fatalf("what is served cannot be read any more: %v", err)
	}
	it.Close()
	if _, err := tried.Write.Store.Open("a"); err == nil {
		t.Error("the store of what was tried is not closed")
	}
	again := origin.Config{Read: []origin.Mount{{Dir: dir}}}
	filled(t, s, &again)
	if again.Read[0].Store != held.Read[0].Store {
		t.Error("another store after a reload in vain")
	}
}

// Section 1.1: a read directory that is missing is made; one that cannot be had is left out, unless something is to be
// written there (acceptance 72) or there is no other.
func TestMissingDirectories(t *testing.T) {
	dir := t.TempDir()
	file, missing := filepath.Join(dir, "file"), filepath.Join(dir, "a", "b")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	for _, tt := range []struct {
		name string
		conf origin.Config
		read int // -1 = it fails
	}{
		{"made", origin.Config{Read: []origin.Mount{{Dir: missing}}}, 1},
		{"left out", origin.Config{Read: []origin.Mount{{Dir: missing}, {Dir: file}}}, 1},
		{"the only one", origin.Config{Read: []origin.Mount{{Dir: file}}}, -1},
		{"line 72: the file sink's", origin.Config{Read: []origin.Mount{{Dir: file}, {Dir: missing}}, Records: map[string]origin.Record{"a": {}}}, -1},
		{"wdir", origin.Config{Write: &origin.Mount{Dir: file}}, -1},
	} {
		err := testStores(t).fill(&tt.conf, &c)
		switch {
		case (err != nil) != (tt.read < 0):
			t.Errorf("%s: %v", tt.name, err)
		case err == nil && len(tt.conf.Read) != tt.read:
			t.Errorf("%s: %d directories, want %d", tt.name, len(tt.conf.Read), tt.read)
		}
	}
	if _, err := os.Stat(missing); errors.Is(err, fs.ErrNotExist) {
		t.Error("the directory is not made")
	}
}
