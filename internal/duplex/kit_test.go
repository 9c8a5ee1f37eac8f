package duplex

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// desk dials what it was made for, and keeps what became of the sessions.
type desk struct {
	failed    func(s *flow.Session, err error) flow.Plan
	again     func(s *flow.Session, late bool) flow.Plan
	connected chan *flow.Session
	closed    chan *flow.Session
}

func newDesk() *desk {
	return &desk{connected: make(chan *flow.Session, 1), closed: make(chan *flow.Session, 1)}
}

func (d *desk) Open(*flow.Session) flow.Plan               { panic("asked of another core") }
func (d *desk) Look(*flow.Session, []byte, bool) flow.Plan { panic("asked of another core") }
func (d *desk) Take(*flow.Session, net.Conn)               { panic("asked of another core") }
func (d *desk) Connected(s *flow.Session)                  { d.connected <- s }
func (d *desk) Close(s *flow.Session)                      { d.closed <- s }

func (d *desk) Failed(s *flow.Session, err error) flow.Plan {
	if d.failed == nil {
		return flow.Plan{Step: flow.End, Cause: flow.CauseNoRemote, Err: err}
	}
	return d.failed(s, err)
}

func (d *desk) Again(s *flow.Session, late bool) flow.Plan { return d.again(s, late) }

// end waits for the end of a session.
func (d *desk) end(t testing.TB) *flow.Session {
	t.Helper()
	select {
	case s := <-d.closed:
		return s
	case <-time.After(testkit.Patience):
		t.Fatal("the session has not ended")
		return nil
	}
}

// ids has each test session have its own.
var ids atomic.Uint64

// pairing is a session that runs, and both ends of it.
type pairing struct {
	group *Group
	desk  *desk
	s     *flow.Session

	client, remote        net.Conn // as the ends see it: a *tls.Conn or a socket
	rawClient, rawRemote  *net.TCPConn
	stop                  context.CancelFunc
	encryptIn, encryptOut bool
	trim                  func(*tls.Config) // of the client's and of the session's own settings as a client; may be nil
	chop                  bool              // what the ends send with TLS comes in small pieces
}

// kinds are all pairs of plain and encrypted sides.
var kinds = []struct{ in, out bool }{{false, false}, {true, false}, {false, true}, {true, true}}

func kindName(in, out bool) string {
	word := map[bool]string{false: "plain", true: "TLS"}
	return word[in] + " to " + word[out]
}

// pair starts a session with each side plain or encrypted.
func pair(t testing.TB, in, out bool, l flow.Listener) *pairing {
	t.Helper()
	p := newPairing(in, out)
	p.run(t, l, nil)
	return p
}

func newPairing(in, out bool) *pairing {
	p := &pairing{desk: newDesk(), encryptIn: in, encryptOut: out}
	p.group = New(p.desk, 0)
	return p
}

// run starts a session and connects both ends. prelude is read at the remote before anything else.
func (p *pairing) run(t testing.TB, l flow.Listener, prelude []byte) {
	t.Helper()
	near, far := tcpPair(t)
	p.rawClient = near
	behind := listenTCP(t)
	ctx, stop := context.WithCancel(t.Context())
	p.stop = stop
	p.s = &flow.Session{ID: ids.Add(1), Listener: &l, Begun: time.Now()}
	target := &flow.Target{Name: "r", Pool: "p", Addr: flow.FromNet(behind.Addr()), Prelude: prelude}
	if p.encryptOut {
		target.TLS = p.asClient()
	}
	var met sync.WaitGroup
	met.Go(func() { p.serve(ctx, far, flow.Plan{Step: flow.Dial, Target: target}) })
	t.Cleanup(func() { stop(); met.Wait(); p.group.Wait() })
	p.client = near
	if p.encryptIn {
		c := tls.Client(p.wire(near), p.asClient())
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		p.client = c
	}
	c, err := behind.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p.rawRemote, p.remote = c.(*net.TCPConn), c
	got := make([]byte, len(prelude))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(prelude) {
		t.Fatalf("before the session: %q, %v", got, err)
	}
	if p.encryptOut {
		r := tls.Server(p.wire(c), serverTLS())
		if err := r.Handshake(); err != nil {
			t.Fatal(err)
		}
		p.remote = r
	}
	<-p.desk.connected
}

func (p *pairing) serve(ctx context.Context, far *net.TCPConn, plan flow.Plan) {
	var c Conn = far
	if p.encryptIn {
		t, err := Server(ctx, far, serverTLS())
		if err != nil {
			return // the test's own handshake fails
		}
		c = t
	}
	p.group.Start(ctx, p.s, c, plan)
}

func (p *pairing) asClient() *tls.Config {
	c := clientTLS()
	if p.trim != nil {
		p.trim(c)
	}
	return c
}

// wire is what an end speaks TLS over.
func (p *pairing) wire(c net.Conn) net.Conn {
	if p.chop {
		return chopped{c}
	}
	return c
}

// chopped sends each record in pieces, which may arrive one by one.
type chopped struct{ net.Conn }

func (c chopped) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = c.Conn.Write(b[n:min(len(b), n+1+rand.IntN(1+n%977))])
		n += m
	}
	return n, err
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// tcpPair is both ends of a connection.
func tcpPair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	l := listenTCP(t)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return c.(*net.TCPConn), a.(*net.TCPConn)
}

// secret is the one certificate of these tests, good for "tv.example".
var secret = makeCertificate()

func makeCertificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"tv.example"}, NotAfter: time.Unix(1<<37, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{secret}, DynamicRecordSizingDisabled: true}
}

func clientTLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(secret.Leaf)
	return &tls.Config{RootCAs: roots, ServerName: "tv.example", DynamicRecordSizingDisabled: true}
}

// closeWrite ends one side of an end, with FIN and close_notify as the kind has it.
func closeWrite(t testing.TB, c net.Conn) {
	t.Helper()
	if err := c.(Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// expect reads what must come next.
func expect(t testing.TB, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// expectEnd reads the end of a stream.
func expectEnd(t testing.TB, c io.Reader) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read %d bytes, %v; want the end", n, err)
	}
}

func expectReset(t testing.TB, c io.Reader) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read %d bytes, %v; want a reset", n, err)
	}
}

func send(t testing.TB, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func expectOutcome(t testing.TB, s *flow.Session, want flow.Cause, up, down int) {
	t.Helper()
	if s.Cause != want || s.Up != uint64(up) || s.Down != uint64(down) {
		t.Fatal(outcome(s), fmt.Sprintf("want %s, %d up, %d down", want, up, down))
	}
}

func outcome(s *flow.Session) string {
	return fmt.Sprintf("ended: %s (%v), %d up, %d down;", s.Cause, s.Err, s.Up, s.Down)
}

// netListener makes a listener of a socket.
func netListener(fd int) (net.Listener, error) {
	own, err := syscall.Dup(fd)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), "listener")
	defer f.Close()
	return net.FileListener(f)
}
