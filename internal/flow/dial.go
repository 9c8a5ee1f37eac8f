package flow

import (
	"context"
	"net"
	"net/netip"
)

// Connect connects to addr, from a local address unless that is the zero Addr. The result is a
// *net.TCPConn, also for SCTP, or a *net.UnixConn.
func Connect(ctx context.Context, from netip.Addr, addr Addr) (net.Conn, error) {
	panic("not built yet")
}
