// Package uri names the ends of a stream: where a channel's bytes come from and where a
// client's go.
//
// An end is written as a URL:
//
//	udp://239.1.1.1:5000            a multicast group (any-source), or an address
//	udp://10.0.0.7@239.1.1.1:5000   a group, one source only (SSM, RFC 4607)
//	udp://[ff15::1]:5000            IPv6; source and group both in brackets: [fd00::7]@[ff35::1]:5000
//	rtp://239.1.1.1:5000            the same bytes in RTP (RFC 3550); receivers detect RTP themselves
//	tcp://encoder.lan:7000          a TCP connection that is made there
//	http://10.0.1.12:4056/udp/224.0.2.26:4033?kk=yy    an HTTP request
//	https://USER:PASSWORD@tv.example/live.ts            the same over TLS, with credentials
//	file:///srv/media/film.ts       a file, by its absolute path
//	upload:///live/cam.ts           what is uploaded to the origin of this sluice, by its path there
//
// The package only reads and writes words; it opens nothing.
package uri

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Scheme is the protocol of an end, in lower case.
type Scheme string

// The schemes an end may have.
const (
	UDP   Scheme = "udp"
	RTP   Scheme = "rtp"
	TCP   Scheme = "tcp"
	HTTP  Scheme = "http"
	HTTPS Scheme = "https"
	File  Scheme = "file"

	// Upload is an HTTP PUT or POST that this sluice takes, while it lasts: a source only.
	Upload Scheme = "upload"
)

// MaxLength is that of the longest end, in bytes as it is written.
const MaxLength = 4096

// End is one end of a stream. The zero End is not valid. Ends may be compared.
type End struct {
	Scheme Scheme

	Addr   netip.AddrPort // udp, rtp: the group (or an address) and port
	Source netip.Addr     // udp, rtp: the one permitted sender (SSM); invalid = any

	Host string // tcp, http, https: "name:port", a name in lower case, IPv6 in brackets; the port is always there
	User string // http, https: "user:password" as it is written in the URL; never shown

	Path  string // http, https: percent-encoded, at least "/"; file, upload: absolute and clean, not encoded
	Query string // http, https: as it is written, without the question mark; never shown
}

// ErrScheme marks a URL whose scheme this end cannot have.
var ErrScheme = errors.New("unsupported scheme")

// Datagrams says that the end is of UDP, with RTP or without.
func (e End) Datagrams() bool { return e.Scheme == UDP || e.Scheme == RTP }

// Web says that the end is asked for by HTTP, over TLS or not.
func (e End) Web() bool { return e.Scheme == HTTP || e.Scheme == HTTPS }

// Parse reads an end of any scheme. Only an end of the web has a query; a fragment is an
// error. What stands there in other letters than ASCII becomes percent-encoded. Errors
// repeat neither credentials nor queries.
func Parse(s string) (End, error) {
	if len(s) > MaxLength {
		return End{}, errLength(len(s))
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme == "" || strings.ContainsFunc(scheme, notOfSchemes) {
		return End{}, fmt.Errorf("%q is no URL: want such as udp://GROUP:PORT", Shown(s))
	}
	known := Scheme(strings.ToLower(scheme))
	if slices.Contains([]Scheme{UDP, RTP, TCP, File, Upload}, known) && strings.ContainsAny(rest, "?#") {
		return End{}, fmt.Errorf("a query or fragment in %q: only http and https have one; in a file's name ? is %%3F and # is %%23", Shown(s))
	}
	switch known {
	case UDP:
		return ParseAddr(UDP, strings.TrimSuffix(rest, "/"))
	case RTP:
		return ParseAddr(RTP, strings.TrimSuffix(rest, "/"))
	case TCP:
		return parseTCP(strings.TrimSuffix(rest, "/"))
	case HTTP:
		return parseWeb(HTTP, rest)
	case HTTPS:
		return parseWeb(HTTPS, rest)
	case File, Upload:
		return parseFile(known, rest)
	}
	return End{}, fmt.Errorf("%w %q: want udp, rtp, tcp, http, https, file or upload", ErrScheme, Shown(scheme))
}

// ParseTarget is Parse for an end that a stream goes to.
func ParseTarget(s string) (End, error) {
	e, err := Parse(s)
	if err == nil && e.Scheme == Upload {
		return End{}, fmt.Errorf("%s is a source only: want udp, rtp, tcp, http, https or file", e.Tag())
	}
	return e, err
}

func errLength(n int) error {
	return fmt.Errorf("URL of %d characters: want at most %d", n, MaxLength)
}

// notOfSchemes holds for what no scheme has (RFC 3986, 3.1).
func notOfSchemes(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-.", r))
}

// ParseAddr reads "[source@]address:port", the part of an end of UDP or RTP after
// "scheme://".
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
		return End{}, fmt.Errorf("port 0 in %q: want 1 to 65535", Shown(addr))
	}
	if e.Addr.Addr().Zone() != "" {
		return End{}, errZone(addr)
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
	a = a.Unmap()
	if err != nil || a.Zone() != "" || a.IsMulticast() || a.IsUnspecified() {
		return netip.Addr{}, fmt.Errorf("bad source address %sbefore the @", ifAddress(s))
	}
	return a, nil
}

