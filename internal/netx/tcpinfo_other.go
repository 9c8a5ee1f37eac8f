//go:build !linux

package netx

import (
	"errors"
	"fmt"
	"syscall"
)

// TCPWritten needs Linux: it returns errors.ErrUnsupported here.
func TCPWritten(syscall.Conn) (bytes uint64, err error) {
	return 0, fmt.Errorf("count the bytes written to a TCP socket: %w on this system", errors.ErrUnsupported)
}
