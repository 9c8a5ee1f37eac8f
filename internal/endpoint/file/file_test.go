package file_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/file"
	"sluice/internal/lineup"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

func source(path string) uri.Source { return uri.Source{{Scheme: uri.File, Path: path}} }

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func extend(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

// renewed makes the file anew whenever it is opened.
type renewed struct {
	*file.Opener
}

func (r renewed) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	path := want.Source[0].Path
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	return r.Opener.Open(ctx, want)
}

// TestSuite: the stream of a file that grows is over when its name leads to it no more.
func TestSuite(t *testing.T) {
	testkit.NoLeaks(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "a b", "film~1.ts")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	endtest.RunStream(t, endtest.Stream{
		Make: func() endtest.Closer { return renewed{&file.Opener{ReadFrom: []string{"/nowhere", dir}}} },
		Want: endpoint.Want{Source: source(path), Growth: time.Hour},
		Send: func(t *testing.T, b []byte) { extend(t, path, b) },
		Finish: func(t *testing.T) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// open opens what is wanted, and closes it and its opener when the test ends.
func open(t *testing.T, want endpoint.Want) endpoint.Source {
	t.Helper()
	o := &file.Opener{}
	want.Trusted = true
	src, err := o.Open(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(src.Close(), o.Close()); err != nil {
			t.Error(err)
		}
	})
	return src
}

// TestEnd: what ends a file, and that it is all there.
func TestEnd(t *testing.T) {
	whole := bytes.Repeat([]byte("content "), 50_000)
	for name, c := range map[string]struct {
		growth time.Duration
		end    func(t *testing.T, path string) // once all has come
	}{
		"not waited for": {0, nil},
		"grew no more":   {30 * time.Millisecond, nil},
		"shrank": {time.Hour, func(t *testing.T, path string) {
			if err := os.Truncate(path, 1000); err != nil {
				t.Fatal(err)
			}
		}},
		"was replaced": {time.Hour, func(t *testing.T, path string) {
			write(t, path+".new", []byte("other"))
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			path := filepath.Join(t.TempDir(), "film.ts")
			write(t, path, whole)
			src, w := open(t, endpoint.Want{Source: source(path), Growth: c.growth}), endtest.NewWindow(t)
			if c.end != nil {
				endtest.Collect(t, src, w, len(whole))
				c.end(t, path)
			}
			if err := endtest.DrainAll(t, src, w); !errors.Is(err, endpoint.ErrEnd) {
				t.Error(err)
			}
			if !bytes.Equal(w.All(), whole) {
				t.Errorf("%d bytes of %d, or others", w.Head(), len(whole))
			}
		})
	}
}

// TestReplacedBehindTheEnd: what was appended before a file was replaced comes through.
func TestReplacedBehindTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "film.ts")
	write(t, path, []byte("one"))
	src, w := open(t, endpoint.Want{Source: source(path), Growth: time.Hour}), endtest.NewWindow(t)
	endtest.Collect(t, src, w, 3)
	extend(t, path, []byte(" two"))
	write(t, path+".new", []byte("other"))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if err := endtest.DrainAll(t, src, w); !errors.Is(err, endpoint.ErrEnd) || string(w.All()) != "one two" {
		t.Errorf("%q, %v", w.All(), err)
	}
}

// TestRefusals: who may read what.
func TestRefusals(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	outside := filepath.Join(filepath.Dir(root), "rootless.ts") // its name begins as the directory's
	in := func(name string) string { return filepath.Join(root, name) }
	for _, err := range []error{
		os.MkdirAll(in("dir"), 0o700),
		os.WriteFile(in("film.ts"), []byte("film"), 0o600), os.WriteFile(outside, []byte("film"), 0o600),
		os.Symlink("film.ts", in("link.ts")), os.Symlink("../film.ts", in("dir/up.ts")),
		os.Symlink(outside, in("out.ts")), os.Symlink("../rootless.ts", in("out2.ts")), os.Symlink("..", in("parent")),
		os.Symlink("loop.ts", in("loop.ts")),
		unix.Mkfifo(in("fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		path    string
		trusted bool
		status  int // 0 = opened
	}{
		{in("film.ts"), false, 0},
		{in("link.ts"), false, 0},
		{in("dir/up.ts"), false, 0},
		{in("nothing.ts"), false, http.StatusNotFound},
		{in("film.ts/x"), false, http.StatusNotFound},
		{in("nodir/film.ts"), false, http.StatusNotFound},
		{outside, false, http.StatusForbidden},
		{outside, true, 0},
		{outside + "x", false, http.StatusForbidden}, // whether it is there is not told
		{outside + "x", true, http.StatusNotFound},
		{"/etc/passwd", false, http.StatusForbidden},
		{in("out.ts"), false, http.StatusForbidden},
		{in("out2.ts"), false, http.StatusForbidden},
		{in("parent/rootless.ts"), false, http.StatusForbidden},
		{in("loop.ts"), false, http.StatusForbidden},
		{in("dir"), false, http.StatusForbidden},
		{root, false, http.StatusForbidden},
		{in("fifo"), false, http.StatusForbidden},
		{in("fifo"), true, http.StatusForbidden},
		{"/dev/null", true, http.StatusForbidden},
	} {
		o := &file.Opener{ReadFrom: []string{root}}
		src, err := o.Open(t.Context(), endpoint.Want{Source: source(tt.path), Trusted: tt.trusted})
		if err == nil {
			if tt.status != 0 {
				t.Errorf("%s: opened", tt.path)
			}
			src.Close()
			o.Close()
			continue
		}
		var r *endpoint.Refusal
		if !errors.As(err, &r) || r.Status != tt.status || !strings.HasPrefix(err.Error(), source(tt.path).Tag()+": ") {
			t.Errorf("%s, trusted %v: %v, want %d", tt.path, tt.trusted, err, tt.status)
		}
	}
	if _, err := (&file.Opener{}).Open(t.Context(), endpoint.Want{Source: source(in("film.ts"))}); err == nil {
		t.Error("opened, though nothing may be read")
	}
}

// TestPacedWithoutClock: a file that cannot be paced is refused, and says why.
func TestPacedWithoutClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "film.ts")
	null := append([]byte{0x47, 0x1F, 0xFF, 0x10}, make([]byte, 184)...)
	for _, c := range []struct {
		pace, content string
		b             []byte
		text          string
	}{
		{"auto", "packets", bytes.Repeat(null, 100), "no clock"},
		{"pcr", "packets", bytes.Repeat(null, 100), "no clock"},
		{"pcr", "text", []byte("text"), "no clock"},
		{"pcr", "nothing", nil, "no clock"},
		{"frame", "packets", bytes.Repeat(null, 100), "no frames"},
		{"frame", "text", bytes.Repeat([]byte("text"), 2<<20), "no frames"},
		{"frame", "nothing", nil, "no frames"},
	} {
		write(t, path, c.b)
		pace, err := lineup.ParsePace(c.pace)
		if err != nil {
			t.Fatal(err)
		}
		_, err = (&file.Opener{}).Open(t.Context(), endpoint.Want{Source: source(path), Trusted: true, Pace: pace, Repeat: true})
		var r *endpoint.Refusal
		if !errors.As(err, &r) || r.Status != http.StatusServiceUnavailable || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s, paced by %s: %v", c.content, c.pace, err)
		}
	}
}
