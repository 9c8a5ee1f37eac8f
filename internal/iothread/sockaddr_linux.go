package iothread

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
)

// sockaddr is an address as the kernel has it.
type sockaddr struct {
	any  unix.RawSockaddrAny
	size uint32
}

// addr is the address of a socket of that network; the zero Addr when it is of another kind.
func (a *sockaddr) addr(network flow.Network) flow.Addr {
	switch a.any.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.any))
		return flow.Addr{Network: network, IP: netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostPort(&in.Port))}
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.any))
		ip := netip.AddrFrom16(in.Addr).Unmap()
		if in.Scope_id != 0 && ip.IsLinkLocalUnicast() {
			ip = ip.WithZone(strconv.FormatUint(uint64(in.Scope_id), 10))
		}
		return flow.Addr{Network: network, IP: netip.AddrPortFrom(ip, hostPort(&in.Port))}
	case unix.AF_UNIX:
		return flow.Addr{Network: flow.Unix, Path: a.path()}
	}
	return flow.Addr{}
}

// path is the name of a UNIX socket, @ before an abstract one.
func (a *sockaddr) path() string {
	un := (*unix.RawSockaddrUnix)(unsafe.Pointer(&a.any))
	n := int(a.size) - int(unsafe.Offsetof(un.Path))
	if n <= 0 {
		return "" // has no name
	}
	path := unsafe.Slice((*byte)(unsafe.Pointer(&un.Path)), min(n, len(un.Path)))
	if path[0] == 0 {
		return "@" + string(path[1:])
	}
	return unix.ByteSliceToString(path)
}

// set makes a the address to connect to, and says of what family its socket is.
func (a *sockaddr) set(to flow.Addr) (family int, err error) {
	if to.Network == flow.Unix {
		return unix.AF_UNIX, a.setPath(to.Path)
	}
	return a.setIP(to.IP)
}

func (a *sockaddr) setPath(path string) error {
	un := (*unix.RawSockaddrUnix)(unsafe.Pointer(&a.any))
	*un = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	name := unsafe.Slice((*byte)(unsafe.Pointer(&un.Path)), len(un.Path))
	if path == "" || len(path) >= len(name) {
		return fmt.Errorf("the name of a UNIX socket has 1 to %d bytes", len(name)-1)
	}
	copy(name, path)
	a.size = uint32(unsafe.Offsetof(un.Path)) + uint32(len(path)) + 1
	if path[0] == '@' {
		name[0] = 0
		a.size-- // an abstract name has no end
	}
	return nil
}

func (a *sockaddr) setIP(to netip.AddrPort) (family int, err error) {
	ip := to.Addr().Unmap()
	if ip.Is4() {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.any))
		*in = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
		setPort(&in.Port, to.Port())
		a.size = unix.SizeofSockaddrInet4
		return unix.AF_INET, nil
	}
	if !ip.IsValid() {
		return 0, fmt.Errorf("no address")
	}
	in := (*unix.RawSockaddrInet6)(unsafe.Pointer(&a.any))
	*in = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ip.As16()}
	setPort(&in.Port, to.Port())
	a.size = unix.SizeofSockaddrInet6
	in.Scope_id, err = scope(ip.Zone())
	return unix.AF_INET6, err
}

// scope is the number of the interface that a zone names.
func scope(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", zone, err)
	}
	return uint32(i.Index), nil
}
