package store_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/object"
	"sluice/internal/store"
	"sluice/internal/testkit"
)

// TestFullDisk: a disk that is full is ErrFull for the writer, ErrAborted for its readers, and nothing for others.
func TestFullDisk(t *testing.T) {
	if !testkit.InNamespace(t) {
		return
	}
	dir := testkit.SmallDisk(t, 64<<10)
	st := writable(t, dir)
	put(t, st, "small", "fits")
	u := create(t, st, "a", store.Create{Size: -1})
	it := openItem(t, st, "a")
	defer closeItem(t, it)
	var err error
	for err == nil {
		_, err = u.Write(make([]byte, 10_000))
	}
	if !errors.Is(err, store.ErrFull) || strings.Contains(err.Error(), dir) {
		t.Errorf("write: %v", err)
	}
	u.Abort(err)
	if _, err := follow(t, it); !errors.Is(err, object.ErrAborted) || !errors.Is(err, store.ErrFull) {
		t.Errorf("its reader: %v", err)
	}
	if text := read(t, st, "small"); text != "fits" {
		t.Errorf("%q", text)
	}
	closeItem(t, openItem(t, st, "small"))
	if got := listed(t, st, "."); got != "small" {
		t.Errorf("it holds %q", got)
	}
}

// TestDenied: the system's refusals have their name, and do not say where the store is.
func TestDenied(t *testing.T) {
	if !testkit.InNamespace(t) {
		return
	}
	dir := testkit.SmallDisk(t, 64<<10)
	st := writable(t, dir)
	put(t, st, "a", "x")
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	_, begin := st.Create("b/c", store.Create{Size: -1})
	_, patch := st.Patch("a")
	for what, err := range map[string]error{"create": begin, "patch": patch, "remove": st.Remove("a")} {
		if !errors.Is(err, store.ErrDenied) || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if text := read(t, st, "a"); text != "x" {
		t.Errorf("%q", text)
	}
}

// A directory that cannot be written is told of when it is opened, by its name; who only reads it does not mind.
func TestDirThatCannotBeWritten(t *testing.T) {
	const dir = "/proc/self/task"
	if _, err := store.NewDir(store.DirConfig{Path: dir, Writable: true}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v, want one that names %s", err, dir)
	}
	openDir(t, store.DirConfig{Path: dir})
}
