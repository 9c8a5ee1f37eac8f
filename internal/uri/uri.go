// Package uri names the ends of a stream: where a channel's bytes come from.
//
// An end is written as a URL:
//
//	udp://239.1.1.1:5000            a multicast group (any-source)
//	udp://10.0.0.7@239.1.1.1:5000   a group, one source only (SSM, RFC 4607)
//	udp://[ff15::1]:5000            IPv6; source and group both in brackets: [fd00::7]@[ff35::1]:5000
//	rtp://239.1.1.1:5000            the same bytes in RTP (RFC 3550); receivers detect RTP themselves
//
// The package only reads and writes words; it opens nothing.
package uri

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Scheme is the protocol of an end, in lower case.
type Scheme string

// The schemes an end may have.
const (
	UDP Scheme = "udp"
	RTP Scheme = "rtp"
)

// End is one end of a stream. The zero End is not valid.
type End struct {
	Scheme Scheme
	Addr   netip.AddrPort // the group (or local address) and port
	Source netip.Addr     // the one permitted sender (SSM); invalid = any
}

// ErrScheme marks a URL whose scheme this end cannot have.
var ErrScheme = errors.New("unsupported scheme")

// Parse reads "scheme://[source@]address:port". A query, a fragment or a path
// other than "/" is an error: the caller cuts what belongs to it.
func Parse(s string) (End, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return End{}, fmt.Errorf("%q is no URL: want udp://GROUP:PORT", s)
	}
	switch Scheme(scheme) {
	case UDP, RTP:
	default:
		return End{}, fmt.Errorf("%w %q: want udp or rtp", ErrScheme, scheme)
	}
	return ParseAddr(Scheme(scheme), strings.TrimSuffix(rest, "/"))
}

// ParseAddr reads "[source@]address:port", the part of an end after "scheme://".
func ParseAddr(scheme Scheme, s string) (End, error) {
	e := End{Scheme: scheme}
	source, addr, found := strings.Cut(s, "@")
	if !found {
		source, addr = "", s
	}
	var err error
	if e.Addr, err = netip.ParseAddrPort(addr); err != nil {
		return End{}, addrError(addr)
	}
	if e.Addr.Port() == 0 {
		return End{}, fmt.Errorf("port 0 in %q: want 1 to 65535", addr)
	}
	if zone := e.Addr.Addr().Zone(); zone != "" {
		return End{}, fmt.Errorf("zone %q in %q: the interface is a setting, not part of the address", zone, addr)
	}
	e.Addr = netip.AddrPortFrom(e.Addr.Addr().Unmap(), e.Addr.Port())
	if !found {
		return e, nil
	}
	if e.Source, err = parseSource(source); err != nil {
		return End{}, err
	}
	if e.Source.Is4() != e.Addr.Addr().Is4() {
		return End{}, fmt.Errorf("source %s and group %s are of different IP versions", e.Source, e.Addr.Addr())
	}
	if !e.Addr.Addr().IsMulticast() {
		return End{}, fmt.Errorf("source %s given, but %s is no multicast group", e.Source, e.Addr.Addr())
	}
	return e, nil
}

func parseSource(s string) (netip.Addr, error) {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(bare)
	if err != nil || a.Zone() != "" || a.IsMulticast() || a.IsUnspecified() {
		return netip.Addr{}, fmt.Errorf("bad source address %q before the @", s)
	}
	return a.Unmap(), nil
}

func addrError(s string) error {
	if strings.Count(s, ":") == 2 && !strings.Contains(s, "[") {
		return fmt.Errorf("bad address %q: want GROUP:PORT, with a source SOURCE@GROUP:PORT", s)
	}
	return fmt.Errorf("bad address %q: want ADDRESS:PORT (IPv6 as [ADDRESS]:PORT)", s)
}

// String is the URL that Parse reads back.
func (e End) String() string { return string(e.Scheme) + "://" + e.address() }

// Tag is the name of the end in reports and orders, such as UDP://239.1.1.1:5000:
// the scheme in upper case, no query, no credentials. Two ends that deliver the
// same bytes have the same tag, so RTP is named UDP as well.
func (e End) Tag() string { return "UDP://" + e.address() }

func (e End) address() string {
	if !e.Source.IsValid() {
		return e.Addr.String()
	}
	if e.Source.Is6() {
		return "[" + e.Source.String() + "]@" + e.Addr.String()
	}
	return e.Source.String() + "@" + e.Addr.String()
}
