//go:build !linux

package process

import "golang.org/x/sys/unix"

// How the settings of a terminal are read and written.
const (
	termiosGet = unix.TIOCGETA
	termiosSet = unix.TIOCSETA
)
