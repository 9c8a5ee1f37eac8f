//go:build !linux

package store

import (
	"os"
	"syscall"
)

// openBelow opens a file below a directory. A FIFO would be waited for without O_NONBLOCK; for files it means nothing.
func openBelow(root *os.Root, _ *os.File, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
