package relay

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/proxyproto"
	"sluice/internal/testkit"
)

// identity is a self-signed certificate in a file, with its key.
type identity struct {
	file string
	pool *x509.CertPool
	pair tls.Certificate
}

func newIdentity(t *testing.T, names ...string) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, b := range []pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&text, &b); err != nil {
			t.Fatal(err)
		}
	}
	id := &identity{file: filepath.Join(t.TempDir(), names[0]+".pem"), pool: x509.NewCertPool()}
	if err := os.WriteFile(id.file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	id.pool.AppendCertsFromPEM(text.Bytes())
	if id.pair, err = tls.X509KeyPair(text.Bytes(), text.Bytes()); err != nil {
		t.Fatal(err)
	}
	return id
}

// listener is the TLS of a listener with this certificate.
func (id *identity) listener() *TLS { return &TLS{Certificates: []Certificate{{Chain: id.file}}} }

// client is the settings of a client that believes it.
func (id *identity) client(name string, protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: id.pool, ServerName: name, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}

// over is a server that speaks TLS.
func (id *identity) over(talk func(net.Conn), protocols ...string) func(net.Conn) {
	return func(c net.Conn) {
		t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{id.pair}, NextProtos: protocols, MinVersion: tls.VersionTLS12})
		defer t.Close()
		talk(t)
	}
}

// dialTLS connects to listener number i and shakes hands.
func (h *house) dialTLS(i int, c *tls.Config) *tls.Conn {
	h.t.Helper()
	conn := tls.Client(h.dial(i), c)
	if err := conn.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		h.t.Fatal(err)
	}
	if err := conn.Handshake(); err != nil {
		h.t.Fatal(err)
	}
	return conn
}

func TestDecrypts(t *testing.T) {
	id := newIdentity(t, "a.example.com")
	s := serve(t, named("a"))
	c := one(s.remote("a"))
	c.Listeners[0].TLS = id.listener()
	h := open(t, c)
	if got := talk(t, h.dialTLS(0, id.client("a.example.com")), "hello"); got != "a:hello" {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "remote=a up=5 down=7", "cause=client")

	// Line 40: a client without TLS is closed.
	client := h.dial(0)
	_, _ = io.WriteString(client, "GET / HTTP/1.0\r\n\r\n")
	if got, _ := io.ReadAll(client); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	h.records.wait(t, "cause=hello", `error="no TLS"`)
	if n := h.Status().Listeners[0].Refused["hello"]; n != 1 {
		t.Errorf("%d refused", n)
	}
}

// Line 40: versions; a handshake that fails is an end of its own kind.
func TestVersionOfTLS(t *testing.T) {
	id := newIdentity(t, "a.example.com")
	c := one(serve(t, named("a")).remote("a"))
	c.Listeners[0].TLS = id.listener()
	c.Listeners[0].TLS.Min = tls.VersionTLS13
	h := open(t, c)
	old := id.client("a.example.com")
	old.MaxVersion = tls.VersionTLS12
	if err := tls.Client(h.dial(0), old).Handshake(); err == nil {
		t.Error("TLS 1.2 is taken")
	}
	h.records.wait(t, "cause=hello", "handshake")
	if got := talk(t, h.dialTLS(0, id.client("a.example.com")), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
}

// Line 41: TLS and plain clients at one port, and those that wait for the server to speak.
func TestAutomaticTLS(t *testing.T) {
	id := newIdentity(t, "a.example.com")
	c := one(serve(t, named("a")).remote("a"))
	c.Listeners[0].TLS = id.listener()
	c.Listeners[0].TLS.Auto = true
	h := open(t, c)
	if got := talk(t, h.dialTLS(0, id.client("a.example.com")), "x"); got != "a:x" {
		t.Errorf("TLS: got %q", got)
	}
	if got := talk(t, h.dial(0), "x"); got != "a:x" {
		t.Errorf("plain: got %q", got)
	}
	if got := first(t, h.dial(0), 2); got != "a:" {
		t.Errorf("silent: got %q", got)
	}
}

// Line 52: by name and protocol, passed as it is and decrypted, at one port.
func TestRoutes(t *testing.T) {
	front, back := newIdentity(t, "*.example.com"), newIdentity(t, "vpn.example.com")
	app, h2 := serve(t, named("app")), serve(t, named("h2"))
	vpn := serve(t, back.over(named("vpn"), "h2"))
	c := one(app.remote("app"))
	for name, s := range map[string]*server{"h2": h2, "vpn": vpn} {
		p := one(s.remote(name)).Pools[0]
		p.Name = name
		c.Pools = append(c.Pools, p)
	}
	l := &c.Listeners[0]
	l.TLS = front.listener()
	l.TLS.Protocols = []string{"h2", "http/1.1"}
	l.Routes = []Route{
		{Names: []string{"vpn.example.com"}, Pool: "vpn", Pass: true},
		{Names: []string{"*.example.com"}, Protocols: []string{"h2"}, Pool: "h2"},
	}
	h := open(t, c)
	for _, x := range []struct {
		conf *tls.Config
		want string
	}{
		{back.client("vpn.example.com", "h2"), "vpn:x"},
		{front.client("a.example.com", "h2"), "h2:x"},
		{front.client("a.example.com", "http/1.1"), "app:x"},
	} {
		if got := talk(t, h.dialTLS(0, x.conf), "x"); got != x.want {
			t.Errorf("%s %q: got %q, want %q", x.conf.ServerName, x.conf.NextProtos, got, x.want)
		}
	}
}

// Line 52: without a pool for the rest, who fits no route is closed; so is who sends a
// ClientHello that never ends.
func TestNoRoute(t *testing.T) {
	id := newIdentity(t, "a.example.com")
	c := one(serve(t, id.over(named("a"))).remote("a"))
	c.Listeners[0].Pool = ""
	c.Listeners[0].Routes = []Route{{Names: []string{"a.example.com"}, Pool: "app"}}
	h := open(t, c)
	if got := talk(t, h.dialTLS(0, id.client("a.example.com")), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	if err := tls.Client(h.dial(0), id.client("b.example.com")).Handshake(); err == nil {
		t.Error("another name is let in")
	}
	h.records.wait(t, "cause=hello", "no route fits")
	client := h.dial(0)
	endless := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff}, make([]byte, 20<<10)...)
	_, _ = client.Write(endless) // may be reset before all is taken
	if got, _ := io.ReadAll(client); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	if n := h.Status().Listeners[0].Refused["hello"]; n != 2 {
		t.Errorf("%d refused", n)
	}
}

