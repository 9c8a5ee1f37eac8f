package relay

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"reflect"
	"testing"

	"sluice/internal/flow"
	"sluice/internal/hello"
	"sluice/internal/pool"
	"sluice/internal/proxyproto"
	"sluice/internal/resolve"
)

// Line 43: what remotes are told, with IPv6, LOCAL and TLVs.
func TestHeaderOut(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("[2001:db8::1]:1000")
	at4, at6 := netip.MustParseAddrPort("192.0.2.9:80"), netip.MustParseAddrPort("[2001:db8::9]:80")
	mapped := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	addr := func(a netip.AddrPort) flow.Addr { return flow.Addr{IP: a} }
	for _, c := range []struct {
		name          string
		proxy         ProxyOut
		client, local flow.Addr
		facts         *facts
		want          proxyproto.Header
	}{
		{"v1", ProxyV1, addr(v4), addr(at4), nil, proxyproto.Header{Version: proxyproto.V1, From: v4, To: at4}},
		{"v2 IPv6", ProxyV2, addr(v6), addr(at6), nil, proxyproto.Header{Version: proxyproto.V2, From: v6, To: at6}},
		{"mapped", ProxyV2, addr(mapped(v4)), addr(mapped(at4)), nil, proxyproto.Header{Version: proxyproto.V2, From: v4, To: at4}},
		{"UNIX", ProxyV2, flow.Addr{Network: flow.Unix}, flow.Addr{Network: flow.Unix, Path: "/s"}, nil, proxyproto.Header{Version: proxyproto.V2, Local: true}},
		{"passed on", ProxyV1, addr(v4), flow.Addr{Network: flow.Unix, Path: "/s"}, &facts{to: at4}, proxyproto.Header{Version: proxyproto.V1, From: v4, To: at4}},
		{"passed TLS", ProxyV2, addr(v4), addr(at4), &facts{hello: hello.Hello{Name: "a.example.com", Protocols: []string{"h2", "x"}}}, proxyproto.Header{
			Version: proxyproto.V2, From: v4, To: at4,
			TLVs: []proxyproto.TLV{{Type: proxyproto.TypeALPN, Value: []byte("h2")}, {Type: proxyproto.TypeAuthority, Value: []byte("a.example.com")}},
		}},
	} {
		o := &outward{proxy: c.proxy}
		got := o.header(&flow.Session{Client: c.client, Local: c.local}, &session{facts: c.facts})
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestFactsOfTLS(t *testing.T) {
	plain := sslTLV(&tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256})
	if want := "\x01\x00\x00\x00\x01\x21\x00\x07TLSv1.3\x23\x00\x16TLS_AES_128_GCM_SHA256"; string(plain) != want {
		t.Errorf("got %q, want %q", plain, want)
	}
	shown := sslTLV(&tls.ConnectionState{
		Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, DidResume: true,
		PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "me"}}},
	})
	if want := "\x05\x00\x00\x00\x00\x21\x00\x07TLSv1.2\x23\x00\x27TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\x22\x00\x02me"; string(shown) != want {
		t.Errorf("got %q, want %q", shown, want)
	}
}

func TestMembers(t *testing.T) {
	host := resolve.Name{Host: "app.internal", Port: 80}
	service := resolve.Name{Host: "example.org", Service: "_http._tcp"}
	at := netip.MustParseAddrPort
	answers := map[resolve.Name][]resolve.Answer{
		host:    {{Addr: at("192.0.2.1:80"), Host: "app.internal"}, {Addr: at("[2001:db8::1]:80"), Host: "app.internal"}},
		service: {{Addr: at("192.0.2.7:8080"), Host: "a.example.org", Weight: 5}, {Addr: at("192.0.2.8:8081"), Host: "b.example.org", Backup: true}},
	}
	got := membersOf([]Remote{
		{Addr: flow.Addr{IP: at("192.0.2.3:80")}, Weight: 2},
		{Addr: flow.Addr{IP: at("192.0.2.3:80")}}, // again
		{Name: "sock", Addr: flow.Addr{Network: flow.Unix, Path: "/s"}, Backup: true},
		{Host: host, Weight: 3, MaxConns: 4},
		{Name: "svc", Host: service},
		{Host: resolve.Name{Host: "unknown.internal", Port: 80}},
	}, answers)
	want := []member{
		{Remote: pool.Remote{Name: "192.0.2.3:80", Addr: flow.Addr{IP: at("192.0.2.3:80")}, Weight: 2}},
		{Remote: pool.Remote{Name: "sock", Addr: flow.Addr{Network: flow.Unix, Path: "/s"}, Backup: true}},
		{Remote: pool.Remote{Name: "app.internal:80/192.0.2.1:80", Addr: flow.Addr{IP: at("192.0.2.1:80")}, Weight: 3, MaxConns: 4}, host: "app.internal"},
		{Remote: pool.Remote{Name: "app.internal:80/[2001:db8::1]:80", Addr: flow.Addr{IP: at("[2001:db8::1]:80")}, Weight: 3, MaxConns: 4}, host: "app.internal"},
		{Remote: pool.Remote{Name: "svc/192.0.2.7:8080", Addr: flow.Addr{IP: at("192.0.2.7:8080")}, Weight: 5}, host: "a.example.org"},
		{Remote: pool.Remote{Name: "svc/192.0.2.8:8081", Addr: flow.Addr{IP: at("192.0.2.8:8081")}, Backup: true}, host: "b.example.org"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}
