package netx

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The protocol of socket activation, sd_listen_fds(3).
const (
	listenFirst = 3
	listenFDs   = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"
	listenPID   = "LISTEN_PID"
)

// Inherited returns the descriptors that the parent process left for this one, by
// name, as systemd and InheritEnv announce them (sd_listen_fds(3)): LISTEN_FDS
// descriptors from number 3 on, LISTEN_FDNAMES their names between colons. Without
// names a descriptor is called by its number. Of several with one name, as the sockets of one
// systemd unit are, the second is NAME.1, the third NAME.2. The map is empty when there are none
// or when LISTEN_PID names another process.
//
// The descriptors get close-on-exec, and the variables are removed from the
// environment, so that no grandchild takes them for its own: call it once, early.
// The caller closes the files.
func Inherited() (map[string]*os.File, error) {
	env := func(key string) string {
		v := os.Getenv(key)
		os.Unsetenv(key)
		return v
	}
	count, names, pid := env(listenFDs), env(listenNames), env(listenPID)
	if count == "" || (pid != "" && pid != strconv.Itoa(os.Getpid())) {
		return map[string]*os.File{}, nil
	}
	all, err := inheritedNames(count, names)
	if err != nil {
		return nil, err
	}
	files := make(map[string]*os.File, len(all))
	for i, name := range all {
		fd := listenFirst + i
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("inherited descriptor %d (%s): %w", fd, name, err)
		}
		files[name] = os.NewFile(uintptr(fd), name)
	}
	return files, nil
}

// inheritedNames gives every descriptor its name, in order.
func inheritedNames(count, names string) ([]string, error) {
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 1<<16 {
		return nil, fmt.Errorf("%s=%q: want the number of descriptors", listenFDs, count)
	}
	var out []string
	if names != "" {
		out = strings.Split(names, ":")
		if len(out) != n {
			return nil, fmt.Errorf("%s=%q has %d names for %d descriptors", listenNames, names, len(out), n)
		}
	} else {
		for i := range n {
			out = append(out, strconv.Itoa(listenFirst+i))
		}
	}
	return numbered(out), nil
}

// numbered are names of which none is there twice.
func numbered(names []string) []string {
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		for n := 1; seen[names[i]]; n++ {
			names[i] = name + "." + strconv.Itoa(n)
		}
		seen[names[i]] = true
	}
	return names
}

// InheritEnv returns the environment lines that make Inherited work in a child
// whose exec.Cmd.ExtraFiles carries files with these names in this order. A name
// has no colon. LISTEN_PID is left out: it cannot be known before the fork.
func InheritEnv(names []string) []string {
	return []string{
		listenFDs + "=" + strconv.Itoa(len(names)),
		listenNames + "=" + strings.Join(names, ":"),
	}
}
