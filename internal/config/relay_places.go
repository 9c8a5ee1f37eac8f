package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/flow"
	"sluice/internal/relay"
	"sluice/internal/resolve"
)

// Sockets are ADDRESS, or inherited:NAME, and options.

func sockets(to *[]relay.Socket) List {
	return list[relay.Socket]{to: to, parse: parseSocket, write: writeSocket, what: "addresses", some: true, lines: true}
}

// socketOptions binds what may stand behind an address to the fields of s.
func socketOptions(s *relay.Socket) table {
	return table{
		{"v6only", boolean{&s.Only6}, live, "`[::]:80` takes no IPv4 besides."},
		{"backlog", count{&s.Backlog, 1, maxCount}, live, "How many clients may wait in the system's queue; without it as many as the system permits."},
		{"device", word{&s.Device}, live, "The network device that it is bound to, such as a VRF."},
		{"mode", mode{&s.Mode}, live, "Mode of the file of a UNIX socket; without it 0666, whatever the umask."},
		{"user", word{&s.User}, live, "Owner of that file, a name or a number."},
		{"group", word{&s.Group}, live, "Its group, likewise."},
		{"retry", duration{to: &s.Retry, least: time.Second}, live, "An address that cannot be had is tried again so often; without it that is an error at the start."},
	}
}

const inheritedPrefix = "inherited:"

func parseSocket(text string) (relay.Socket, error) {
	var s relay.Socket
	first, options, err := item(text)
	if err != nil {
		return s, err
	}
	if name, ok := strings.CutPrefix(first, inheritedPrefix); ok {
		if s.Inherited = name; len(options) > 0 {
			return s, fmt.Errorf("%s is open already: nothing may stand behind it", first)
		}
		return s, checkName("socket", name)
	}
	if s.Addr, err = parseAddr(first); err != nil {
		return s, err
	}
	if err := setOptions(socketOptions(&s), options); err != nil {
		return s, fmt.Errorf("%s: %w", first, err)
	}
	return s, checkSocket(s)
}

// parseAddr reads an address; a path is cleaned.
func parseAddr(text string) (flow.Addr, error) {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return flow.Addr{}, fmt.Errorf("%q has no colon: write \":%s\" for that port on all addresses", text, text)
	}
	a, err := flow.ParseAddr(text)
	if err != nil || a.Network != flow.Unix || a.Path[0] == '@' {
		return a, err
	}
	if !filepath.IsAbs(a.Path) {
		return a, fmt.Errorf("bad path in %q: want an absolute one, or unix:@NAME for an abstract name", text)
	}
	a.Path = filepath.Clean(a.Path)
	return a, nil
}

// checkSocket says which option makes no sense for the address.
func checkSocket(s relay.Socket) error {
	unix := s.Addr.Network == flow.Unix
	switch {
	case s.Only6 && (unix || s.Addr.IP.Addr().Unmap().Is4()):
		return fmt.Errorf("%s: v6only is said of IPv6 addresses only", s.Addr)
	case s.Device != "" && unix:
		return fmt.Errorf("%s: device is said of IP addresses only", s.Addr)
	case (s.Mode != 0 || s.User != "" || s.Group != "") && (!unix || s.Addr.Path[0] == '@'):
		return fmt.Errorf("%s: mode, user and group are said of UNIX sockets with a file only", s.Addr)
	}
	return nil
}

func writeSocket(s relay.Socket) string {
	if s.Inherited != "" {
		return inheritedPrefix + s.Inherited
	}
	return strings.Join(append([]string{quoteWord(s.Addr.String())}, writeOptions(socketOptions(&s), socketOptions(new(relay.Socket)))...), " ")
}

// Remotes are an address, HOST:PORT or srv:SERVICE, and options.

func remotes(to *[]relay.Remote) List {
	return list[relay.Remote]{to: to, parse: parseRemote, write: writeRemote, what: "addresses", some: true, lines: true}
}

// maxWeight bounds weights, so that their sums do not overflow.
const maxWeight = 1_000_000

// remoteOptions binds what may stand behind a remote to the fields of r.
func remoteOptions(r *relay.Remote) table {
	return table{
		{"weight", count{&r.Weight, 1, maxWeight}, live, "Its share; without it 1, or that of the service's records."},
		{"max_conns", count{&r.MaxConns, 1, maxCount}, live, "Sessions at once; others wait (queue). Without it there is no limit."},
		{"backup", boolean{&r.Backup}, live, "It is chosen only when no other can be."},
		{"name", checked{&r.Name, func(s string) error { return checkName("remote", s) }, "text"}, live, "What logs, status and orders call it. Without it, as it is written."},
	}
}

const (
	srvPrefix  = "srv:"
	sctpPrefix = "sctp://"
)

