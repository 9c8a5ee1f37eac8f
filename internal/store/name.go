package store

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// Longest names, in bytes: what any system can keep.
const (
	maxName    = 1024
	maxElement = 255
)

// checkName says whether a name can be one at all. Backslashes are never in one: some systems take
// them for slashes.
func checkName(name string) error {
	if !fs.ValidPath(name) || len(name) > maxName || strings.ContainsAny(name, "\x00\\") {
		return fmt.Errorf("%.100q: %w", name, ErrName)
	}
	for element := range strings.SplitSeq(name, "/") {
		if len(element) > maxElement {
			return fmt.Errorf("%.100q: %w", name, ErrName)
		}
	}
	return nil
}

// hidden says whether a name is of the store's own.
func hidden(name string) bool {
	return name != "." && (name[0] == '.' || strings.Contains(name, "/."))
}

// checkRead is checkName for who reads: what is hidden is not there.
func checkRead(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if hidden(name) {
		return fmt.Errorf("%q: %w", name, fs.ErrNotExist)
	}
	return nil
}

// checkWrite is checkName for who writes.
func checkWrite(name string) error {
	switch err := checkName(name); {
	case err != nil:
		return err
	case name == ".":
		return fmt.Errorf("%q: %w", name, ErrIsDir)
	case hidden(name):
		return fmt.Errorf("%q is hidden: %w", name, ErrName)
	}
	return nil
}

// within says whether name stands directly in dir.
func within(dir, name string) bool { return name != "." && path.Dir(name) == dir }

// stamps gives times that never come twice, so that what was replaced within one tick of the clock has
// another one. Whoever has it guards it.
type stamps struct{ last int64 }

func (s *stamps) next(now time.Time) time.Time {
	s.last = max(now.UnixNano(), s.last+1)
	return time.Unix(0, s.last)
}
