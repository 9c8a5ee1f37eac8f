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
	"sync"
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

// shake has a client and a server meet. Both errors count: a client of TLS 1.3 does not know in
// its handshake what becomes of its certificate.
func shake(client, server *tls.Config) (c, s tls.ConnectionState, err error) {
	near, far, err := connected()
	if err != nil {
		return c, s, err
	}
	defer near.Close()
	met := make(chan error, 1)
	serving := tls.Server(far, server)
	go func() {
		met <- serving.Handshake()
		far.Close()
	}()
	asking := tls.Client(near, client)
	err = asking.Handshake()
	if err != nil {
		near.Close()
	}
	err = errors.Join(err, <-met)
	return asking.ConnectionState(), serving.ConnectionState(), err
}

// connected is both ends of a connection. A pipe does not do: in TLS both sides may write at
// once.
func connected() (near, far net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, err = l.Accept()
	return near, far, err
}

// trusting is a client's view of one pair.
func trusting(p made, name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.cert)
	return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS10}
}

// TestRenewedUnderLoad: no client fails while the files change, and soon all get the new
// certificate.
func TestRenewedUnderLoad(t *testing.T) {
	old, renewed := newPair(t, "old.example"), newPair(t, "new.example")
	f := newFiles(t, old)
	synctest.Test(t, func(t *testing.T) {
		server, err := f.server(nil)
		if err != nil {
			t.Fatal(err)
		}
		served := func(want string) {
			t.Helper()
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					c, _, err := shake(&tls.Config{InsecureSkipVerify: true}, server)
					if err != nil {
						t.Error(err)
						return
					}
					if got := c.PeerCertificates[0].Subject.CommonName; got != want {
						t.Errorf("%s, want %s", got, want)
					}
				})
			}
			all.Wait()
		}
		served("old.example")
		f.replace(f.cert, renewed.cert)
		time.Sleep(lookEvery)
		served("old.example") // until its key is there, too
		f.replace(f.key, renewed.key)
		time.Sleep(lookEvery)
		served("new.example")
	})
}

func TestVersions(t *testing.T) {
	p := newPair(t, "tv.example")
	f := newFiles(t, p)
	for _, tt := range []struct {
		lowest, highest, client uint16 // of the server, and what the client speaks
		good                    bool
	}{
		{0, 0, tls.VersionTLS11, false},
		{0, 0, tls.VersionTLS12, true},
		{0, 0, tls.VersionTLS13, true},
		{tls.VersionTLS13, 0, tls.VersionTLS12, false},
		{tls.VersionTLS13, 0, tls.VersionTLS13, true},
		{0, tls.VersionTLS12, tls.VersionTLS13, false},
		{tls.VersionTLS10, 0, tls.VersionTLS11, true},
	} {
		files := []Files{{Chain: f.cert, Key: f.key}}
		server, err := Server{Certificates: files, Min: tt.lowest, Max: tt.highest, Protocols: []string{"h2"}}.Config(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := trusting(p, "tv.example")
		client.MinVersion, client.MaxVersion, client.NextProtos = tt.client, tt.client, []string{"x", "h2"}
		state, _, err := shake(client, server)
		if (err == nil) != tt.good || tt.good && state.NegotiatedProtocol != "h2" {
			t.Errorf("from %x to %x, a client with %x: protocol %q, %v", tt.lowest, tt.highest, tt.client, state.NegotiatedProtocol, err)
		}
	}
}

// TestClientCertificates: who shows what, before and after the authorities have changed.
func TestClientCertificates(t *testing.T) {
	own, one, two := newPair(t, "tv.example"), newPair(t, "one.example"), newPair(t, "two.example")
	f := newFiles(t, own)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	showing := func(p made) *tls.Config {
		shown, remote := newFiles(t, p), newFiles(t, own)
		configs, err := Client{CA: remote.cert, Certificate: Files{Chain: shown.cert, Key: shown.key}}.Configs(nil)
		if err != nil {
			t.Fatal(err)
		}
		return configs("tv.example")
	}
	none, first, second := trusting(own, "tv.example"), showing(one), showing(two)
	synctest.Test(t, func(t *testing.T) {
		f.replace(ca, one.cert)
		server := Server{Certificates: []Files{{Chain: f.cert, Key: f.key}}, ClientCA: ca}
		may, err := server.Config(nil)
		if err != nil {
			t.Fatal(err)
		}
		server.ClientNeeded = true
		must, err := server.Config(nil)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when string, client, server *tls.Config, good bool) {
			t.Helper()
			_, s, err := shake(client, server)
			if (err == nil) != good {
				t.Errorf("%s: %v", when, err)
			}
			if shown := len(s.PeerCertificates) > 0; good && shown != (client != none) {
				t.Errorf("%s: shown: %v", when, shown)
			}
		}
		expect("none, and none is needed", none, may, true)
		expect("none, and one is needed", none, must, false)
		expect("a good one", first, must, true)
		expect("a good one that is not needed", first, may, true)
		expect("one of somebody else", second, may, false)
		f.replace(ca, two.cert)
		time.Sleep(lookEvery)
		expect("one that was good", first, must, false)
		expect("one that is good now", second, must, true)
	})
}

