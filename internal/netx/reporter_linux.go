package netx

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// Reporter tells the network that groups are still wanted, without leaving them: the
// report a member answers a query with (IGMP of RFC 3376, 2236 and 1112, MLD of RFC
// 3810 and 2710), of its own accord. That is for switches which forget members and
// which nobody queries. One serves all sockets of a process, from any goroutine.
//
// IGMP is spoken in the version that the interface is in (/proc/net/igmp: a query of
// an older router sets it, net.ipv4.conf.*.force_igmp_version, too). Of MLD the system
// tells only what is forced (net.ipv6.conf.*.force_mld_version), so it is version 2
// otherwise. That is enough: where a router of version 1 asks, the kernel answers in
// version 1, and where none asks, the kernel joins in version 2, too.
type Reporter struct {
	mu      sync.Mutex           // guards all below
	sockets map[int]int          // descriptors by address family, opened when first needed
	igmp    linkFacts[int]       // the version of each interface with a group
	ipv6    linkFacts[mldSender] // version and sender on each interface with a link-local address
}

var capHint = hints{{unix.EPERM, "it needs CAP_NET_RAW: run as root, `setcap cap_net_raw+ep` on the program, or AmbientCapabilities= of systemd"}}

// OpenReporter returns ErrNoReports when the process may not open raw sockets
// (CAP_NET_RAW, capabilities(7)).
func OpenReporter() (*Reporter, error) {
	fd, err := rawSocket(unix.AF_INET) // whether it may; the family may not be needed
	if err != nil {
		return nil, fmt.Errorf("%w: %w%s", ErrNoReports, err, hint(err, capHint))
	}
	unix.Close(fd)
	return &Reporter{
		sockets: map[int]int{},
		igmp:    linkFacts[int]{read: igmpVersions},
		ipv6:    linkFacts[mldSender]{read: mldSenders},
	}, nil
}

// Report sends one report: the group is wanted on the interface, from source alone or,
// if that is not valid, from any. With ifindex 0 it goes where the routes lead the
// group. It never waits; when the interface cannot take it at once, that is an error,
// and the next report will do. ErrNoInterface: there is no such interface, or nobody
// has joined a group on it.
func (r *Reporter) Report(group, source netip.Addr, ifindex int) error {
	if err := r.report(group, source, ifindex); err != nil {
		return fmt.Errorf("report membership of %s: %w", group, err)
	}
	return nil
}

// Close closes the sockets. Report is an error from then on.
func (r *Reporter) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []error
	for _, fd := range r.sockets {
		all = append(all, unix.Close(fd))
	}
	r.sockets = nil
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("close membership reports: %w", err)
	}
	return nil
}

func (r *Reporter) report(group, source netip.Addr, ifindex int) error {
	if err := checkReport(group, source); err != nil {
		return err
	}
	if ifindex == 0 {
		var err error
		if ifindex, err = routeTo(group); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if group.Is4() {
		err = r.sendIGMP(group, source, ifindex)
	} else {
		err = r.sendMLD(group, source, ifindex)
	}
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w with index %d: %w", ErrNoInterface, ifindex, err)
	}
	return err
}

func (r *Reporter) sendIGMP(group, source netip.Addr, ifindex int) error {
	version, err := r.igmp.of(ifindex)
	if err != nil {
		return err
	}
	message, dst := igmpReport(version, group, source)
	info := unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(ifindex)})
	return r.send(message, info, dst)
}

func (r *Reporter) sendMLD(group, source netip.Addr, ifindex int) error {
	from, err := r.ipv6.of(ifindex)
	if err != nil {
		return err
	}
	message, dst := mldReport(from.version, group, source)
	info := unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: uint32(ifindex), Addr: from.addr.As16()})
	return r.send(message, info, dst)
}

func (r *Reporter) send(message, info []byte, dst netip.Addr) error {
	family := unix.AF_INET6
	if dst.Is4() {
		family = unix.AF_INET
	}
	fd, err := r.socket(family)
	if err != nil {
		return err
	}
	if _, err := unix.SendmsgN(fd, message, info, sockaddr(netip.AddrPortFrom(dst, 0), 0), unix.MSG_DONTWAIT); err != nil {
		return fmt.Errorf("send %d bytes to %s: %w", len(message), dst, err)
	}
	return nil
}

func (r *Reporter) socket(family int) (int, error) {
	if r.sockets == nil {
		return -1, errors.New("the Reporter is closed")
	}
	if fd, open := r.sockets[family]; open {
		return fd, nil
	}
	fd, err := rawSocket(family)
	if err != nil {
		return -1, fmt.Errorf("%w: %w%s", ErrNoReports, err, hint(err, capHint))
	}
	r.sockets[family] = fd
	return fd, nil
}

// routerAlert is the IP option of IGMP (RFC 2113) and routerAlert6 the hop-by-hop
// header of MLD (RFC 2711 and a PadN), its first byte left for the kernel.
const (
	routerAlert  = "\x94\x04\x00\x00"
	routerAlert6 = "\x00\x00\x05\x02\x00\x00\x01\x00"
)

// internetControl is the type of service that IGMP has (RFC 3376, 4).
const internetControl = 0xc0

// rawSocket opens a socket for IGMP or ICMPv6 whose packets carry a router alert, go
// one hop, and which receives nothing.
func rawSocket(family int) (int, error) {
	protocol := unix.IPPROTO_IGMP
	if family == unix.AF_INET6 {
		protocol = unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, fmt.Errorf("open raw socket: %w", err)
	}
	if err := setReportOptions(fd, family); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func setReportOptions(fd, family int) error {
	level, opt, alert := unix.IPPROTO_IP, unix.IP_OPTIONS, routerAlert
	options := []option{
		{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1},
		{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, internetControl},
	}
	if family == unix.AF_INET6 {
		level, opt, alert = unix.IPPROTO_IPV6, unix.IPV6_HOPOPTS, routerAlert6
		options = []option{{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 1}}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	if err := unix.SetsockoptString(fd, level, opt, alert); err != nil {
		return fmt.Errorf("set the router alert option: %w", err)
	}
	return receiveNothing(fd)
}

// receiveNothing keeps the queue empty that nobody reads: a filter that is "return 0".
func receiveNothing(fd int) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]})
	if err != nil {
		return fmt.Errorf("set SO_ATTACH_FILTER: %w", err)
	}
	return nil
}
