package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/store"
)

// must fails the test when what prepares it does not work.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writable(t testing.TB, dir string) store.Store {
	return openDir(t, store.DirConfig{Path: dir, Writable: true})
}

// TestLinks: links are followed inside of the directory; out of it there is nothing to be read, and nothing is written (acceptance lines 16 and 40).
func TestLinks(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("inside"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	for link, target := range map[string]string{
		"good": "file", "sub/up": "../file", "dir": "sub",
		"abs": filepath.Join(outside, "secret"), "rel": "../" + filepath.Base(outside) + "/secret", "out": outside, "home": dir,
		"sub/out": "../../" + filepath.Base(outside), "dangling": "nowhere", "loop": "loop", "escape": "../nothing-there",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	st := writable(t, dir)
	for _, name := range []string{"good", "sub/up", "dir/up"} {
		if text := read(t, st, name); text != "inside" {
			t.Errorf("%s: %q", name, text)
		}
	}
	for _, name := range []string{"abs", "rel", "out/secret", "home/file", "sub/out/secret", "dir/out/secret", "dangling", "loop", "escape"} {
		missing(t, st, name)
		if err := st.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove %s: %v", name, err)
		}
		if _, err := st.Patch(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("patch %s: %v", name, err)
		}
	}
	for _, name := range []string{"abs", "rel", "out/secret", "out/new", "out", "home/file", "sub/out/secret", "sub/out/a/b", "loop", "escape"} {
		if _, err := st.Create(name, store.Create{Size: -1}); !errors.Is(err, store.ErrName) {
			t.Errorf("write %s: %v", name, err)
		}
	}
	if _, err := st.List("out"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list what is outside: %v", err)
	}
	if got := listed(t, st, "."); got != "dir/ file good sub/" {
		t.Errorf("it holds %q", got)
	}
	put(t, st, "dir/new", "through a link")
	if text := read(t, st, "sub/new"); text != "through a link" {
		t.Errorf("%q", text)
	}
	left, err := os.ReadDir(outside)
	if err != nil || len(left) != 1 {
		t.Errorf("outside there is %v, %v", left, err)
	}
	if text, err := os.ReadFile(filepath.Join(outside, "secret")); string(text) != "secret" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// TestNoFiles: what is neither file nor directory is not there, and nobody waits for it.
func TestNoFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo.ts"), 0o600))
	t.Chdir(dir) // names of sockets are short
	l, err := net.Listen("unix", "socket.ts")
	must(t, err)
	defer func() { must(t, l.Close()) }()
	must(t, os.Symlink("fifo.ts", filepath.Join(dir, "link.ts")))
	st := writable(t, dir)
	for _, name := range []string{"fifo.ts", "socket.ts", "link.ts"} {
		missing(t, st, name)
		if _, err := st.Create(name, store.Create{Size: -1}); !errors.Is(err, store.ErrName) {
			t.Errorf("write %s: %v", name, err)
		}
		if err := st.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove %s: %v", name, err)
		}
	}
	if got := listed(t, st, "."); got != "" {
		t.Errorf("it holds %q", got)
	}
}

