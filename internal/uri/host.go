package uri

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// parseTCP reads "host:port".
func parseTCP(s string) (End, error) {
	host, err := parseHost(s, "")
	if err != nil {
		return End{}, err
	}
	return End{Scheme: TCP, Host: host}, nil
}

// parseWeb reads "[user@]host[:port][/path][?query]".
func parseWeb(scheme Scheme, s string) (End, error) {
	e := End{Scheme: scheme, Path: "/"}
	s, e.Query, _ = strings.Cut(s, "?")
	if i := strings.IndexByte(s, '/'); i >= 0 {
		s, e.Path = s[:i], s[i:]
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		e.User, s = s[:i], s[i+1:]
		if e.User == "" {
			return End{}, errors.New("nothing before the @: want USER:PASSWORD@HOST")
		}
	}
	for _, part := range []*string{&e.User, &e.Path, &e.Query} {
		if strings.ContainsFunc(*part, notOfURLs) {
			return End{}, errors.New("a URL has no spaces, control characters or #; write %20 and the like")
		}
		*part = Printable(*part)
	}
	for _, part := range []string{e.User, e.Path} {
		if _, err := url.PathUnescape(part); err != nil {
			return End{}, errors.New("a URL with a % that no two hexadecimal digits follow")
		}
	}
	port := "80"
	if scheme == HTTPS {
		port = "443"
	}
	var err error
	if e.Host, err = parseHost(s, port); err != nil {
		if strings.Contains(e.Path+e.Query, "@") { // what was taken for the host may be half a password
			err = errors.New("a URL without a good host before its first / or ?; in credentials they are written %2F and %3F")
		}
		return End{}, err
	}
	return e, errIfLong(e)
}

func errIfLong(e End) error {
	if n := len(e.String()); n > MaxLength {
		return errLength(n)
	}
	return nil
}

// parseFile reads "/path", percent-encoded: of a file or an upload.
func parseFile(scheme Scheme, s string) (End, error) {
	name, err := url.PathUnescape(s)
	switch {
	case err != nil:
		return End{}, errors.New("a URL with a % that no two hexadecimal digits follow")
	case !strings.HasPrefix(name, "/"):
		return End{}, fmt.Errorf("%s %q has no absolute path: want %s:///DIRECTORY/FILE", scheme, Shown(name), scheme)
	case strings.ContainsFunc(name, notOfFiles):
		return End{}, errors.New("a file name with a control character")
	case path.Clean(name) != name || name == "/":
		return End{}, fmt.Errorf("bad path %q: want that of a file, without empty parts, dots and double dots", Shown(name))
	}
	e := End{Scheme: scheme, Path: name}
	return e, errIfLong(e)
}

func notOfURLs(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }

func notOfFiles(r rune) bool { return r < ' ' || r == 0x7f }

// parseHost reads "host:port"; without a port it is the one given, and that is an error
// when it is "".
func parseHost(s, port string) (string, error) {
	host, own := s, port
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, own = s[:i], s[i+1:]
	}
	if own == "" || host == "" {
		return "", fmt.Errorf("bad address %q: want HOST:PORT (IPv6 as [ADDRESS]:PORT)", Shown(s))
	}
	if n, err := strconv.ParseUint(own, 10, 16); err != nil || n == 0 || own != strconv.FormatUint(n, 10) {
		return "", fmt.Errorf("bad port in %q: want 1 to 65535", Shown(s))
	}
	if inside, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(inside, "]"))
		switch {
		case err != nil || !a.Is6() || !strings.HasSuffix(inside, "]"):
			return "", fmt.Errorf("bad address %q: want IPv6 in brackets", Shown(s))
		case a.Zone() != "":
			return "", errZone(s)
		}
		return net.JoinHostPort(a.Unmap().String(), own), nil
	}
	if strings.Contains(host, ":") {
		return "", fmt.Errorf("bad address %q: want IPv6 as [ADDRESS]:PORT", Shown(s))
	}
	host = strings.ToLower(host)
	if err := checkHostName(host); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, own), nil
}

// checkHostName permits names as they are used (RFC 1123, 2.1, with underscores), and
// addresses of IPv4.
func checkHostName(s string) error {
	if s == "" || len(s) > 253 || strings.ContainsFunc(s, notOfHosts) || strings.ContainsRune("-.", rune(s[0])) || strings.Contains(s, "..") {
		return fmt.Errorf("bad host name %q: want letters, digits, dots and dashes", Shown(s))
	}
	return nil
}

func notOfHosts(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
}

// escapePath is the one spelling of a file's path in a URL.
func escapePath(p string) string {
	var b strings.Builder
	for i := range len(p) {
		switch c := p[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("/-._~!$&'()*+,;=:@", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// WithQuery is e with more parameters behind those that it has; only an end of the web
// takes them. What more has that no query can have becomes percent-encoded. It is an error
// when e becomes too long.
func (e End) WithQuery(more string) (End, error) {
	if !e.Web() || more == "" {
		return e, nil
	}
	more = strings.ReplaceAll(Printable(more), "#", "%23")
	if e.Query != "" {
		more = e.Query + "&" + more
	}
	e.Query = more
	return e, errIfLong(e)
}

// IP is the address that the end names itself; invalid when it names a host, or none.
func (e End) IP() netip.Addr {
	if e.Datagrams() {
		return e.Addr.Addr()
	}
	a, err := netip.ParseAddrPort(e.Host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr()
}
