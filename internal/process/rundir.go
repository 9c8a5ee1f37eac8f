package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// DefaultRunDir is where one sluice keeps its locks and sockets when nothing else
// is said: /run/sluice for root (/var/run/sluice where there is no /run), else
// $XDG_RUNTIME_DIR/sluice, else sluice-UID in the directory for temporary files.
func DefaultRunDir() string {
	return runDir(os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR"), os.TempDir())
}

func runDir(uid int, session, temp string) string {
	if uid != 0 && filepath.IsAbs(session) {
		return filepath.Join(session, "sluice")
	}
	if uid != 0 {
		return filepath.Join(temp, "sluice-"+strconv.Itoa(uid))
	}
	if info, err := os.Stat("/run"); err == nil && info.IsDir() {
		return "/run/sluice"
	}
	return "/var/run/sluice"
}

// OpenRunDir makes the directory (mode 0700) when it is not there, and refuses one
// that another user owns or may write to: who can replace a socket in it can take
// the clients' connections.
func OpenRunDir(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("run directory: %w (give another one with --run-dir)", err)
	}
	err := os.Mkdir(path, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("run directory: %w (give another one with --run-dir)", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("run directory %s is no directory (give another one with --run-dir)", path)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("run directory %s belongs to user %d, not to us (give another one with --run-dir)", path, owner.Uid)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("run directory %s may be written to by others (chmod go-w %s)", path, path)
	}
	return nil
}
