//go:build !linux

package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// dup makes what f is the same as what from is.
func dup(from, f *os.File) error { return unix.Dup2(int(from.Fd()), int(f.Fd())) }
