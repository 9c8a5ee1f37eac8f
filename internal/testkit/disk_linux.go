package testkit

import (
	"fmt"
	"syscall"
	"testing"
)

// SmallDisk returns an empty directory on a disk of its own that holds so many bytes, and
// removes it when the test is over. The test must be in a private namespace already.
func SmallDisk(t testing.TB, bytes int) string {
	t.Helper()
	if inside, err := isInside(); err != nil || !inside {
		t.Fatalf("SmallDisk needs a test in a private namespace: MainInNamespace or InNamespace (%v)", err)
	}
	dir := t.TempDir()
	if err := syscall.Mount("sluice-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Fatalf("mount a disk of %d bytes: %v", bytes, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return dir
}