// TestReadOnly: nothing is written, and nothing is made of that.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	st := openDir(t, store.DirConfig{Path: dir})
	_, begin := st.Create("new/b", store.Create{Size: -1})
	_, patch := st.Patch("a")
	for what, err := range map[string]error{"create": begin, "patch": patch, "remove": st.Remove("a")} {
		if !errors.Is(err, store.ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	st.RemoveEmpty("empty", ".")
	if got := listed(t, st, "."); got != "a empty/" {
		t.Errorf("it holds %q", got)
	}
}

// TestOpening: a directory is made when that is wanted, and else missed.
func TestOpening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if _, err := store.NewDir(store.DirConfig{Path: dir, Writable: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	st := openDir(t, store.DirConfig{Path: dir, Make: true, Writable: true})
	put(t, st, "c", "x")
}

// TestLeftovers: what a killed process has left goes at the next start; what a living one is writing stays.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o700))
	must(t, os.MkdirAll(filepath.Join(dir, ".theirs"), 0o700))
	alive := writable(t, dir)
	u := create(t, alive, "a/b/c.ts", store.Create{Size: -1})
	write(t, u, "all")
	left, others := []string{".sluice-OLD-1", "a/b/.sluice-OLD-2"}, []string{"a/.other", "a/sluice-3", ".theirs/.sluice-4"}
	for _, name := range append(left, others...) {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
	}
	store.Swept(writable(t, dir))
	for _, name := range left {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
	for _, name := range others {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	end(t, u)
	if text := read(t, alive, "a/b/c.ts"); text != "all" {
		t.Errorf("%q", text)
	}
}

// TestKeptLeftovers: what a killed process was to keep gets its name at the next start, unless there is something newer, or nothing was written.
func TestKeptLeftovers(t *testing.T) {
	living, dir := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	st := writable(t, living)
	for _, name := range []string{"rec/news.ts", "older.ts", "newer.ts", "a-b-c.ts", "taken.ts", "empty.ts", "not.ts", strings.Repeat("n", 250) + ".ts"} {
		u := create(t, st, name, store.Create{Size: -1, Keep: name != "not.ts"})
		if name != "empty.ts" {
			write(t, u, "half of "+name)
		}
	}
	must(t, os.CopyFS(dir, os.DirFS(living))) // in which nobody has locked anything
	must(t, os.WriteFile(filepath.Join(dir, ".sluice-OLD-1-.hidden"), []byte("x"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, ".sluice-OLD-1-.."), []byte("x"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "taken.ts"), 0o700))
	for name, ago := range map[string]time.Duration{"older.ts": time.Hour, "newer.ts": -time.Hour} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("whole"), 0o600))
		must(t, os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Now().Add(-ago)))
	}
	st = writable(t, dir)
	store.Swept(st)
	for name, want := range map[string]string{"rec/news.ts": "half of rec/news.ts", "older.ts": "half of older.ts", "newer.ts": "whole", "a-b-c.ts": "half of a-b-c.ts"} {
		if text := read(t, st, name); text != want {
			t.Errorf("%s: %q", name, text)
		}
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	if got := strings.Join(found, " "); got != "a-b-c.ts newer.ts older.ts rec taken.ts" {
		t.Error(got)
	}
}

// TestNothingIsLeft: uploads leave nothing but what is complete, however they end.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	st := writable(t, dir)
	put(t, st, "d/a", "x")
	create(t, st, "d/b", store.Create{Size: -1}).Abort(nil)
	create(t, st, "d/c", store.Create{Size: -1})
	must(t, st.Remove("d/c"))
	p, err := st.Patch("d/a")
	must(t, err)
	p.Abort()
	create(t, st, "d/d", store.Create{Size: -1})
	_, err = st.Patch("d/a")
	must(t, err)
	create(t, st, "d/e/f/g", store.Create{Size: -1}).Abort(nil) // with the directories that it alone has needed
	one, other := create(t, st, "d/e/f/g", store.Create{Size: -1}), create(t, st, "d/e/h", store.Create{Size: -1})
	one.Abort(nil)
	if _, err := os.Stat(filepath.Join(dir, "d/e/f")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	write(t, other, "x")
	end(t, other)
	if text := read(t, st, "d/e/h"); text != "x" {
		t.Errorf("%q", text)
	}
	must(t, os.RemoveAll(filepath.Join(dir, "d/e")))
	must(t, st.Close())
	entries, err := os.ReadDir(filepath.Join(dir, "d"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "a" {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestEndFails: an upload that cannot get its place leaves what is there, and is told so; its readers have had all.
func TestEndFails(t *testing.T) {
	dir := t.TempDir()
	st := writable(t, dir)
	events, stop := record(st)
	defer stop()
	u := create(t, st, "a", store.Create{Size: -1})
	write(t, u, "x")
	must(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
	if _, err := u.End(); !errors.Is(err, store.ErrIsDir) && !errors.Is(err, fs.ErrExist) {
		t.Errorf("the end: %v", err)
	}
	if got := events(); got != "began a, aborted a" {
		t.Error(got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || !entries[0].IsDir() {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestOthersWrite: what another program puts there is found, also by who waits for it, and is not taken for what was there before.
func TestOthersWrite(t *testing.T) {
	dir := t.TempDir()
	st := writable(t, dir)
	found := make(chan error)
	go func() { found <- st.Await(t.Context(), "a") }()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("theirs"), 0o600))
	must(t, <-found)
	u := create(t, st, "a", store.Create{Type: "text/vtt", Size: -1})
	write(t, u, "ours")
	end(t, u)
	ours, err := st.Stat("a")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "new"), []byte("ruso"), 0o600))
	must(t, os.Chtimes(filepath.Join(dir, "new"), time.Time{}, ours.Modified)) // as on a disk that counts seconds
	must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "a")))
	theirs, err := st.Stat("a")
	must(t, err)
	if theirs.Tag == ours.Tag || theirs.Type != "" {
		t.Errorf("%+v after %+v", theirs, ours)
	}
}

// TestRestart: a store that is opened again goes on with the segments that are there, once more of them come; the others stay.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"seg-9.ts", "seg-10.ts", "seg-11.ts", "film-1.ts", "film-2.ts", "film-3.ts", "init-0.mp4"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	st := openDir(t, store.DirConfig{Path: dir, Writable: true, Retention: store.Retention{Segments: -2}})
	put(t, st, "seg-1.ts", "its packager has begun anew")
	if got := listed(t, st, "."); got != "film-1.ts film-2.ts film-3.ts init-0.mp4 seg-1.ts seg-11.ts" {
		t.Errorf("it holds %q", got)
	}
}