func parseRemote(text string) (relay.Remote, error) {
	first, options, err := item(text)
	if err != nil {
		return relay.Remote{}, err
	}
	r, err := parsePlace(first)
	if err != nil {
		return r, err
	}
	if err := setOptions(remoteOptions(&r), options); err != nil {
		return r, fmt.Errorf("%s: %w", first, err)
	}
	return r, nil
}

// parsePlace reads where a remote is.
func parsePlace(text string) (relay.Remote, error) {
	var r relay.Remote
	if service, ok := strings.CutPrefix(text, srvPrefix); ok {
		name, err := parseService(service)
		r.Host, r.SCTP = name, strings.HasSuffix(name.Service, "._sctp")
		return r, err
	}
	if a, err := parseAddr(text); err == nil || strings.HasPrefix(text, "unix:") {
		if r.Addr = a; err == nil && a.Network != flow.Unix && (a.IP.Port() == 0 || strings.HasPrefix(text, ":")) {
			err = fmt.Errorf("bad remote %q: want HOST:PORT, with both of them", text)
		}
		return r, err
	}
	rest, sctp := strings.CutPrefix(text, sctpPrefix)
	host, portText, err := net.SplitHostPort(strings.TrimPrefix(rest, "tcp://"))
	if err != nil {
		return r, fmt.Errorf("bad remote %q: want HOST:PORT (IPv6 as [ADDRESS]:PORT), sctp://HOST:PORT, unix:PATH or srv:_SERVICE._tcp.DOMAIN", text)
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || n == 0 {
		return r, fmt.Errorf("bad port %q in %q: want 1 to 65535", portText, text)
	}
	r.Host, r.SCTP = resolve.Name{Host: host, Port: uint16(n)}, sctp
	return r, checkHost(host)
}

// parseService reads _imap._tcp.example.org.
func parseService(s string) (resolve.Name, error) {
	labels := strings.SplitN(s, ".", 3)
	if len(labels) < 3 || len(labels[0]) < 2 || labels[0][0] != '_' || labels[1] != "_tcp" && labels[1] != "_sctp" {
		return resolve.Name{}, fmt.Errorf("bad service %q: want srv:_SERVICE._tcp.DOMAIN, such as srv:_imap._tcp.example.org", s)
	}
	if err := checkHost(labels[0] + "." + labels[2]); err != nil {
		return resolve.Name{}, err
	}
	return resolve.Name{Service: labels[0] + "." + labels[1], Host: labels[2]}, nil
}

// checkHost says why no host can have the name. What ends with a number is a misspelt
// address.
func checkHost(host string) error {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.ContainsFunc(l, notInHost) {
			return fmt.Errorf("bad host %q: want an address or a name such as app.example.org", host)
		}
	}
	if len(host) > 254 || strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return fmt.Errorf("bad host %q: it is no address, and no name ends so", host)
	}
	return nil
}

func notInHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// placeOf is where a remote is, as it is written: what it is called if it has no name.
func placeOf(r relay.Remote) string {
	switch {
	case !r.Addr.IsZero():
		return r.Addr.String()
	case r.Host.Service != "":
		return srvPrefix + r.Host.Service + "." + r.Host.Host
	}
	place := net.JoinHostPort(r.Host.Host, strconv.Itoa(int(r.Host.Port)))
	if r.SCTP {
		return sctpPrefix + place
	}
	return place
}

func writeRemote(r relay.Remote) string {
	return strings.Join(append([]string{quoteWord(placeOf(r))}, writeOptions(remoteOptions(&r), remoteOptions(new(relay.Remote)))...), " ")
}

// taken says whether the socket b cannot be opened beside a.
func taken(a, b relay.Socket) bool {
	switch {
	case a.Inherited != "" || b.Inherited != "":
		return a.Inherited == b.Inherited
	case a.Addr.Network != b.Addr.Network:
		return false
	case a.Addr.Network == flow.Unix:
		return a.Addr.Path == b.Addr.Path
	}
	if a.Addr.IP.Port() == 0 || a.Addr.IP.Port() != b.Addr.IP.Port() || a.Device != b.Device {
		return false
	}
	return slices.ContainsFunc(hosts(a), func(x netip.Addr) bool {
		return slices.ContainsFunc(hosts(b), func(y netip.Addr) bool {
			return x == y || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
		})
	})
}

// hosts are the addresses that a socket takes: [::] takes 0.0.0.0 besides.
func hosts(s relay.Socket) []netip.Addr {
	host := s.Addr.IP.Addr().Unmap()
	if host == netip.IPv6Unspecified() && !s.Only6 {
		return []netip.Addr{host, netip.IPv4Unspecified()}
	}
	return []netip.Addr{host}
}
