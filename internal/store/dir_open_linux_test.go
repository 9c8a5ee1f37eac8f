package store

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOpenBelow: the kernel and os.Root judge each path alike.
func TestOpenBelow(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(outside, "secret"), nil, 0o600))
	must(os.MkdirAll(filepath.Join(dir, "a/b"), 0o700))
	must(os.WriteFile(filepath.Join(dir, "a/b/file"), nil, 0o600))
	for link, target := range map[string]string{
		"in": "a/b/file", "a/up": "../a/b/file", "dir": "a", "loop": "loop", "abs": filepath.Join(dir, "a/b/file"),
		"out": filepath.Join(outside, "secret"), "a/out": "../../" + filepath.Base(outside) + "/secret", "proc": "/proc/self/cwd",
	} {
		must(os.Symlink(target, filepath.Join(dir, link)))
	}
	root, err := os.OpenRoot(dir)
	must(err)
	defer func() { must(root.Close()) }()
	at, err := root.Open(".")
	must(err)
	defer func() { must(at.Close()) }()
	opened := 0
	for _, name := range []string{
		"a/b/file", "in", "a/up", "dir/b/file", "dir/up", "a", ".", "loop", "abs", "out", "a/out", "dir/out", "proc", "proc/a",
		"nothing", "a/nothing", "a/b/file/x", "../" + filepath.Base(outside) + "/secret", "a/../../" + filepath.Base(outside) + "/secret",
	} {
		want, wrong := root.Open(name)
		got, err := openBelow(root, at, name)
		if (err == nil) != (wrong == nil) {
			t.Errorf("%s: %v, of os.Root %v", name, err, wrong)
		}
		if err == nil && wrong == nil {
			a, _ := got.Stat()
			b, _ := want.Stat()
			if !os.SameFile(a, b) {
				t.Errorf("%s is another file", name)
			}
			opened++
		}
		_, _ = got.Close(), want.Close() // nil where there is none
	}
	if opened != 7 {
		t.Errorf("%d could be opened", opened)
	}
}