// TestTimeShift: on disk a positive number of segments is kept only where a manifest says how long the time shift is.
func TestTimeShift(t *testing.T) {
	st := openDir(t, store.DirConfig{Path: t.TempDir(), Writable: true, Retention: store.Retention{Segments: 2}})
	segments := func(dir string, from, to int) {
		for n := from; n < to; n++ {
			put(t, st, fmt.Sprintf("%s/seg%d.m4s", dir, n), "")
		}
	}
	segments("live/v", 0, 8)
	segments("other", 0, 8)
	if got := listed(t, st, "live/v"); strings.Count(got, "seg") != 8 {
		t.Errorf("it holds %q", got)
	}
	put(t, st, "live/live.mpd", `<MPD timeShiftBufferDepth="PT6S"><Period><AdaptationSet>
		<SegmentTemplate timescale="1000" duration="2000"/></AdaptationSet></Period></MPD>`)
	segments("live/v", 8, 9)
	segments("other", 8, 9)
	if got := listed(t, st, "live/v"); got != "live/v/seg5.m4s live/v/seg6.m4s live/v/seg7.m4s live/v/seg8.m4s" {
		t.Errorf("it holds %q", got)
	}
	if got := listed(t, st, "other"); strings.Count(got, "seg") != 9 {
		t.Errorf("it holds %q", got)
	}
	must(t, st.Remove("live/live.mpd"))
	segments("live/v", 9, 12)
	if got := listed(t, st, "live/v"); strings.Count(got, "seg") != 7 {
		t.Errorf("it holds %q", got)
	}
}

// A directory that is to stay stays, with those that it lies in.
func TestRemoveEmptyStops(t *testing.T) {
	dir := t.TempDir()
	st := openDir(t, store.DirConfig{Path: dir, Writable: true})
	for _, stay := range []string{"a/b", "a", "."} {
		if err := os.MkdirAll(filepath.Join(dir, "a/b/c/d"), 0o700); err != nil {
			t.Fatal(err)
		}
		st.RemoveEmpty("a/b/c/d", stay)
		if _, err := os.Stat(filepath.Join(dir, stay)); err != nil {
			t.Error(err)
		}
		if list, err := os.ReadDir(filepath.Join(dir, stay)); err != nil || len(list) > 0 {
			t.Errorf("%s holds %v, %v", stay, list, err)
		}
	}
}