func TestEncryptsToRemotes(t *testing.T) {
	id, other := newIdentity(t, "app.internal"), newIdentity(t, "app.internal")
	s := serve(t, id.over(named("a")))
	for _, x := range []struct {
		name string
		tls  RemoteTLS
		good bool
	}{
		{"by its address", RemoteTLS{CA: id.file}, true},
		{"by its name", RemoteTLS{CA: id.file, Name: "app.internal"}, true},
		{"another name", RemoteTLS{CA: id.file, Name: "db.internal"}, false},
		{"another authority", RemoteTLS{CA: other.file}, false},
		{"not verified", RemoteTLS{NoVerify: true}, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := one(s.remote("a"))
			c.Pools[0].TLS = &x.tls
			h := open(t, c)
			want, cause := "a:x", "cause=client"
			if !x.good {
				want, cause = "", "cause=no-remote"
			}
			client := h.dial(0)
			_, _ = io.WriteString(client, "x")
			_ = client.(*net.TCPConn).CloseWrite()
			if got, _ := io.ReadAll(client); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
			h.records.wait(t, cause, "remote=a")
		})
	}
}

// The remote of a session that was decrypted is told so (PROXY protocol, 2.2.1 to 2.2.6).
func TestFactsGoToTheRemote(t *testing.T) {
	id := newIdentity(t, "a.example.com")
	s := serve(t, func(c net.Conn) {
		b := bufio.NewReaderSize(c, proxyproto.MaxHeader)
		for n := 1; ; n++ {
			head, err := b.Peek(n)
			if err != nil {
				return
			}
			if h, _, err := proxyproto.Parse(head); err == nil {
				for _, v := range h.TLVs {
					fmt.Fprintf(c, "%02x=%q ", v.Type, v.Value)
				}
				return
			}
		}
	})
	c := one(s.remote("a"))
	c.Pools[0].Proxy = ProxyV2
	c.Listeners[0].TLS = id.listener()
	c.Listeners[0].TLS.Protocols = []string{"http/1.1"}
	h := open(t, c)
	got := rest(t, h.dialTLS(0, id.client("a.example.com", "h2", "http/1.1")))
	want := `01="http/1.1" 02="a.example.com" 20="\x01\x00\x00\x00\x01!\x00\aTLSv1.3#\x00\x16TLS_AES_128_GCM_SHA256" `
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A session with TLS that waits for room is woken on goroutines.
func TestQueueWithTLS(t *testing.T) {
	id := newIdentity(t, "a.example.com")
	x := new(held)
	r := serve(t, x.talk).remote("a")
	r.MaxConns = 1
	c := one(r)
	c.Listeners[0].TLS = id.listener()
	h := open(t, c)
	for range 5 {
		a, b := h.dialTLS(0, id.client("a.example.com")), h.dialTLS(0, id.client("a.example.com"))
		first(t, a, 5)
		a.Close()
		first(t, b, 5)
		b.Close()
	}
	if n := x.most.Load(); n > 1 {
		t.Errorf("%d sessions at once", n)
	}
}

// What a session says is secret as soon as the configuration says so, also when it has waited since before.
func TestQueueBeforeTLS(t *testing.T) {
	first := make(chan byte, 2)
	s := serve(t, func(c net.Conn) {
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err == nil {
			first <- b[0]
		}
		_, _ = io.Copy(io.Discard, c)
	})
	c := one(Remote{Addr: s.addr, MaxConns: 1})
	h := open(t, c)
	a := h.dial(0)
	say := func(c net.Conn) {
		if _, err := io.WriteString(c, "secret"); err != nil {
			t.Fatal(err)
		}
	}
	say(a)
	if got := <-first; got != 's' {
		t.Errorf("it begins with %#x", got)
	}
	b := h.dial(0)
	say(b)
	testkit.Eventually(t, func() error {
		if n := h.Status().Pools[0].Waiting; n != 1 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	c.Pools[0].TLS = &RemoteTLS{NoVerify: true}
	if err := h.Reload(c, nil); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if got := <-first; got != 0x16 {
		t.Errorf("it begins with %#x, no handshake", got)
	}
}
