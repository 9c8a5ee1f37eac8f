package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/internal/config/spawnd"
	"sluice/internal/flow"
	"sluice/internal/relay"
)

// listeners are where clients come in.
func (t *tcprelay) listeners() {
	r, s := &t.out.Config.Relay, &t.file.Spawnd
	certificate, encrypted := t.certificate()
	rules := t.rules()
	idle := t.seconds(t.file.Worker.IdleTimeout)
	names := map[string]int{}
	var wild []wildcard
	for _, said := range s.Listens {
		sockets, implied := t.sockets(said)
		l, err := r.AddListener(listenerName(sockets, names))
		if err != nil {
			t.fail(said.Place, "%s", err)
			continue
		}
		t.out.Config.note(listenersKey+"."+l.Name, From{Place: said.Place})
		l.Addrs, l.Pool, l.Rules = sockets, tcprelayPool, rules
		for i := range l.Addrs {
			wild = append(wild, wildcard{&l.Addrs[i], implied})
		}
		if said.Proxy.Value {
			l.Proxy = relay.ProxyRequired
		}
		l.DSCP = t.number(said.DSCP, 0, 0, 63)
		l.KeepAlive = t.keepAlive(said.KeepAlive)
		t.times(l, idle)
		if said.TLS.On.Value && !encrypted {
			t.fail(said.TLS.On.Place, "tls without a certificate: want tls cert-file = FILE in the section of tcprelay")
		}
		if said.TLS.On.Value {
			l.TLS.Certificates, l.TLS.Auto = []RelayCertificate{certificate}, said.TLS.Auto.Value
			l.TLS.Min, l.TLS.Max = versions(said.TLS.Versions)
		}
	}
	settle(wild, t.ipv6)
}

// times are how long things may last. A session without a byte is idle also while it is
// being made.
func (t *tcprelay) times(l *RelayListener, idle time.Duration) {
	l.Tries = min(max(l.Tries, len(t.file.Worker.Remotes)), maxTries)
	if l.Idle = idle; idle > 0 {
		l.Hello, l.Connect = min(l.Hello, idle), min(l.Connect, idle)
	}
}

func (t *tcprelay) keepAlive(own spawnd.KeepAlive) flow.KeepAlive {
	all := t.file.Spawnd.KeepAlive
	return flow.KeepAlive{
		Idle:     t.secondsUpTo(firstSaid(own.Idle, all.Idle), maxKeepAlive),
		Interval: t.secondsUpTo(firstSaid(own.Interval, all.Interval), maxKeepAlive),
		Count:    t.number(firstSaid(own.Count, all.Count), 0, 0, 127),
	}
}

// versions are the oldest and the newest of TLS, 0 where nothing is said.
func versions(said []string) (oldest, newest uint16) {
	if len(said) == 0 {
		return 0, 0
	}
	numbers := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	oldest = numbers[slices.Min(said)]
	return oldest, numbers[slices.Max(said)]
}

// rules are who is let in.
func (t *tcprelay) rules() []relay.Rule {
	var rules []relay.Rule
	for _, r := range t.file.Spawnd.Rules {
		prefix, err := parseNetwork(r.Network.Value)
		if err != nil {
			t.fail(r.Network.Place, "Expected an IP address or network in CIDR notation, but got '%s'.", r.Network.Value)
		}
		rules = append(rules, relay.Rule{Deny: r.Deny, Not: r.Not, Prefix: prefix})
	}
	return rules
}

// parseNetwork reads an address or ADDRESS/BITS, whatever the bits behind are, or
// ADDRESS/MASK.
func parseNetwork(text string) (netip.Prefix, error) {
	address, mask, masked := strings.Cut(text, "/")
	if m, err := netip.ParseAddr(mask); masked && err == nil && m.Is4() {
		ones, _ := net.IPMask(m.AsSlice()).Size()
		if ones == 0 && !m.IsUnspecified() {
			return netip.Prefix{}, fmt.Errorf("bad mask %q", mask)
		}
		text = fmt.Sprintf("%s/%d", address, ones)
	}
	if !masked {
		a, err := netip.ParseAddr(text)
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), err
	}
	p, err := netip.ParsePrefix(text)
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), err
}