// ifAddress is s, quoted, with a blank behind it; nothing if it has what no address has,
// and so might be a password.
func ifAddress(s string) string {
	if strings.ContainsFunc(s, notOfAddresses) {
		return ""
	}
	return fmt.Sprintf("%q ", Shown(s))
}

func notOfAddresses(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF:.[]", r) }

// addrError has a hint for who wrote the source as the manual of gigapxy does in one place,
// with a colon: 10.0.0.7:239.1.1.1:5000.
func addrError(s string) error {
	if strings.Count(s, ":") == 2 && !strings.Contains(s, "[") || strings.Contains(s, "]:[") {
		return fmt.Errorf("bad address %q: use @ between a source and its group, SOURCE@GROUP:PORT", Shown(s))
	}
	return fmt.Errorf("bad address %q: want ADDRESS:PORT (IPv6 as [ADDRESS]:PORT)", Shown(s))
}

func errZone(s string) error {
	return fmt.Errorf("zone in %q: the interface is a setting, not part of the address", Shown(s))
}

// String is the URL that Parse reads back, credentials and query included: for
// configurations and for the ends themselves, never for logs.
func (e End) String() string {
	switch {
	case e.Datagrams():
		return string(e.Scheme) + "://" + e.address()
	case e.Scheme == File || e.Scheme == Upload:
		return string(e.Scheme) + "://" + escapePath(e.Path)
	case e.Scheme == TCP:
		return "tcp://" + e.Host
	}
	user, query := e.User, e.Query
	if user != "" {
		user += "@"
	}
	if query != "" {
		query = "?" + query
	}
	return string(e.Scheme) + "://" + user + e.Host + e.Path + query
}

// Tag is the name of the end in reports, logs and orders: the scheme in upper case, no
// query, no credentials.
//
//	UDP://239.1.1.1:5000                   RTP is named UDP as well
//	UDP://10.0.0.7@239.1.1.1:5000          UDP://[fd00::7]@[ff35::1]:5000
//	TCP://encoder.lan:7000
//	HTTP://10.0.1.12:4056/udp/224.0.2.26:4033~6cfa2cd39e90
//	FILE:///srv/media/film.ts
//	UPLOAD:///live/cam.ts
//
// Two ends that deliver the same bytes have the same tag, and no others. What an HTTP
// server sends may depend on the query and on who asks: then twelve digits behind a tilde
// stand for both, the beginning of their SHA-256, and for the path if that has credentials.
func (e End) Tag() string {
	switch {
	case e.Datagrams():
		return "UDP://" + e.address()
	case e.Scheme == File || e.Scheme == Upload:
		return strings.ToUpper(string(e.Scheme)) + "://" + tagPath(escapePath(e.Path))
	case e.Scheme == TCP:
		return "TCP://" + e.Host
	}
	path, hidden := e.Path, e.User+"@"+e.Query
	if strings.Contains(path, "://") { // a relay is asked for an end with credentials of its own, maybe
		path = Mask(path)
	}
	if path != e.Path {
		hidden += "@" + e.Path
	}
	tag := strings.ToUpper(string(e.Scheme)) + "://" + e.Host + tagPath(path)
	if hidden != "@" {
		sum := sha256.Sum256([]byte(hidden))
		tag += "~" + hex.EncodeToString(sum[:6])
	}
	return tag
}

// tagPath keeps the tilde for what a tag has behind a path.
func tagPath(escaped string) string { return strings.ReplaceAll(escaped, "~", "%7E") }

func (e End) address() string {
	if !e.Source.IsValid() {
		return e.Addr.String()
	}
	if e.Source.Is6() {
		return "[" + e.Source.String() + "]@" + e.Addr.String()
	}
	return e.Source.String() + "@" + e.Addr.String()
}
