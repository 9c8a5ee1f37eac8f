package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// holdLock starts a process that holds the lock at path, until TERM.
func holdLock(t *testing.T, path string) (*exec.Cmd, *lines) {
	t.Helper()
	return hold(t, "lock", path)
}

func hold(t *testing.T, kind, path string) (*exec.Cmd, *lines) {
	t.Helper()
	out := readLines(t)
	cmd := exec.Command(os.Args[0], kind, "holder", path)
	cmd.Env = append(os.Environ(), asChild+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stdout = out.w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if pid := out.pid("up", "holder"); pid != cmd.Process.Pid {
		t.Fatalf("process %d answers for %d", pid, cmd.Process.Pid)
	}
	return cmd, out
}

func TestLockHeldByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	if pid, err := Holder(path); pid != 0 || err != nil {
		t.Fatalf("Holder without a file: %d, %v", pid, err)
	}
	cmd, _ := holdLock(t, path)
	pid := cmd.Process.Pid

	// The file's words are for people: a wrong one must not be believed.
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Holder(path); got != pid || err != nil {
		t.Errorf("Holder = %d, %v; want %d", got, err, pid)
	}
	_, err := Acquire(path)
	var held *HeldError
	if !errors.As(err, &held) || held.PID != pid || held.Path != path {
		t.Errorf("Acquire: %v, want a HeldError of %d", err, pid)
	}
}

func TestLockStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	cmd, _ := holdLock(t, path)
	cmd.Process.Kill()
	cmd.Wait()

	if _, err := os.Stat(path); err != nil {
		t.Fatalf("a killed process cannot have removed its lock: %v", err)
	}
	if pid, err := Holder(path); pid != 0 || err != nil {
		t.Errorf("Holder of a stale file: %d, %v", pid, err)
	}
	l, err := Acquire(path)
	if err != nil {
		t.Fatalf("Acquire of a stale file: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) == "" {
		// Reading it closes a descriptor of it and lets the lock go (see Lock); the test
		// needs it no more.
		t.Error("the file does not name the holder")
	} else if string(text) != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("the file names %q, want %d", text, os.Getpid())
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Release: %v, want no file", err)
	}
}

func TestLockReleasedByItsHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	cmd, out := holdLock(t, path)
	cmd.Process.Signal(syscall.SIGTERM)
	out.pid("down", "holder")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want no file", err)
	}
}

// A lock on a file that its last holder has removed is worth nothing.
func TestLockOfRemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	os.Remove(path)
	if current, err := lockFile(f); current || err != nil {
		t.Errorf("without a file at the path: %t, %v; want false", current, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if current, err := lockFile(f); current || err != nil {
		t.Errorf("with another file at the path: %t, %v; want false", current, err)
	}
}

func TestLockErrors(t *testing.T) {
	if _, err := Acquire(filepath.Join(t.TempDir(), "none", "a.lock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Acquire without a directory: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Holder(filepath.Join(file, "a.lock")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Holder below a file: %v", err)
	}
}

func TestAwaitFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	must(t, AwaitFree(t.Context(), path)) // no file

	cmd, _ := holdLock(t, path)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var held *HeldError
	if err := AwaitFree(gone, path); !errors.As(err, &held) || held.PID != cmd.Process.Pid {
		t.Errorf("got %v, want a HeldError of %d", err, cmd.Process.Pid)
	}
	cmd.Process.Kill()
	must(t, AwaitFree(t.Context(), path))
}

func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	stale, held := filepath.Join(dir, "stale.lock"), filepath.Join(dir, "held.lock")
	must(t, os.WriteFile(stale, []byte("1\n"), 0o600))
	holdLock(t, held)
	must(t, RemoveStale(stale, held))
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stale lock: %v, want it gone", err)
	}
	if _, err := os.Stat(held); err != nil {
		t.Errorf("the held lock: %v, want it there", err)
	}
	if err := RemoveStale(filepath.Join(stale, "below", "a.lock")); err == nil {
		t.Error("a lock that cannot be opened was passed over")
	}
}
