//go:build !linux

package netx

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

const abstractNames = false

func sctpSocket(int) (fd int, err error) { return -1, ErrNoSCTP }

// DialSCTP is for Linux only.
func DialSCTP(context.Context, netip.Addr, netip.AddrPort) (*net.TCPConn, error) {
	return nil, ErrNoSCTP
}

// BindLate does nothing here.
func BindLate(_, _ string, _ syscall.RawConn) error { return nil }
