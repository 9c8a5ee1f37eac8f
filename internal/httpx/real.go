package httpx

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// RealAddr is the address and port of the client, also of one that comes by way of proxies:
// as long as whoever speaks is in one of the networks, its word in X-Forwarded-For (the last
// that is left) is believed. What makes no sense there ends the search; then it is the last
// proxy that was believed. A proxy that tells no port leaves that of its own connection, so
// that two clients seldom look like one. The forms are those of ClientAddr.
func RealAddr(r *http.Request, proxies []netip.Prefix) netip.AddrPort {
	at := ClientAddr(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(proxies, at.Addr()); i-- {
		next, ok := parseHop(hops[i], at.Port())
		if !ok {
			break
		}
		at = next
	}
	return at
}

// parseHop reads ADDRESS, ADDRESS:PORT, [ADDRESS] or [ADDRESS]:PORT.
func parseHop(s string, port uint16) (netip.AddrPort, bool) {
	s = strings.TrimSpace(s)
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil && !a.IsUnspecified() {
		return plain(netip.AddrPortFrom(a, port)), true
	}
	if a, err := netip.ParseAddrPort(s); err == nil && !a.Addr().IsUnspecified() {
		return plain(a), true
	}
	return netip.AddrPort{}, false
}

// plain is a as prefixes match it.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Origin is "http://HOST" or "https://HOST" with which the client has reached this server:
// the beginning of an absolute URL of it. The Host of the request says which, and when the
// other end of the connection is in one of the networks, X-Forwarded-Proto and
// X-Forwarded-Host. A client of HTTP/1.0 that names none gets the address that it has
// reached. The error says what is no host.
func Origin(r *http.Request, proxies []netip.Prefix) (string, error) {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if within(proxies, ClientAddr(r).Addr()) {
		if proto := strings.ToLower(last(r, "X-Forwarded-Proto")); proto == "http" || proto == "https" {
			scheme = proto
		}
		if told := last(r, "X-Forwarded-Host"); told != "" {
			host = told
		}
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && host == "" {
		host = local.String()
	}
	if err := checkHost(host); err != nil {
		return "", err
	}
	return scheme + "://" + host, nil
}

// last is what the other end of the connection has put behind all that it was given.
func last(r *http.Request, header string) string {
	values := r.Header.Values(header)
	if len(values) == 0 {
		return ""
	}
	s := values[len(values)-1]
	return strings.TrimSpace(s[strings.LastIndexByte(s, ',')+1:])
}

// maxHost is the length of the longest name in DNS, a dot and a port.
const maxHost = 253 + 1 + 6

// checkHost permits NAME, NAME:PORT, ADDRESS and [ADDRESS] with or without a port: nothing
// that could mean more in a URL, a header or a playlist.
func checkHost(s string) error {
	if len(s) > maxHost {
		return fmt.Errorf("host of %d characters: want at most %d", len(s), maxHost)
	}
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		if n, err := strconv.ParseUint(s[i+1:], 10, 16); err != nil || n == 0 {
			return fmt.Errorf("bad port in host %q", s)
		}
		host = s[:i]
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		if a, err := netip.ParseAddr(host[1 : len(host)-1]); err != nil || !a.Is6() || a.Zone() != "" {
			return fmt.Errorf("bad address in host %q", s)
		}
		return nil
	}
	if host == "" || strings.ContainsFunc(host, notOfHosts) {
		return errors.New("bad host: want NAME or NAME:PORT")
	}
	return nil
}

func notOfHosts(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
}
