package process

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemory(t *testing.T) {
	if n := Memory(); n < 16<<20 {
		t.Errorf("this machine has %d bytes?", n)
	}
}

func TestMemTotal(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]int64{
		"MemTotal:       16384000 kB\nMemFree: 1 kB\n": 16384000 << 10,
		"MemFree: 1 kB\n":  0,
		"MemTotal: much\n": 0,
		"":                 0,
	} {
		path := filepath.Join(dir, "meminfo")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if got := memTotal(path); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := memTotal(filepath.Join(dir, "none")); got != 0 {
		t.Errorf("without a file: %d", got)
	}
}

func TestCgroupLimit(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "a", "b"), 0o700))
	must(t, os.WriteFile(filepath.Join(root, "a", "memory.max"), []byte("1000000\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(root, "a", "b", "memory.max"), []byte("max\n"), 0o600))
	must(t, os.Mkdir(filepath.Join(root, "c"), 0o700))
	must(t, os.WriteFile(filepath.Join(root, "c", "memory.max"), []byte("500\n"), 0o600))
	file := filepath.Join(root, "cgroup")
	for text, want := range map[string]int64{
		"0::/a/b\n":              1000000,
		"0::/a\n":                1000000,
		"0::/c\n":                500,
		"0::/\n":                 0,
		"0::/../../c\n":          500, // never above the root
		"5:memory:/x\n0::/a/b\n": 1000000,
		"5:memory:/x\n":          0,
		"":                       0,
	} {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		if got := cgroupLimit(file, root); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
