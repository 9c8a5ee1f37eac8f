package netx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoInterface says that an interface is not there; it may come.
var ErrNoInterface = errors.New("no interface")

// Joined is what the socket has joined, as Reporter.Report wants it: a source that
// is not valid means any, ifindex 0 that the system chose an interface and does not
// tell which. A socket with a unicast address has joined nothing: its group is not
// valid.
func (u *UDP) Joined() (group, source netip.Addr, ifindex int) {
	if !u.addr.Addr().IsMulticast() {
		return netip.Addr{}, netip.Addr{}, 0
	}
	return u.addr.Addr(), u.source, u.ifindex
}

// Rejoin joins again what the system dropped when an interface went: one that was
// made anew under its old name has another index and knows nothing of the groups of
// the first. While the membership is good it does nothing and sends nothing, which
// includes an interface that was only down. An interface that the system chose when
// the socket was opened stays chosen, so that a route which comes late moves nobody.
//
// ErrNoInterface: the interface is not there; call again when interfaces have changed
// (WatchLinks). Other errors, too, leave the socket with what it had. One thing is not
// seen: an interface that went and came back under its old index before Rejoin was
// called.
func (u *UDP) Rejoin() error {
	if err := u.rejoin(); err != nil {
		return fmt.Errorf("rejoin udp %s: %w", groupName(u.addr, u.source), err)
	}
	return nil
}

func (u *UDP) rejoin() error {
	group := u.addr.Addr()
	switch {
	case !group.IsMulticast() && u.zone == 0:
		return nil // an address is bound to no interface
	case u.ifname == "":
		return u.joinAnywhere()
	}
	index, err := indexOf(u.fd, u.ifname)
	if err != nil {
		u.forget(err)
		return err
	}
	if u.zone != 0 && u.zone != index {
		if err := bindToDevice(u.fd, u.ifname); err != nil {
			return fmt.Errorf("bind to %s: %w%s", u.ifname, err, hint(err, rebindHints))
		}
		u.zone = index
	}
	if !group.IsMulticast() || (index == u.ifindex && !u.lost) {
		return nil
	}
	if err := u.join(index); err != nil {
		return err
	}
	if !u.lost {
		// Nobody is there to hear it, or the first interface has another name now. An
		// error means that it was left already.
		_ = leave(u.fd, u.ifindex, group)
	}
	u.ifindex, u.lost = index, false
	return nil
}

var rebindHints = hints{
	{unix.EPERM, "a link-local address ties its socket to the interface; to move it needs CAP_NET_RAW"},
}

// forget gives up the membership on an interface that is gone: it would count against
// the limit of a socket (net.ipv4.igmp_max_memberships), and seem good when the next
// interface gets the same index.
func (u *UDP) forget(err error) {
	if !errors.Is(err, ErrNoInterface) || u.lost || !u.addr.Addr().IsMulticast() {
		return
	}
	_ = leave(u.fd, u.ifindex, u.addr.Addr()) // an error means that the system did it
	u.lost = true
}

// joinAnywhere asks the system to choose once more. A group that it still has joined
// stays as it is.
func (u *UDP) joinAnywhere() error {
	err := u.join(0)
	if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil // joined already: from any source, or from this one
	}
	return err
}

// joinFirst joins when the socket is opened. The system's choice is asked for before,
// since a socket does not tell where it has joined.
func (u *UDP) joinFirst(index int) error {
	if index == 0 {
		index, u.ifname = systemChoice(u.addr.Addr())
	}
	u.ifindex = index
	return u.join(index)
}

func (u *UDP) join(index int) error {
	if err := join(u.fd, index, u.addr.Addr(), u.source); err != nil {
		return fmt.Errorf("join%s: %w%s", onInterface(u.ifname), err, hint(err, u.joinHints()))
	}
	return nil
}

func (u *UDP) joinHints() hints {
	if u.ifname != "" {
		return hints{{unix.ENODEV, "the interface has no address of this IP version"}}
	}
	command := "ip route add 224.0.0.0/4 dev IF"
	if u.addr.Addr().Is6() {
		command = "ip -6 route add ff00::/8 dev IF table local"
	}
	return hints{{unix.ENODEV, "no multicast route: give --interface or add `" + command + "`"}}
}

// systemChoice is the interface that the routes lead a group to, 0 and "" when that is
// not to be known: then the join, which asks the same routes, says what is missing.
func systemChoice(group netip.Addr) (index int, name string) {
	index, err := routeTo(group)
	if err != nil {
		return 0, ""
	}
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return 0, ""
	}
	return index, i.Name
}

// CheckInterface wants an interface of this name to be there, else the error names those that are. "" is
// good: the route chooses.
func CheckInterface(name string) error {
	_, err := interfaceIndex(name)
	return err
}

// interfaceIndex returns the index of an interface, 0 for "".
func interfaceIndex(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	i, err := net.InterfaceByName(name)
	if err == nil {
		return i.Index, nil
	}
	all, listErr := net.Interfaces()
	if listErr != nil {
		return 0, fmt.Errorf("interface %q: %w", name, cause(err))
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return 0, fmt.Errorf("%w %q (there are %s)", ErrNoInterface, name, strings.Join(names, ", "))
}

// join enters a group by MCAST_JOIN_GROUP or MCAST_JOIN_SOURCE_GROUP (RFC 3678),
// which take both IP versions and name the interface by its index.
func join(fd, index int, group, source netip.Addr) error {
	opt := unix.MCAST_JOIN_GROUP
	if source.IsValid() {
		opt = unix.MCAST_JOIN_SOURCE_GROUP
	}
	return unix.SetsockoptString(fd, ipLevel(group), opt, string(groupRequest(index, group, source)))
}

// leave drops a group with all its sources (MCAST_LEAVE_GROUP), also on an interface
// that is not there any more.
func leave(fd, index int, group netip.Addr) error {
	return unix.SetsockoptString(fd, ipLevel(group), unix.MCAST_LEAVE_GROUP, string(groupRequest(index, group, netip.Addr{})))
}

func ipLevel(a netip.Addr) int {
	if a.Is4() {
		return unix.IPPROTO_IP
	}
	return unix.IPPROTO_IPV6
}

// groupRequest is struct group_req, or group_source_req with a valid source: the
// interface index, then one or two sockaddr_storage, aligned as this system does.
func groupRequest(index int, group, source netip.Addr) []byte {
	b := make([]byte, storageAlign, storageAlign+2*storageSize)
	binary.NativeEndian.PutUint32(b, uint32(index))
	b = appendStorage(b, group)
	if source.IsValid() {
		b = appendStorage(b, source)
	}
	return b
}

// storageSize is sizeof(struct sockaddr_storage), on every system (RFC 2553).
const storageSize = 128

// appendStorage appends a as a sockaddr_storage without port and zone.
func appendStorage(b []byte, a netip.Addr) []byte {
	var s [storageSize]byte
	if a.Is4() {
		addr := a.As4()
		sockaddrHead(s[:], unix.AF_INET, unix.SizeofSockaddrInet4)
		copy(s[4:], addr[:]) // after family and port
	} else {
		addr := a.As16()
		sockaddrHead(s[:], unix.AF_INET6, unix.SizeofSockaddrInet6)
		copy(s[8:], addr[:]) // after family, port and flow
	}
	return append(b, s[:]...)
}
