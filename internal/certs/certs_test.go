package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pair is the files of a certificate that was made here, signed by itself.
type pair struct{ cert, key []byte }

func newPair(t *testing.T, name string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
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
	return pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// files are the places of a pair.
type files struct {
	t         *testing.T
	cert, key string
}

func newFiles(t *testing.T, p pair) files {
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

// nameOf is who s says that it is, without a network.
func nameOf(t *testing.T, s *Source) string {
	t.Helper()
	c, err := s.TLSConfig().GetCertificate(nil)
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
		s, err := New(f.cert, f.key, func(err error) { told = append(told, err) })
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

// TestHandshakes: the certificate is changed between two clients of one listener.
func TestHandshakes(t *testing.T) {
	old, renewed := newPair(t, "tv.example"), newPair(t, "tv.example")
	f := newFiles(t, old)
	s, err := New(f.cert, f.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shake := func(trusted pair, versions uint16) (tls.ConnectionState, error) {
		accepted := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, err = io.Copy(io.Discard, c) // the handshake is in it
				c.Close()
			}
			accepted <- err
		}()
		defer func() { <-accepted }()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(trusted.cert)
		raw, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return tls.ConnectionState{}, err
		}
		c := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "tv.example", MaxVersion: versions, MinVersion: tls.VersionTLS10, NextProtos: []string{"h2"}})
		defer c.Close()
		err = c.Handshake()
		return c.ConnectionState(), err
	}
	if state, err := shake(old, tls.VersionTLS13); err != nil || state.NegotiatedProtocol != "h2" {
		t.Errorf("protocol %q, %v", state.NegotiatedProtocol, err)
	}
	if _, err := shake(old, tls.VersionTLS12); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, err := shake(old, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	f.replace(f.cert, renewed.cert)
	f.replace(f.key, renewed.key)
	s.mu.Lock()
	s.looked = time.Time{} // a second is over
	s.mu.Unlock()
	if _, err := shake(renewed, tls.VersionTLS13); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
	if _, err := shake(old, tls.VersionTLS13); err == nil {
		t.Error("the old certificate is still in use")
	}
}

func TestNewErrors(t *testing.T) {
	one, two := newPair(t, "one.example"), newPair(t, "two.example")
	f := newFiles(t, one)
	for what, c := range map[string]pair{
		"no certificate":     {[]byte("nothing"), one.key},
		"no key":             {one.cert, nil},
		"the key of another": {one.cert, two.key},
	} {
		f.replace(f.cert, c.cert)
		f.replace(f.key, c.key)
		if _, err := New(f.cert, f.key, nil); err == nil || !strings.Contains(err.Error(), f.cert) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := New(filepath.Join(t.TempDir(), "none.pem"), f.key, nil); err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("no file: %v", err)
	}
}

func TestConfigOffersHTTP2First(t *testing.T) {
	c := new(Source).TLSConfig()
	if !slices.Equal(c.NextProtos, []string{"h2", "http/1.1"}) || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("%v from %x", c.NextProtos, c.MinVersion)
	}
}