// sockets are what a listener opens: implied says that no address is said. Without a
// port it is the standard input, which inetd leaves.
func (t *tcprelay) sockets(l spawnd.Listen) (all []relay.Socket, implied bool) {
	s := relay.Socket{
		Backlog: t.number(l.Backlog, 0, 0, maxCount),
		Device:  l.Device.Value,
		Retry:   t.seconds(firstSaid(l.RetryDelay, t.file.Spawnd.RetryDelay)),
	}
	at := splitAddress(l.Address.Value)
	if at.path != "" {
		return []relay.Socket{t.unixSocket(l, at.path)}, false
	}
	port, ok := t.port(at, l.Address, l.Port)
	switch {
	case !ok:
		return nil, false
	case !l.Address.Is() && !l.Port.Is():
		return []relay.Socket{{Inherited: tcprelayStdin}}, false
	case at.port == "" && !l.Port.Is():
		t.fail(l.Address.Place, "a listen without a port")
		return nil, false
	}
	if l.Mode.Is() || l.User.Is() || l.Group.Is() {
		t.warn(l.Place, "'mode', 'userid' and 'groupid' of a listen have no effect without the path of a UNIX socket")
	}
	for _, ip := range t.hosts(l.Address, at.host) {
		s.Addr = flow.Addr{Network: network(l.Protocol), IP: netip.AddrPortFrom(ip, port)}
		all = append(all, s)
	}
	return all, !l.Address.Is()
}

// unixSocket is a socket with a file.
func (t *tcprelay) unixSocket(l spawnd.Listen, path string) relay.Socket {
	s := relay.Socket{
		Addr:    flow.Addr{Network: flow.Unix, Path: path},
		Backlog: t.number(l.Backlog, 0, 0, maxCount),
		Retry:   t.seconds(firstSaid(l.RetryDelay, t.file.Spawnd.RetryDelay)),
		Mode:    l.Mode.Value,
	}
	if l.Mode.Is() && (l.Mode.Value == 0 || l.Mode.Value > 0o777) {
		t.fail(l.Mode.Place, "mode = %o: want 1 to 777", l.Mode.Value)
	}
	s.User, s.Group = t.user(l.User)
	if l.Group.Is() {
		s.Group = t.group(l.Group)
	}
	if path[0] == '@' && (s.Mode != 0 || s.User != "" || s.Group != "") {
		t.fail(l.Place, "mode, userid and groupid are of UNIX sockets with a file")
	}
	return s
}

// lookupWithin is how long the addresses of a host to listen at are waited for.
const lookupWithin = 10 * time.Second

// hosts are the addresses to listen at; [::] when nothing is said.
func (t *tcprelay) hosts(said spawnd.Said[string], host string) []netip.Addr {
	if !said.Is() {
		return []netip.Addr{netip.IPv6Unspecified()}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	all, err := t.lookup(host)
	if err != nil || len(all) == 0 {
		t.fail(said.Place, "%s: no address of this name is known", said.Value)
	}
	for i := range all {
		all[i] = all[i].Unmap()
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// lookupHost finds the addresses of a host.
func lookupHost(host string) ([]netip.Addr, error) {
	if err := checkHost(host); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupWithin)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// wildcard is a socket that perhaps listens at all addresses.
type wildcard struct {
	*relay.Socket
	implied bool // because no address is said
}

func (w wildcard) all() bool {
	return w.Addr.Network != flow.Unix && w.Inherited == "" && w.Addr.IP.Addr().IsUnspecified()
}

// settle lets sockets of one port stand beside each other: [::] takes no IPv4 beside 0.0.0.0,
// and what is implied is what the others leave.
func settle(sockets []wildcard, ipv6 bool) {
	for _, s := range sockets {
		if s.implied && (!ipv6 || slices.ContainsFunc(sockets, func(o wildcard) bool { return !o.implied && s.beside(o, netip.IPv6Unspecified()) })) {
			s.Addr.IP = netip.AddrPortFrom(netip.IPv4Unspecified(), s.Addr.IP.Port())
		}
	}
	for _, s := range sockets {
		s.Only6 = s.all() && s.Addr.IP.Addr().Is6() &&
			slices.ContainsFunc(sockets, func(o wildcard) bool { return s.beside(o, netip.IPv4Unspecified()) })
	}
}

// beside says whether other is at all addresses of that kind, at the port of w.
func (w wildcard) beside(other wildcard, ip netip.Addr) bool {
	return w.all() && other.all() && other.Addr.IP.Addr() == ip &&
		w.Addr.IP.Port() == other.Addr.IP.Port() && w.Addr.Network == other.Addr.Network && w.Device == other.Device
}

// listenerName is what logs and status call a listener: by what it listens at, so that it is the
// same one when the file is read again.
func listenerName(sockets []relay.Socket, taken map[string]int) string {
	name := "none"
	if len(sockets) > 0 {
		switch s := sockets[0]; {
		case s.Inherited != "":
			name = s.Inherited
		case s.Addr.Network == flow.Unix:
			name = "unix"
		case s.Addr.Network == flow.SCTP:
			name = fmt.Sprintf("sctp-%d", s.Addr.IP.Port())
		default:
			name = fmt.Sprintf("tcp-%d", s.Addr.IP.Port())
		}
	}
	if taken[name]++; taken[name] > 1 {
		return fmt.Sprintf("%s-%d", name, taken[name])
	}
	return name
}

// firstSaid is the first of the two that was said.
func firstSaid[T any](own, all spawnd.Said[T]) spawnd.Said[T] {
	if own.Is() {
		return own
	}
	return all
}
