package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"sluice/internal/config"
	"sluice/internal/process"
)

// tcprelaySettings is the directory in which the worker of a tcprelay finds what holds: the file is
// the worker's user's, for there are passphrases in it; the directory stays ours, for a user who could
// exchange the file could have us write elsewhere.
type tcprelaySettings struct {
	dir  string
	user *process.Account // of the worker; nil = ours
	lock *process.Lock    // says that we live
}

const (
	tcprelayDirs = nameTcprelay + "-" // what the names of such directories begin with
	tcprelayLock = "master.lock"
)

// newTcprelaySettings makes the directory in base. It has its name once it is locked: sweepTcprelay
// takes none for left that is being made.
func newTcprelaySettings(base string, user *process.Account) (*tcprelaySettings, error) {
	const fresh = nameTcprelay + "."
	dir, err := os.MkdirTemp(base, fresh)
	if err != nil {
		return nil, err
	}
	s := &tcprelaySettings{user: user, dir: filepath.Join(base, tcprelayDirs+strings.TrimPrefix(filepath.Base(dir), fresh))}
	if s.lock, err = process.Acquire(filepath.Join(dir, tcprelayLock)); err == nil && user != nil {
		err = os.Chmod(dir, 0o711)
	}
	if err == nil {
		err = os.Rename(dir, s.dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *tcprelaySettings) path() string { return settingsPath(s.dir) }

// write writes what holds from now on.
func (s *tcprelaySettings) write(c *config.Config) error {
	if err := writeWhole(s.path(), c.YAML()); err != nil || s.user == nil {
		return err
	}
	return os.Lchown(s.path(), s.user.UID, s.user.GID)
}

// remove removes all. The lock goes with the process.
func (s *tcprelaySettings) remove() error { return os.RemoveAll(s.dir) }

// forgetSettings is for a worker that has lost its master: what it has no right to remove it
// empties, and the next master removes it.
func forgetSettings(path string) error {
	err := os.Truncate(path, 0)
	if err == nil {
		err = os.RemoveAll(filepath.Dir(path))
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// sweepTcprelay removes from base the directories of our user's masters that were killed.
func sweepTcprelay(base string) error {
	all, err := os.ReadDir(base)
	for _, e := range all {
		dir := filepath.Join(base, e.Name())
		if !strings.HasPrefix(e.Name(), tcprelayDirs) || !isOurs(dir) || !exists(filepath.Join(dir, tcprelayLock)) {
			continue
		}
		pid, held := process.Holder(filepath.Join(dir, tcprelayLock))
		if held == nil && pid == 0 {
			held = os.RemoveAll(dir)
		}
		err = errors.Join(err, held)
	}
	if err != nil {
		return fmt.Errorf("settings that a killed %s has left: %w", nameTcprelay, err)
	}
	return nil
}

// isOurs says whether it is a directory of our user.
func isOurs(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}
