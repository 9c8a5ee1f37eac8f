package relay

import (
	"crypto/tls"
	"encoding/binary"
	"net/netip"

	"sluice/internal/flow"
	"sluice/internal/pool"
	"sluice/internal/proxyproto"
)

// outward is how the remotes of a pool are spoken to. It is never modified.
type outward struct {
	proxy ProxyOut
	from  netip.Addr
	tls   func(name string) *tls.Config // nil = as it is
	names map[string]string             // of remotes: the name that TLS asks for and looks for

	// targets are those of remotes for which all sessions have the same one.
	targets map[string]*flow.Target
}

func (o *outward) encrypts() bool { return o.tls != nil }

// target is where a session of this pool is to be connected to.
func (o *outward) target(pool string, remote *pool.Remote, s *flow.Session, st *session) *flow.Target {
	if t := o.targets[remote.Name]; t != nil && t.Addr == remote.Addr {
		return t
	}
	t := o.plain(pool, remote)
	if o.proxy != ProxyNone {
		t.Prelude = proxyproto.Append(nil, o.header(s, st))
	}
	t.TLS = o.client(remote.Name, remote.Addr)
	return t
}

// plain is a target to which nothing is said before, and nothing in secret.
func (o *outward) plain(pool string, remote *pool.Remote) *flow.Target {
	return &flow.Target{Name: remote.Name, Pool: pool, Addr: remote.Addr, From: o.from}
}

// client is the TLS towards a remote, nil when there is none.
func (o *outward) client(remote string, addr flow.Addr) *tls.Config {
	if o.tls == nil {
		return nil
	}
	if name, ok := o.names[remote]; ok {
		return o.tls(name)
	}
	return o.tls(serverName("", addr)) // it has just gone from the list
}

// serverName is what is asked of a remote that has no other name.
func serverName(host string, addr flow.Addr) string {
	if host != "" {
		return host
	}
	if addr.Network == flow.Unix {
		return "localhost"
	}
	return addr.IP.Addr().WithZone("").String()
}

// header says to a remote who the client is.
func (o *outward) header(s *flow.Session, st *session) proxyproto.Header {
	h := o.local()
	if s.Client.Network == flow.Unix {
		return h
	}
	h.Local = false
	h.From, h.To = unmap(s.Client.IP), unmap(s.Local.IP)
	f := st.facts
	if f == nil {
		return h
	}
	if f.to.IsValid() {
		h.To = unmap(f.to)
	}
	if h.Version == proxyproto.V2 {
		h.TLVs = f.tlvs()
	}
	return h
}

// local is the header of what we say for ourselves.
func (o *outward) local() proxyproto.Header {
	if o.proxy == ProxyV1 {
		return proxyproto.Header{Version: proxyproto.V1, Local: true}
	}
	return proxyproto.Header{Version: proxyproto.V2, Local: true}
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// tlvs are the facts of version 2 (2.2.1, 2.2.2, 2.2.6).
func (f *facts) tlvs() []proxyproto.TLV {
	var all []proxyproto.TLV
	protocol := "" // that was agreed upon, or is the only one that can be
	switch {
	case f.tls != nil:
		protocol = f.tls.NegotiatedProtocol
	case len(f.hello.Protocols) > 0:
		protocol = f.hello.Protocols[0]
	}
	if protocol != "" {
		all = append(all, proxyproto.TLV{Type: proxyproto.TypeALPN, Value: []byte(protocol)})
	}
	if f.hello.Name != "" {
		all = append(all, proxyproto.TLV{Type: proxyproto.TypeAuthority, Value: []byte(f.hello.Name)})
	}
	if f.tls != nil {
		all = append(all, proxyproto.TLV{Type: proxyproto.TypeSSL, Value: sslTLV(f.tls)})
	}
	return all
}

// The parts of the TLV about TLS (2.2.6).
const (
	sslClient     = 0x01 // the client speaks TLS
	sslCertConn   = 0x02 // and has shown a certificate on this connection
	sslCertSess   = 0x04 // or in this TLS session
	sslVersion    = 0x21
	sslCommonName = 0x22
	sslCipher     = 0x23
)

func sslTLV(c *tls.ConnectionState) []byte {
	flags, verify := byte(sslClient), uint32(1) // not verified: there was nothing to verify
	if len(c.PeerCertificates) > 0 {
		flags |= sslCertSess
		if !c.DidResume {
			flags |= sslCertConn
		}
		verify = 0
	}
	b := binary.BigEndian.AppendUint32([]byte{flags}, verify)
	b = appendTLV(b, sslVersion, tlsVersion(c.Version))
	b = appendTLV(b, sslCipher, tls.CipherSuiteName(c.CipherSuite))
	if len(c.PeerCertificates) > 0 {
		b = appendTLV(b, sslCommonName, c.PeerCertificates[0].Subject.CommonName)
	}
	return b
}

func appendTLV(b []byte, kind byte, text string) []byte {
	text = text[:min(len(text), 255)] // a name of a certificate may be of any length
	b = binary.BigEndian.AppendUint16(append(b, kind), uint16(len(text)))
	return append(b, text...)
}

// tlsVersion is a version as haproxy and OpenSSL write it.
func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	}
	return "TLSv1.3"
}
