//go:build e2e && linux

package sctptest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/netx"
	"sluice/internal/relay"
	"sluice/internal/testkit"
)

// TestAcceptance45SCTP: "protocol = SCTP listener and remote in the VM test: TCP→SCTP→TCP
// byte-exact", and the pairs with SCTP of "Byte-exact through every pair of {TCP, TLS, SCTP,
// UNIX}" (18).
func TestAcceptance45SCTP(t *testing.T) {
	if !testkit.InVM(t, "sctp") {
		return
	}
	t.Run("TCP to SCTP to TCP", testChain)
	for _, p := range [][2]kind{{sctpEnd, sctpEnd}, {tcpEnd, sctpEnd}, {sctpEnd, tcpEnd}, {unixEnd, sctpEnd}, {sctpEnd, unixEnd}, {tlsEnd, sctpEnd}, {sctpEnd, tlsEnd}} {
		t.Run(fmt.Sprintf("%s to %s", p[0], p[1]), func(t *testing.T) { testPair(t, p[0], p[1]) })
	}
	t.Run("the client ends first", testClientEnds)
	t.Run("the remote is refused", testNoRemote)
	t.Run("a PROXY header", testHeader)
	t.Run("a PROXY header in pieces", testHeaderInPieces)
	t.Run("a reset", testRelayedReset)
}

// kind is what the end of a session is.
type kind string

const (
	tcpEnd  kind = "TCP"
	sctpEnd kind = "SCTP"
	unixEnd kind = "UNIX"
	tlsEnd  kind = "TLS"
)

// addr is where a listening socket of that kind is opened.
func (k kind) addr(t *testing.T) flow.Addr {
	a := flow.Addr{IP: netip.MustParseAddrPort("127.0.0.1:0")}
	switch k {
	case sctpEnd:
		a.Network = flow.SCTP
	case unixEnd:
		a = flow.Addr{Network: flow.Unix, Path: filepath.Join(t.TempDir(), "x.sock")}
	}
	return a
}

// size is how much goes each way.
const size = 3 << 20

