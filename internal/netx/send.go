package netx

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// SendConfig says where datagrams are sent.
type SendConfig struct {
	// Addr is a multicast group or a unicast address, with its port.
	Addr netip.AddrPort
	// Source is the address to send from. If invalid, the system chooses.
	Source netip.Addr
	// Interface is where a group is sent to, and the zone of a link-local address.
	// If "", the system chooses by its routes.
	Interface string
	// TTL is the number of hops. If zero, 1 for a group, so that nothing leaves the
	// network by accident, and the system's choice for a unicast address.
	TTL int
	// NoLoop keeps a group's datagrams from receivers on this machine.
	NoLoop bool
}

// DialUDP opens a socket that sends to one address.
func DialUDP(c SendConfig) (*net.UDPConn, error) {
	conn, err := dialUDP(c)
	if err != nil {
		return nil, fmt.Errorf("open udp sender to %s%s: %w", c.Addr, onInterface(c.Interface), err)
	}
	return conn, nil
}

func dialUDP(c SendConfig) (*net.UDPConn, error) {
	if !c.Addr.IsValid() || c.Addr.Port() == 0 {
		return nil, errors.New("want an address and a port")
	}
	index, err := interfaceIndex(c.Interface)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		err := raw.Control(func(fd uintptr) { set = c.setOptions(int(fd), index) })
		return errors.Join(err, set)
	}}
	if c.Source.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.Source, 0))
	}
	addr := c.Addr
	if a := addr.Addr(); c.Interface != "" && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) && a.Is6() {
		// By number: package net remembers for a minute which index a name had.
		addr = netip.AddrPortFrom(a.WithZone(strconv.Itoa(index)), addr.Port())
	}
	conn, err := d.Dial("udp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("%w%s", cause(err), hint(err, sendHints))
	}
	return conn.(*net.UDPConn), nil
}

var sendHints = hints{
	{unix.ENETUNREACH, "no route: give --interface or add one with `ip route add`"},
	{unix.EADDRNOTAVAIL, "no interface of this machine has the source address"},
}

// setOptions runs before connect, which chooses the way out.
func (c SendConfig) setOptions(fd, index int) error {
	for _, o := range c.options(index) {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("set %s=%d: %w", o.name, o.value, err)
		}
	}
	if a := c.Addr.Addr(); index != 0 && a.Is4() && a.IsMulticast() {
		mreq := &unix.IPMreqn{Ifindex: int32(index)}
		if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq); err != nil {
			return fmt.Errorf("set IP_MULTICAST_IF=%s: %w", c.Interface, err)
		}
	}
	return nil
}

func (c SendConfig) options(index int) []option {
	addr, loop := c.Addr.Addr().Unmap(), 1
	if c.NoLoop {
		loop = 0
	}
	switch {
	case addr.IsMulticast() && addr.Is4():
		return []option{
			{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, max(c.TTL, 1)},
			{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, loop},
		}
	case addr.IsMulticast():
		return []option{
			{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, max(c.TTL, 1)},
			{"IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, loop},
			{"IPV6_MULTICAST_IF", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index},
		}
	case c.TTL == 0:
		return nil
	case addr.Is4():
		return []option{{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, c.TTL}}
	}
	return []option{{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, c.TTL}}
}
