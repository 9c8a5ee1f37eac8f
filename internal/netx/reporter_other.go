//go:build !linux

package netx

import (
	"errors"
	"fmt"
	"net/netip"
)

// Reporter sends membership reports, where the system is Linux.
type Reporter struct{}

// OpenReporter returns ErrNoReports: not on this system.
func OpenReporter() (*Reporter, error) {
	return nil, fmt.Errorf("%w on this system: %w", ErrNoReports, errors.ErrUnsupported)
}

// Report returns ErrNoReports.
func (r *Reporter) Report(netip.Addr, netip.Addr, int) error { return ErrNoReports }

// Close has nothing to close.
func (r *Reporter) Close() error { return nil }