// bytesOf is what one side sends: the same for the same seed.
func bytesOf(seed byte) []byte {
	b := make([]byte, size)
	_, _ = mathrand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// conn is what all connections here can do.
type conn interface {
	net.Conn
	CloseWrite() error
}

// server takes one session: it reads size bytes, says whether they were the client's, answers
// with its own and closes.
func server(t *testing.T, k kind, certificate tls.Certificate) (at flow.Addr) {
	t.Helper()
	a := k.addr(t)
	f, err := netx.ListenStream(netx.StreamSocket{Addr: a.IP, SCTP: a.Network == flow.SCTP, Path: a.Path})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	at = flow.FromNet(l.Addr())
	at.Network = a.Network
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return // the test is over
		}
		defer c.Close()
		if k == tlsEnd {
			c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, bytesOf('c')) {
			t.Errorf("the server has read something else: %v", err)
		}
		if err := send(c, bytesOf('s')); err != nil {
			t.Errorf("the server cannot answer: %v", err)
		}
		if k == tlsEnd {
			_ = c.(*tls.Conn).CloseWrite() // the client may have gone
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return at
}

// send writes in pieces of any length. The first is longer than what a relay reads or writes
// at once; more of that kind crawl, since the receive window of SCTP has room for one.
func send(w io.Writer, b []byte) error {
	for n := 100_000; len(b) > 0; n = min(len(b), 1+mathrand.IntN(60_000)) {
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// through runs a relay from a listener of one kind to a remote, and says where it listens.
func through(t *testing.T, k kind, to flow.Addr, change ...func(*relay.Config)) (at flow.Addr, records func() string) {
	t.Helper()
	in := relay.Listener{Name: "in", Addrs: []relay.Socket{{Addr: k.addr(t)}}, Pool: "out"}
	out := relay.Pool{Remotes: []relay.Remote{{Addr: to}}}
	out.Name = "out"
	c := relay.Config{Listeners: []relay.Listener{in}, Pools: []relay.Pool{out}}
	for _, f := range change {
		f(&c)
	}
	var log lines
	r, err := relay.New(c, relay.Options{
		Log:    slog.New(slog.NewTextHandler(&log, nil)),
		Record: func(line []byte) { _, _ = log.Write(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return r.Addrs()[0], log.String
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// ask sends the client's bytes to at and reads the answer to its end, both at once; where
// that is possible it ends its side first, and is answered all the same.
func ask(t *testing.T, k kind, at flow.Addr) {
	t.Helper()
	raw, err := flow.Connect(t.Context(), netip.Addr{}, at)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := raw.(conn)
	if k == tlsEnd {
		c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		err := send(c, bytesOf('c'))
		if err == nil && k != sctpEnd {
			err = c.CloseWrite()
		}
		if err != nil {
			t.Errorf("the client cannot send: %v", err)
		}
	})
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, bytesOf('s')) {
		t.Errorf("the client has read %d bytes, something else: %v", len(got), err)
	}
	wg.Wait()
}

func testChain(t *testing.T) {
	second, _ := through(t, sctpEnd, server(t, tcpEnd, tls.Certificate{}))
	first, _ := through(t, tcpEnd, second)
	ask(t, tcpEnd, first)
}

func testPair(t *testing.T, from, to kind) {
	files, certificate := makeCertificate(t)
	at, _ := through(t, from, server(t, to, certificate), func(c *relay.Config) {
		if from == tlsEnd {
			c.Listeners[0].TLS = &relay.TLS{Certificates: []relay.Certificate{files}}
		}
		if to == tlsEnd {
			c.Pools[0].TLS = &relay.RemoteTLS{NoVerify: true}
		}
	})
	ask(t, from, at)
}

// makeCertificate makes one of its own, in a file and as it is.
func makeCertificate(t *testing.T) (relay.Certificate, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	file := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	return relay.Certificate{Chain: file}, pair
}

// testClientEnds: a client that speaks SCTP and ends has ended both ways: the remote reads
// all that was sent and then the end, and the session is over.
func testClientEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at, records := through(t, sctpEnd, flow.FromNet(l.Addr()))
	c, err := flow.Connect(t.Context(), netip.Addr{}, at)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "last words")
	c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := io.ReadAll(s); string(got) != "last words" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	recorded(t, records, "cause=client")
}

// recorded waits for a line of the session log.
func recorded(t *testing.T, records func() string, words ...string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		for line := range strings.Lines(records()) {
			all := strings.Contains(line, "cause=")
			for _, w := range words {
				all = all && strings.Contains(line, w)
			}
			if all {
				return nil
			}
		}
		return fmt.Errorf("no line has %q", words)
	})
}

// testNoRemote: nobody listens at the remote; the client is closed, and the log says why.
func testNoRemote(t *testing.T) {
	l, gone := listen(t, "127.0.0.1:0")
	l.Close()
	at, records := through(t, tcpEnd, gone)
	c, err := flow.Connect(t.Context(), netip.Addr{}, at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	recorded(t, records, "cause=no-remote", "connect to "+gone.String()+": connection refused")
}

// testHeader: who an SCTP client is for, and to an SCTP remote who it is.
func testHeader(t *testing.T) {
	l, at := listen(t, "127.0.0.1:0")
	front, records := through(t, sctpEnd, at, func(c *relay.Config) {
		c.Listeners[0].Proxy = relay.ProxyRequired
		c.Pools[0].Proxy = relay.ProxyV1
	})
	const header = "PROXY TCP4 198.51.100.7 192.0.2.1 5000 80\r\n"
	c, err := flow.Connect(t.Context(), netip.Addr{}, front)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, header+"request")
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := make([]byte, len(header+"request"))
	if _, err := io.ReadFull(s, got); err != nil || string(got) != header+"request" {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	recorded(t, records, "198.51.100.7:5000")
}

// testHeaderInPieces: what is looked at before it is relayed has to be in one message, since
// the kernel shows only the first. Who cuts it is closed when the time for it is over.
func testHeaderInPieces(t *testing.T) {
	_, at := listen(t, "127.0.0.1:0")
	front, records := through(t, sctpEnd, at, func(c *relay.Config) {
		c.Listeners[0].Proxy = relay.ProxyRequired
		c.Listeners[0].Hello = 100 * time.Millisecond
	})
	c, err := flow.Connect(t.Context(), netip.Addr{}, front)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "PROXY TCP4 198.51.100.7 ")
	io.WriteString(c, "192.0.2.1 5000 80\r\nrequest")
	if got, err := io.ReadAll(c); len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	recorded(t, records, "cause=header")
}

// testRelayedReset: a reset stays one, on both ways through SCTP.
func testRelayedReset(t *testing.T) {
	for _, k := range []kind{tcpEnd, sctpEnd} {
		l, remote := listen(t, "127.0.0.1:0")
		at, _ := through(t, k, remote)
		c, err := flow.Connect(t.Context(), netip.Addr{}, at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "word")
		s, err := l.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		if err := s.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("from SCTP to %s: %v", k, err)
		}
	}
}
