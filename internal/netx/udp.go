package netx

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// DefaultReceiveBuffer is asked for when UDPConfig.ReceiveBuffer is zero: a second
// of a 64 Mbit/s stream.
const DefaultReceiveBuffer = 8 << 20

// UDPConfig says what a UDP socket receives.
type UDPConfig struct {
	// Addr is a multicast group, or a unicast address of this machine. Port 0 lets
	// the system choose one.
	Addr netip.AddrPort
	// Source is the one sender that is let in (SSM, RFC 4607). If invalid, any.
	Source netip.Addr
	// Interface is where a group is joined, and the zone of a link-local address.
	// If "", the system chooses by its routes.
	Interface string
	// ReceiveBuffer is the size asked for in bytes. If zero, DefaultReceiveBuffer.
	ReceiveBuffer int
}

// UDP is an open, non-blocking receiving socket, to be read with a Batch.
type UDP struct {
	fd      int
	addr    netip.AddrPort
	granted int

	source  netip.Addr
	ifname  string // where the group is joined; "" when the system does not tell
	ifindex int    // of ifname when it was joined; 0 = any
	lost    bool   // the interface was gone when it was last looked for
	zone    int    // the interface that a link-local address ties the socket to, 0 = none
}

// FD is the descriptor, valid until Close.
func (u *UDP) FD() int { return u.fd }

// Addr is the address the socket is bound to.
func (u *UDP) Addr() netip.AddrPort { return u.addr }

// Granted is the receive buffer in bytes as the system granted it. On Linux about
// so many bytes of payload fit in datagrams of 1316 bytes or more, and half as many
// in datagrams of 188; less than asked for means that net.core.rmem_max is lower
// and that the process lacks CAP_NET_ADMIN.
func (u *UDP) Granted() int { return u.granted }

// Interface is the index of the interface that a group's datagrams must come from,
// to compare with Datagram.IfIndex; 0 = any. IPv4 filters by itself, IPv6 lets a
// group in that some other socket joined on another interface. Rejoin may change it.
func (u *UDP) Interface() int { return u.ifindex }

// Close closes the descriptor and leaves the group. It does not wake a poll on it:
// the one who polls closes.
func (u *UDP) Close() error {
	if err := unix.Close(u.fd); err != nil {
		return fmt.Errorf("close udp %s: %w", u.addr, err)
	}
	return nil
}

// OpenUDP opens a socket and joins its group. The socket is bound to the group's
// own address, never to the wildcard, so that groups which share a port do not
// mix. Several sockets may receive one group; a unicast port has one owner.
func OpenUDP(c UDPConfig) (*UDP, error) {
	u, err := openUDP(c)
	if err != nil {
		return nil, fmt.Errorf("open udp %s: %w", c.name(), err)
	}
	return u, nil
}

func openUDP(c UDPConfig) (*UDP, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	index, err := interfaceIndex(c.Interface)
	if err != nil {
		return nil, err
	}
	family := unix.AF_INET
	if c.Addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	u := &UDP{fd: fd, source: c.Source, ifname: c.Interface}
	if err := u.setUp(c, index); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return u, nil
}

func (u *UDP) setUp(c UDPConfig, index int) error {
	multicast := c.Addr.Addr().IsMulticast()
	if multicast {
		// For groups alone: with it, a second owner of a unicast port would take the
		// datagrams away from the first without a word.
		if err := unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fmt.Errorf("set SO_REUSEADDR: %w", err)
		}
	}
	if err := setReceiveOptions(u.fd, c.Addr.Addr().Is6()); err != nil {
		return err
	}
	var err error
	if u.granted, err = setReceiveBuffer(u.fd, c.ReceiveBuffer); err != nil {
		return fmt.Errorf("set receive buffer of %d bytes: %w", c.ReceiveBuffer, err)
	}
	if err := unix.Bind(u.fd, sockaddr(c.Addr, index)); err != nil {
		return fmt.Errorf("bind: %w%s", err, hint(err, bindHints))
	}
	local, err := unix.Getsockname(u.fd)
	if err != nil {
		return fmt.Errorf("read the local address: %w", err)
	}
	u.addr = addrPort(local)
	if a := c.Addr.Addr(); a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) {
		u.zone = index
	}
	if !multicast {
		return nil
	}
	return u.joinFirst(index)
}

var bindHints = hints{
	{unix.EADDRINUSE, "another program receives on that port; `ss -lunp` names it"},
	{unix.EADDRNOTAVAIL, "no interface of this machine has that address"},
	{unix.EACCES, "ports below 1024 need root or CAP_NET_BIND_SERVICE"},
	{unix.EINVAL, "a link-local address needs an interface"},
}

func (c UDPConfig) validate() error {
	addr := c.Addr.Addr()
	switch {
	case !addr.IsValid():
		return errors.New("no address given")
	case addr.Is4In6():
		return errors.New("an IPv4 address in IPv6 form: unmap it")
	case addr.Zone() != "":
		return errors.New("the address has a zone: the interface is a field of its own")
	case addr.IsUnspecified():
		return errors.New("want a multicast group or an address of this machine")
	case !c.Source.IsValid():
		return nil
	case !addr.IsMulticast():
		return errors.New("a source is given, but the address is no multicast group")
	case c.Source.Is4() != addr.Is4():
		return errors.New("source and group are of different IP versions")
	}
	return nil
}

func (c UDPConfig) name() string { return groupName(c.Addr, c.Source) }

// groupName is "source@address", or the address alone.
func groupName(addr netip.AddrPort, source netip.Addr) string {
	if !source.IsValid() {
		return addr.String()
	}
	return source.String() + "@" + addr.String()
}

func onInterface(name string) string {
	if name == "" {
		return ""
	}
	return " on " + name
}

// sockaddr is a as the system calls want it; index is the zone of a link-local address.
func sockaddr(a netip.AddrPort, index int) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: uint32(index)}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
