package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// made is the files of a certificate that was made here, signed by itself.
type made struct{ cert, key []byte }

func newPair(t *testing.T, name string) made {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<37, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return made{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// files are the places of a pair.
type files struct {
	t         *testing.T
	cert, key string
}

func newFiles(t *testing.T, p made) files {
	f := files{t: t, cert: filepath.Join(t.TempDir(), "cert.pem"), key: filepath.Join(t.TempDir(), "key.pem")}
	f.replace(f.cert, p.cert)
	f.replace(f.key, p.key)
	return f
}

// replace is what programs do that renew certificates: a new file under the old name.
func (f files) replace(name string, content []byte) {
	f.t.Helper()
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		f.t.Fatal(err)
	}
}

// server is settings of one certificate.
func (f files) server(changed Changed) (*tls.Config, error) {
	return Server{Certificates: []Files{{Chain: f.cert, Key: f.key}}, Protocols: []string{"h2", "http/1.1"}}.Config(changed)
}

// nameOf is who a server says that it is, without a network.
func nameOf(t *testing.T, s *tls.Config) string {
	t.Helper()
	c, err := s.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.Subject.CommonName
}

func TestFollowsItsFiles(t *testing.T) {
	old, renewed := newPair(t, "old.example"), newPair(t, "new.example")
	f := newFiles(t, old)
	synctest.Test(t, func(t *testing.T) {
		var told []error
		s, err := f.server(func(file string, err error) {
			if file != f.cert {
				t.Errorf("told of %s", file)
			}
			told = append(told, err)
		})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when, name string, changes int) {
			t.Helper()
			if got := nameOf(t, s); got != name || len(told) != changes {
				t.Fatalf("%s: %s, told %v; want %s and %d changes", when, got, told, name, changes)
			}
		}
		expect("as it was read", "old.example", 0)
		f.replace(f.cert, renewed.cert)
		expect("within the second", "old.example", 0)
		time.Sleep(lookEvery)
		expect("a certificate without its key", "old.example", 1)
		if err := told[0]; err == nil || !strings.Contains(err.Error(), f.cert) || !strings.Contains(err.Error(), f.key) {
			t.Errorf("told %v", err)
		}
		time.Sleep(lookEvery)
		expect("what is known is not told again", "old.example", 1)
		f.replace(f.key, renewed.key)
		time.Sleep(lookEvery)
		expect("with its key", "new.example", 2)
		if told[1] != nil {
			t.Errorf("told %v", told[1])
		}
		if err := os.Remove(f.cert); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		expect("the file is gone", "new.example", 3)
		time.Sleep(lookEvery)
		expect("it is still gone", "new.example", 3)
		f.replace(f.cert, old.cert)
		f.replace(f.key, old.key)
		time.Sleep(lookEvery)
		expect("as in the beginning", "old.example", 4)
	})
}

// shake has a client and a server meet, without a network. Both errors count: a client of
// TLS 1.3 does not know in its handshake what becomes of its certificate.
func shake(client, server *tls.Config) (c, s tls.ConnectionState, err error) {
	near, far := net.Pipe()
	met := make(chan error, 1)
	serving := tls.Server(far, server)
	go func() {
		met <- serving.Handshake()
		far.Close()
	}()
	asking := tls.Client(near, client)
	err = asking.Handshake()
	near.Close()
	return asking.ConnectionState(), serving.ConnectionState(), errors.Join(err, <-met)
}

// trusting is a client's view of one pair.
func trusting(p made, name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.cert)
	return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS10}
}
