package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Account is a user of the system.
type Account struct {
	Name     string
	Home     string
	UID, GID int
	Groups   []int
}

// FindAccount looks a user up by name or number.
func FindAccount(name string) (Account, error) {
	u, err := user.Lookup(name)
	if byNumber, bad := user.LookupId(name); err != nil && bad == nil {
		u, err = byNumber, nil
	}
	if err != nil {
		return Account{}, fmt.Errorf("%w: make it (useradd --system --shell /usr/sbin/nologin %s) or name another one under \"user\"", err, name)
	}
	a := Account{Name: u.Username, Home: u.HomeDir}
	numbers, err := u.GroupIds()
	if err != nil {
		return Account{}, fmt.Errorf("groups of user %s: %w", name, err)
	}
	for _, n := range append([]string{u.Uid, u.Gid}, numbers...) {
		id, err := strconv.Atoi(n)
		if err != nil {
			return Account{}, fmt.Errorf("user %s: %w", name, err)
		}
		a.Groups = append(a.Groups, id)
	}
	a.UID, a.GID, a.Groups = a.Groups[0], a.Groups[1], a.Groups[2:]
	return a, nil
}

// Switch makes the process, with all its threads, go on as the account, for good. With
// raw it keeps the right to open raw sockets if it has it (CAP_NET_RAW of Linux, for what
// it starts as well): the memberships of groups are renewed by such. Programs that use
// cgo lose it.
func (a Account) Switch(raw bool) error {
	if os.Geteuid() == a.UID && os.Getegid() == a.GID {
		return nil
	}
	if err := a.become(raw); err != nil {
		return fmt.Errorf("go on as user %s: %w", a.Name, err)
	}
	if os.Geteuid() != a.UID || a.UID != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("go on as user %s: the system has not let go of root", a.Name)
	}
	for _, line := range a.env() {
		key, value, _ := strings.Cut(line, "=")
		if err := os.Setenv(key, value); err != nil {
			return err
		}
	}
	return nil
}

// env is what a process of the account has in its environment.
func (a Account) env() []string {
	return []string{"HOME=" + a.Home, "USER=" + a.Name, "LOGNAME=" + a.Name}
}

// credential is the account as exec takes it; nil when it is ours.
func (a Account) credential() *syscall.Credential {
	if os.Geteuid() == a.UID && os.Getegid() == a.GID {
		return nil
	}
	c := &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID)}
	for _, g := range a.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}

// setIDs changes groups and user of all threads.
func (a Account) setIDs() error {
	if err := syscall.Setgroups(a.Groups); err != nil {
		return fmt.Errorf("set the groups: %w", err)
	}
	if err := syscall.Setgid(a.GID); err != nil {
		return fmt.Errorf("set the group: %w", err)
	}
	if err := syscall.Setuid(a.UID); err != nil {
		return fmt.Errorf("set the user: %w", err)
	}
	return nil
}

// OwnDir makes a directory of the account's own, and those above it, before the Switch.
// What is there stays as it is.
func (a Account) OwnDir(path string) error { return a.makeDir(path, 0o755) }

// OwnRunDir is OwnDir for a run directory, which nobody else may enter. An empty one that
// root has left there becomes the account's.
func (a Account) OwnRunDir(path string) error {
	if err := a.makeDir(path, 0o700); err != nil {
		return err
	}
	if !leftByRoot(path) {
		return nil
	}
	return os.Lchown(path, a.UID, a.GID)
}

func (a Account) makeDir(path string, mode fs.FileMode) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := a.makeDir(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		err = os.Mkdir(path, mode)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return fmt.Errorf("make a directory for user %s: %w", a.Name, err)
	}
	return os.Lchown(path, a.UID, a.GID)
}

// leftByRoot says whether the directory is one that an earlier run as root has made.
func leftByRoot(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return false // others use it
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	entries, err := os.ReadDir(path)
	return ok && owner.Uid == 0 && err == nil && len(entries) == 0
}
