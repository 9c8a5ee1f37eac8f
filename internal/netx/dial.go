package netx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// ErrForbidden says that a Dialer does not permit an address.
var ErrForbidden = errors.New("address not permitted")

// Dialer connects to the addresses that it permits. What a name stands for is judged
// when the connection is made, so that no name server can lead elsewhere. The zero value
// permits nothing.
type Dialer struct {
	Allow    []netip.Prefix // networks that an address has to be in; a Local one in a network of its kind
	Any      bool           // every address is permitted, whatever Allow says
	NotLocal bool           // but none that is Local, whatever Any and Allow say
}

// Local says that an address leads to this machine, or only to its neighbours, where
// services listen that trust whoever reaches them: loopback, link-local, unspecified.
func Local(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast() || a.IsUnspecified()
}

// Permits returns nil, or an error that wraps ErrForbidden.
func (d Dialer) Permits(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	if d.NotLocal && Local(a) {
		return fmt.Errorf("%w: %s is of this machine or this link only", ErrForbidden, a)
	}
	if d.Any {
		return nil
	}
	for _, p := range d.Allow {
		if p.Contains(a) && (!Local(a) || a.IsMulticast() || meant(p)) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is in none of the networks that may be named", ErrForbidden, a)
}

// meant says that a network which has a Local address was written for the sake of such ones:
// 127.0.0.0/8 was, and 0.0.0.0/0, which is to say everybody, was not.
func meant(p netip.Prefix) bool {
	least := 8
	if p.Addr().Is6() {
		least = 10
	}
	return p.Bits() >= least && Local(p.Addr())
}

// DialTCP connects to "host:port". The addresses of a name are tried one after the other,
// those of both IP versions side by side, and those that are not permitted passed over,
// until ctx ends.
func (d Dialer) DialTCP(ctx context.Context, address string) (*net.TCPConn, error) {
	dialer := net.Dialer{ControlContext: d.control}
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// control is asked by the net package before each connect.
func (d Dialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return d.Permits(to.Addr())
}
