//go:build !linux

package netx

import (
	"errors"
	"fmt"
	"net"
)

// PeerPID returns errors.ErrUnsupported: not every one of these systems tells.
func PeerPID(*net.UnixConn) (int, error) {
	return 0, fmt.Errorf("process at the other end: %w on this system", errors.ErrUnsupported)
}