// TestRemotes: whom a client believes.
func TestRemotes(t *testing.T) {
	one, two := newPair(t, "one.example"), newPair(t, "two.example")
	meet := func(p made) *tls.Config {
		conf, err := newFiles(t, p).server(nil)
		if err != nil {
			t.Fatal(err)
		}
		return conf
	}
	first, second := meet(one), meet(two)
	ca := newFiles(t, one)
	synctest.Test(t, func(t *testing.T) {
		following, err := Client{CA: ca.cert, Protocols: []string{"h2"}}.Configs(nil)
		if err != nil {
			t.Fatal(err)
		}
		believing, err := Client{NoVerify: true, Max: tls.VersionTLS12}.Configs(nil)
		if err != nil {
			t.Fatal(err)
		}
		system, err := Client{}.Configs(nil)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when string, client, server *tls.Config, good bool) {
			t.Helper()
			if _, _, err := shake(client, server); (err == nil) != good {
				t.Errorf("%s: %v", when, err)
			}
		}
		named := following("one.example")
		expect("its name", named, first, true)
		expect("its address", following("127.0.0.1"), first, true)
		expect("another address", following("127.0.0.2"), first, false)
		expect("another name", following("two.example"), first, false)
		expect("no name", following(""), first, false)
		expect("another authority", following("two.example"), second, false)
		expect("any", believing(""), second, true)
		expect("the system's authorities", system("one.example"), first, false)
		ca.replace(ca.cert, two.cert)
		time.Sleep(lookEvery)
		expect("the authority has changed", named, first, false)
		expect("the new one", following("two.example"), second, true)
	})
}

func TestErrors(t *testing.T) {
	one, two := newPair(t, "one.example"), newPair(t, "two.example")
	f := newFiles(t, one)
	for what, c := range map[string]made{
		"no certificate":     {[]byte("nothing"), one.key},
		"no key":             {one.cert, nil},
		"the key of another": {one.cert, two.key},
	} {
		f.replace(f.cert, c.cert)
		f.replace(f.key, c.key)
		if _, err := f.server(nil); err == nil || !strings.Contains(err.Error(), f.cert) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f.replace(f.cert, one.cert)
	f.replace(f.key, one.key)
	none, empty := filepath.Join(t.TempDir(), "none.pem"), filepath.Join(t.TempDir(), "empty.pem")
	f.replace(empty, nil)
	good := Files{Chain: f.cert, Key: f.key}
	for what, s := range map[string]Server{
		"none.pem":            {Certificates: []Files{{Chain: none}}},
		"and key " + f.cert:   {Certificates: []Files{{Chain: f.cert}}}, // there is no key in it
		"needs a certificate": {},
		none:                  {Certificates: []Files{good}, ClientCA: none},
		empty:                 {Certificates: []Files{good}, ClientCA: empty},
	} {
		if _, err := s.Config(nil); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, c := range map[string]Client{none: {CA: none}, empty: {CA: empty}, "none.pem": {Certificate: Files{Chain: none}}} {
		if _, err := c.Configs(nil); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
