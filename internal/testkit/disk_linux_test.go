package testkit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSmallDisk(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	var dir string
	t.Run("full", func(t *testing.T) {
		dir = SmallDisk(t, 1<<20)
		err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 2<<20), 0o600)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("2 MiB on a disk of one: %v", err)
		}
	})
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("still mounted (%v)", err)
	}
	outer, err := os.ReadFile("/proc/1/mounts")
	if err == nil && strings.Contains(string(outer), "sluice-test") {
		t.Error("mounted outside, too")
	}
}
