package creds

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// CheckNames says what Add would say of a user's name and groups: before anybody is asked for a password.
func CheckNames(name string, groups []string) error {
	if err := checkName("user", name); err != nil {
		return err
	}
	_, err := parseGroups(groups)
	return err
}

// Add adds a user to a file of users, or changes his password, groups or both: "" and nil leave what is there. The file is made,
// mode 0600, replaced whole; its other lines, owner and mode stay.
func Add(path, name, password string, groups []string) error {
	if err := checkName("user", name); err != nil {
		return err
	}
	checked, err := parseGroups(groups)
	if err != nil {
		return err
	}
	var h hash
	if password != "" {
		if h, err = newBcrypt(password); err != nil {
			return err
		}
	}
	return set(path, name, h, checked, groups != nil)
}

// set gives a user in a file a hash, unless it is nil, and groups, if they are to be others.
func set(path, name string, h hash, groups []string, others bool) error {
	return change(path, func(f *usersFile) error {
		one, known := f.users[name]
		if !known && h == nil {
			return fmt.Errorf("%s: there is no user %s yet, so he needs a password", path, name)
		}
		if h != nil {
			one.hash = h
		}
		if others {
			one.groups = groups
		}
		f.set(name, one)
		return nil
	})
}

// Import adds the users of GPAC's users.cfg at from to the file at to; those whom that knows stay as they are. Their passwords stay
// hashed as they were until they are next set. It returns how many were added.
func Import(from, to string) (users int, err error) {
	text, err := readFile(from)
	if err != nil {
		return 0, err
	}
	if !isGPAC(text) {
		return 0, fmt.Errorf("%s is no users.cfg of GPAC: want it to begin with a [section]", from)
	}
	theirs, err := parseGPAC(from, text)
	if err != nil {
		return 0, err
	}
	err = change(to, func(f *usersFile) error {
		for _, name := range slices.Sorted(maps.Keys(theirs)) {
			if _, known := f.users[name]; !known {
				f.set(name, theirs[name])
				users++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return users, nil
}

// change replaces the file of users at path by what f makes of it. PATH.new is the next one, and a lock meanwhile.
func change(path string, f func(*usersFile) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	next, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is being changed by somebody else; if it is not, remove %s.new", path, path)
	}
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, next.Close())
		if err == nil {
			err = os.Rename(next.Name(), path)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(next.Name()))
		}
	}()
	file, err := readOurs(path, next)
	if err != nil {
		return err
	}
	if err := f(&file); err != nil {
		return err
	}
	text := file.text()
	if len(text) > maxFile {
		return fmt.Errorf("%s would have more than %d bytes", path, maxFile)
	}
	if _, err := next.WriteString(text); err != nil {
		return err
	}
	return next.Sync()
}

// readOurs reads a file of ours, whose owner and mode the next one gets; there need be none.
func readOurs(path string, next *os.File) (usersFile, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return parseFile(path, nil)
	}
	if err != nil {
		return usersFile{}, err
	}
	text, err := readFile(path)
	if err != nil {
		return usersFile{}, err
	}
	if isGPAC(text) {
		return usersFile{}, fmt.Errorf("%s is GPAC's: import it into a file of its own first", path)
	}
	if err := keep(info, next); err != nil {
		return usersFile{}, err
	}
	return parseFile(path, text)
}

// keep gives a file the owner and the mode of another.
func keep(info fs.FileInfo, next *os.File) error {
	was, ok := info.Sys().(*syscall.Stat_t)
	if ok && (int(was.Uid) != os.Geteuid() || int(was.Gid) != os.Getegid()) {
		if err := next.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return fmt.Errorf("the owner of %s would be another: %w", info.Name(), err)
		}
	}
	return next.Chmod(info.Mode().Perm())
}
