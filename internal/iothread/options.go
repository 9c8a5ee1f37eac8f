package iothread

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
)

// When accept(2) fails for want of descriptors or memory, nothing is accepted for acceptFirst; for twice as
// long each time that it fails again, up to acceptMost.
const (
	acceptFirst = 10 * time.Millisecond
	acceptMost  = time.Second
)

// setDSCP sets the class of what a socket sends; local is where it listens or is connected to.
func setDSCP(fd int, local flow.Addr, dscp int) error {
	if local.Network == flow.Unix {
		return nil
	}
	class := dscp << 2 // beside two bits of ECN (RFC 3168, 5)
	err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, class)
	if local.IP.Addr().Is6() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, class)
	}
	if err != nil {
		return fmt.Errorf("set the DSCP to %d: %w", dscp, err)
	}
	return nil
}
