package httpx

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(t *testing.T, list ...string) []netip.Prefix {
	t.Helper()
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = p
	}
	return out
}

func TestAcceptance126RealAddr(t *testing.T) {
	proxies := prefixes(t, "10.0.0.0/8", "fd00::/8")
	for _, c := range []struct {
		what, peer string
		header     []string
		want       string
	}{
		{"no proxy", "192.0.2.7:5000", nil, "192.0.2.7:5000"},
		{"the word of anybody", "192.0.2.7:5000", []string{"198.51.100.1"}, "192.0.2.7:5000"},
		{"a proxy that says nothing", "10.1.1.1:5000", nil, "10.1.1.1:5000"},
		{"a proxy", "10.1.1.1:5000", []string{"198.51.100.1"}, "198.51.100.1:5000"},
		{"a proxy on an IPv6 socket", "[::ffff:10.1.1.1]:5000", []string{"198.51.100.1"}, "198.51.100.1:5000"},
		{"with its port", "10.1.1.1:5000", []string{"198.51.100.1:7"}, "198.51.100.1:7"},
		{"what the client has made up", "10.1.1.1:5000", []string{"203.0.113.9, 10.9.9.9, 198.51.100.1"}, "198.51.100.1:5000"},
		{"two proxies", "10.1.1.1:5000", []string{"203.0.113.9,198.51.100.1 , 10.2.2.2"}, "198.51.100.1:5000"},
		{"two headers", "10.1.1.1:5000", []string{"203.0.113.9, 198.51.100.1", "10.2.2.2"}, "198.51.100.1:5000"},
		{"a client among the proxies", "10.1.1.1:5000", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3:5000"},
		{"IPv6", "[fd00::1]:5000", []string{"2001:db8::7"}, "[2001:db8::7]:5000"},
		{"IPv6 in brackets", "[fd00::1]:5000", []string{"[2001:db8::7]"}, "[2001:db8::7]:5000"},
		{"IPv6 with a port", "[fd00::1]:5000", []string{"[2001:db8::7]:7"}, "[2001:db8::7]:7"},
		{"IPv4 in IPv6", "[fd00::1]:5000", []string{"::ffff:198.51.100.1"}, "198.51.100.1:5000"},
		{"a zone", "[fd00::1]:5000", []string{"fe80::1%eth0"}, "[fe80::1]:5000"},
		{"garbage", "10.1.1.1:5000", []string{"unknown"}, "10.1.1.1:5000"},
		{"garbage behind an address", "10.1.1.1:5000", []string{"198.51.100.1, _hidden"}, "10.1.1.1:5000"},
		{"garbage before an address", "10.1.1.1:5000", []string{"<script>, 198.51.100.1"}, "198.51.100.1:5000"},
		{"empty", "10.1.1.1:5000", []string{""}, "10.1.1.1:5000"},
		{"an empty end", "10.1.1.1:5000", []string{"198.51.100.1,"}, "10.1.1.1:5000"},
		{"nobody's address", "10.1.1.1:5000", []string{"0.0.0.0"}, "10.1.1.1:5000"},
		{"a name", "10.1.1.1:5000", []string{"localhost"}, "10.1.1.1:5000"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.header}}
		if got := RealAddr(r, proxies); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	if got := RealAddr(&http.Request{RemoteAddr: "@"}, proxies); got.IsValid() {
		t.Errorf("a connection without an address has %s", got)
	}
}

func TestOrigin(t *testing.T) {
	proxies := prefixes(t, "10.0.0.0/8")
	for _, c := range []struct {
		what, peer, host string
		tls              bool
		header           http.Header
		want             string // "" = an error
	}{
		{"a name", "192.0.2.7:1", "tv.example:4046", false, nil, "http://tv.example:4046"},
		{"over TLS", "192.0.2.7:1", "tv.example", true, nil, "https://tv.example"},
		{"an address", "192.0.2.7:1", "[2001:db8::1]:4046", false, nil, "http://[2001:db8::1]:4046"},
		{"an address alone", "192.0.2.7:1", "[::1]", false, nil, "http://[::1]"},
		{"HTTP/1.0", "192.0.2.7:1", "", false, nil, "http://198.51.100.1:4046"},
		{"a proxy", "10.1.1.1:1", "inner", false, http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"made.up, tv.example"}}, "https://tv.example"},
		{"a proxy of another proto", "10.1.1.1:1", "inner", false, http.Header{"X-Forwarded-Proto": {"gopher"}}, "http://inner"},
		{"the word of anybody", "192.0.2.7:1", "tv.example", false, http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}}, "http://tv.example"},
		{"a proxy with a bad word", "10.1.1.1:1", "inner", false, http.Header{"X-Forwarded-Host": {"a/b"}}, ""},
		{"a path", "192.0.2.7:1", "tv.example/x", false, nil, ""},
		{"a user", "192.0.2.7:1", "a@tv.example", false, nil, ""},
		{"a line", "192.0.2.7:1", "tv.example\r\nX: y", false, nil, ""},
		{"a quote", "192.0.2.7:1", `tv"example`, false, nil, ""},
		{"no port", "192.0.2.7:1", "tv.example:", false, nil, ""},
		{"no such port", "192.0.2.7:1", "tv.example:70000", false, nil, ""},
		{"a port alone", "192.0.2.7:1", ":4046", false, nil, ""},
		{"an address without brackets", "192.0.2.7:1", "2001:db8::1", false, nil, ""},
		{"a zone", "192.0.2.7:1", "[fe80::1%25eth0]", false, nil, ""},
		{"too long", "192.0.2.7:1", strings.Repeat("a", maxHost+1), false, nil, ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Host: c.host, Header: c.header}
		if c.tls {
			r.TLS = new(tls.ConnectionState)
		}
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("198.51.100.1:4046"))
		r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local))
		got, err := Origin(r, proxies)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v; want %q", c.what, got, err, c.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%s: the error has more than a line: %q", c.what, err)
		}
	}
}
