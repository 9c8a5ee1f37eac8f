package flow

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Network is the kind of a socket.
type Network uint8

// The networks.
const (
	TCP  Network = iota
	SCTP         // one-to-one style (RFC 6458, 4)
	Unix         // SOCK_STREAM
)

// Addr is where a socket listens or leads to. The zero Addr is none.
type Addr struct {
	Network Network
	IP      netip.AddrPort // of TCP and SCTP
	Path    string         // of a UNIX socket; @ before an abstract name; "" of a client without one
}

// IsZero says that there is no address.
func (a Addr) IsZero() bool { return a == Addr{} }

// String is 192.0.2.1:80, [2001:db8::1]:80, sctp://192.0.2.1:80 or unix:PATH, and "-" for none.
func (a Addr) String() string {
	switch {
	case a.IsZero():
		return "-"
	case a.Network == Unix:
		return "unix:" + a.Path
	case a.Network == SCTP:
		return "sctp://" + a.IP.String()
	}
	return a.IP.String()
}

// ParseAddr reads what String writes, with tcp:// too. An address without a host, :80,
// is [::]:80.
func ParseAddr(text string) (Addr, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" || path == "@" || strings.ContainsRune(path, 0) {
			return Addr{}, fmt.Errorf("bad address %q: want unix:PATH, or unix:@NAME for an abstract one", text)
		}
		return Addr{Network: Unix, Path: path}, nil
	}
	a := Addr{}
	rest, ok := strings.CutPrefix(text, "sctp://")
	if ok {
		a.Network = SCTP
	} else {
		rest = strings.TrimPrefix(text, "tcp://")
	}
	if strings.HasPrefix(rest, ":") {
		rest = "[::]" + rest
	}
	ip, err := netip.ParseAddrPort(rest)
	if err != nil {
		return Addr{}, fmt.Errorf("bad address %q: want HOST:PORT with an address for the host (IPv6 as [ADDRESS]:PORT), sctp://HOST:PORT or unix:PATH", text)
	}
	a.IP = ip
	return a, nil
}

// FromNet is the Addr of a net.Addr; the zero Addr when it is of another kind.
func FromNet(n net.Addr) Addr {
	switch n := n.(type) {
	case *net.TCPAddr:
		ap := n.AddrPort()
		return Addr{IP: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}
	case *net.UnixAddr:
		return Addr{Network: Unix, Path: n.Name}
	}
	return Addr{}
}
