package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

// leaf is a certificate of a key for some names.
func leaf(t *testing.T, key crypto.Signer, names ...string) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotAfter: time.Unix(1<<37, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed}
}

func TestChoose(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	classic, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	first := leaf(t, curve, "first.example")
	wild := leaf(t, curve, "*.tv.example", "tv.example")
	wildRSA := leaf(t, classic, "*.tv.example")
	other := leaf(t, curve, "other.example")
	all := []*tls.Certificate{first, wild, wildRSA, other}

	both := []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}
	only := func(s tls.SignatureScheme) []tls.SignatureScheme { return []tls.SignatureScheme{s} }
	for _, tt := range []struct {
		name    string
		schemes []tls.SignatureScheme
		want    *tls.Certificate
	}{
		{"first.example", both, first},
		{"tv.example", both, wild},
		{"a.tv.example", both, wild},
		{"A.TV.Example", both, wild},
		{"a.tv.example", only(tls.PSSWithSHA256), wildRSA},
		{"b.a.tv.example", both, first}, // * is one label
		{"other.example", both, other},
		{"other.example", only(tls.PSSWithSHA256), wildRSA}, // another name is better than nothing
		{"nobody.example", both, first},
		{"", both, first},
		{"", only(tls.PSSWithSHA256), wildRSA},
		{"", only(tls.Ed25519), first}, // it cannot use any
	} {
		hello := &tls.ClientHelloInfo{
			ServerName: tt.name, SignatureSchemes: tt.schemes, SupportedVersions: []uint16{tls.VersionTLS13},
			CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}, SupportedCurves: []tls.CurveID{tls.X25519, tls.CurveP256},
		}
		if got := choose(hello, all); got != tt.want {
			t.Errorf("%q with %v: the certificate for %v", tt.name, tt.schemes, got.Leaf.DNSNames)
		}
	}
}

// TestSet: two names at one server, by real handshakes.
func TestSet(t *testing.T) {
	one, two := newPair(t, "one.example"), newPair(t, "two.example")
	f, g := newFiles(t, one), newFiles(t, two)
	server, err := Server{Certificates: []Files{{Chain: f.cert, Key: f.key}, {Chain: g.cert, Key: g.key}}}.Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]made{"one.example": one, "two.example": two} {
		if _, _, err := shake(trusting(p, name), server); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown := trusting(one, "three.example")
	unknown.InsecureSkipVerify = true
	if c, _, err := shake(unknown, server); err != nil || c.PeerCertificates[0].Subject.CommonName != "one.example" {
		t.Errorf("another name: %v", err)
	}
}
