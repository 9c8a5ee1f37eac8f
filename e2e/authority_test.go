//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is one that vouches for servers of the test: for 127.0.0.1 and localhost.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64 // serial number
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), last: 1}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sluice e2e"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, key := a.sign(template, nil, nil)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, a.key = cert, key
	a.write("ca.pem", "CERTIFICATE", der)
	a.renew()
	return a
}

// sign makes a key and a certificate for it; with no parent it vouches for itself.
func (a *authority) sign(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (der []byte, key *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, by = template, key
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by); err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// write puts a file in the place of the one that is there.
func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	next := a.path(name + ".new")
	err := os.WriteFile(next, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	if err == nil {
		err = os.Rename(next, a.path(name))
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// renew writes a new certificate and its key, and returns its serial number.
func (a *authority) renew() int64 {
	a.t.Helper()
	return a.issue("server", "localhost", "127.0.0.1")
}

// issue writes FILE.pem and FILE.key, for a server or a client of these names and addresses, and
// returns the serial number.
func (a *authority) issue(file string, names ...string) int64 {
	a.t.Helper()
	a.last++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, key := a.sign(template, a.cert, a.key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(file+".pem", "CERTIFICATE", der)
	a.write(file+".key", "PRIVATE KEY", private)
	return a.last
}

// config is the settings of a product whose certificate this is.
func (a *authority) config() string {
	return fmt.Sprintf("tls: {certificate: '%s', key: '%s'}\n", a.path("server.pem"), a.path("server.key"))
}

// trusted is how a program is run that is to believe the authority.
func (a *authority) trusted() []string { return []string{"env", "SSL_CERT_FILE=" + a.path("ca.pem")} }

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// client believes the authority, and speaks HTTP/2 where it can.
func (a *authority) client() *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, DisableCompression: true,
	}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// server is a server over TLS with the certificate of now.
func (a *authority) server(handler http.Handler) *httptest.Server {
	pair, err := tls.LoadX509KeyPair(a.path("server.pem"), a.path("server.key"))
	if err != nil {
		a.t.Error(err) // in the goroutine of a subtest
	}
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	return s
}
