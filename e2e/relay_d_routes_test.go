//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testNamesAndProtocols is line 52: clients are sent on by what their ClientHello says, and nothing is
// decrypted: each sees the certificate of the openssl s_server that it has come to.
func testNamesAndProtocols(t *testing.T) {
	a := newAuthority(t)
	servers := map[string]string{} // address by pool
	serial := map[string]int64{}
	for _, pool := range []string{"a", "b", "h2"} {
		servers[pool] = freePort(t)
		serial[pool] = a.issue(pool, "a.test", "x.b.test", "y.x.b.test", "c.test")
		startReverser(t, servers[pool], a, pool, "-alpn", "h2,http/1.1")
	}
	addr, hasty := freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf(`relay:
  listeners:
    in: {listen: %q, routes: ["sni=a.test pool=a", "sni=*.b.test pool=b", "alpn=h2 pool=h2"], hello: 1h}
    hasty: {listen: %q, routes: "sni=a.test pool=a", hello: 300ms}
  pools:
    a: {remotes: %q}
    b: {remotes: %q}
    h2: {remotes: %q}
`, addr, hasty, servers["a"], servers["b"], servers["h2"]))
	for _, c := range []struct{ name, protocol, pool string }{
		{"a.test", "", "a"},
		{"A.Test", "h2", "a"},
		{"x.b.test", "", "b"},
		{"y.x.b.test", "http/1.1", "b"},
		{"c.test", "h2", "h2"},
	} {
		conf := &tls.Config{RootCAs: a.pool(), ServerName: c.name, MinVersion: tls.VersionTLS12}
		if c.protocol != "" {
			conf.NextProtos = []string{c.protocol}
		}
		for how, shred := range map[string]bool{"whole": false, "in pieces": true} {
			conn := net.Conn(call(t, addr))
			if shred {
				conn = &shredder{Conn: conn}
			}
			secure := tls.Client(conn, conf)
			says(t, secure, "olleh\n")
			hears(t, secure, "hello\n")
			st := secure.ConnectionState()
			if got := st.PeerCertificates[0].SerialNumber.Int64(); got != serial[c.pool] || st.NegotiatedProtocol != c.protocol {
				t.Errorf("%s, %s: it is answered with certificate %d and protocol %q, want those of pool %s", c.name, how, got, st.NegotiatedProtocol, c.pool)
			}
			secure.Close()
		}
	}
	for _, words := range [][]byte{
		clientHello(t, "b.test"),               // no route
		[]byte("GET / HTTP/1.0\r\n\r\n"),       // no TLS
		longHello(t, "a.test", 17<<10, 17<<10), // too long
		longHello(t, "a.test", 17<<10, 100),    // likewise, and it does not come to its end
	} {
		c := call(t, addr)
		_, _ = c.Write(words) // it may be closed before all is said
		isClosed(t, c)
	}
	c := call(t, addr)
	says(t, c, string(longHello(t, "a.test", 12<<10, 12<<10)))
	hears(t, c, "\x16\x03\x03") // a handshake of the server
	c.Close()
	r.sessionsAre(0)
	refused := func(listener string, n uint64) {
		t.Helper()
		r.eventually(func(st report.Relay) error {
			for _, l := range st.Listeners {
				if l.Name == listener && (l.Refused["hello"] != n || l.Sessions != 0) {
					return fmt.Errorf("%s: %d clients refused, %d sessions; want %d and none", listener, l.Refused["hello"], l.Sessions, n)
				}
			}
			return nil
		})
	}
	refused("in", 4)
	half := clientHello(t, "a.test")
	for _, words := range [][]byte{nil, half[:1], half[:len(half)-1]} { // half a hello, and then nothing
		c := call(t, hasty)
		says(t, c, string(words))
		isClosed(t, c)
	}
	refused("hasty", 3)
}

// clientHello is what a client of that server says first.
func clientHello(t *testing.T, server string) []byte {
	t.Helper()
	var said bytes.Buffer
	_ = tls.Client(muteConn{w: &said}, &tls.Config{ServerName: server, MinVersion: tls.VersionTLS12}).Handshake()
	if said.Len() == 0 {
		t.Fatal("no ClientHello")
	}
	return said.Bytes()
}

// muteConn takes all and ends.
type muteConn struct {
	net.Conn
	w *bytes.Buffer
}

func (c muteConn) Write(b []byte) (int, error) { return c.w.Write(b) }
func (c muteConn) Read([]byte) (int, error)    { return 0, syscall.ECONNRESET }
func (c muteConn) Close() error                { return nil }

// longHello is a ClientHello with so many bytes of padding (RFC 7685) behind all else, of which so many are said, in
// records of 8 KiB.
func longHello(t *testing.T, server string, padding, said int) (records []byte) {
	t.Helper()
	const header, fixed = 4, 2 + 32 // of the message; version and random
	message := clientHello(t, server)[5:]
	at := header + fixed
	at += 1 + int(message[at])                           // session
	at += 2 + int(binary.BigEndian.Uint16(message[at:])) // suites
	at += 1 + int(message[at])                           // compression
	grow := func(at int, by int) {
		binary.BigEndian.PutUint16(message[at:], binary.BigEndian.Uint16(message[at:])+uint16(by))
	}
	grow(at, 4+padding)
	size := len(message) - header + 4 + padding
	message[1], message[2], message[3] = byte(size>>16), byte(size>>8), byte(size)
	message = append(message, 0, 21, byte(padding>>8), byte(padding))
	message = append(message, make([]byte, said)...)
	for record := range slices.Chunk(message, 8<<10) {
		records = append(records, 22, 3, 1, byte(len(record)>>8), byte(len(record)))
		records = append(records, record...)
	}
	return records
}

// shredder sends the first record of a TLS client in records of a few bytes each, in a packet each.
type shredder struct {
	net.Conn
	done bool
}

func (s *shredder) Write(b []byte) (int, error) {
	if s.done {
		return s.Conn.Write(b)
	}
	s.done = true
	const head, most = 5, 23
	for rest := b[head:]; len(rest) > 0; {
		n := min(len(rest), most)
		record := append([]byte{b[0], b[1], b[2], 0, byte(n)}, rest[:n]...)
		rest = rest[n:]
		for _, part := range [][]byte{record[:3], record[3:]} { // also in the middle of its head
			if _, err := s.Conn.Write(part); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

// nameServer is a dnsmasq whose hosts a test changes.
type nameServer struct {
	t     *testing.T
	addr  string
	hosts string // path
	args  []string
	proc  *testkit.Proc
}

func startNameServer(t *testing.T, hosts string, args ...string) *nameServer {
	t.Helper()
	testkit.Need(t, "dnsmasq")
	s := &nameServer{t: t, addr: freePort(t), hosts: filepath.Join(shortDir(t), "hosts"), args: args}
	put(t, s.hosts, hosts)
	s.start()
	return s
}

func (s *nameServer) start() {
	s.t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.proc = testkit.Start(s.t, "dnsmasq", append([]string{
		"--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--local=/test/", "--user=root", "--group=",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--port=" + port, "--local-ttl=0", "--addn-hosts=" + s.hosts,
	}, s.args...)...)
	s.proc.WaitLine("started, version")
}

func (s *nameServer) stop() {
	s.proc.Signal(os.Interrupt)
	<-s.proc.Done()
}

// testDNS is line 53: a name is asked for again, its last good answer stays when there is none, and a service has
// the weights of its records.
func testDNS(t *testing.T) {
	one := newRemote(t, echoesAs("one"))
	_, port, err := net.SplitHostPort(one.addr)
	if err != nil {
		t.Fatal(err)
	}
	two, three := newRemoteAt(t, "tcp", "127.0.0.2:"+port, echoesAs("two")), newRemoteAt(t, "tcp", "127.0.0.3:"+port, echoesAs("three"))
	names := startNameServer(t, "127.0.0.1 app.test\n127.0.0.1 one.test\n127.0.0.2 two.test\n127.0.0.3 three.test\n",
		"--srv-host=_app._tcp.test,one.test,"+port+",10,1", "--srv-host=_app._tcp.test,two.test,"+port+",10,3",
		"--srv-host=_app._tcp.test,three.test,"+port+",20,1")
	host, service := freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf(`relay:
  resolve: {server: %q, every: 1s, timeout: 5s, family: ipv4}
  listeners:
    host: {listen: %q, pool: host, tries: 5}
    service: {listen: %q, pool: service}
  pools:
    host: {remotes: "app.test:%s weight=2"}
    service: {remotes: "srv:_app._tcp.test name=app", check: {type: tcp, every: 20ms, timeout: 20s, rise: 1, fall: 1}}
`, names.addr, host, service, port))
	hears(t, call(t, host), "one\n")

	// 1:3, and the second priority is for when there is no other.
	served := ""
	for range 8 {
		served += hearsLine(t, call(t, service))[:2] + " "
	}
	if served != "on tw tw tw on tw tw tw " {
		t.Errorf("eight sessions went to %s", served)
	}
	one.close()
	two.close()
	r.remote("app/127.0.0.1:"+port, isDown)
	r.remote("app/127.0.0.2:"+port, isDown)
	hears(t, call(t, service), "three\n")

	names.stop()
	r.proc.WaitLine(`a name cannot be resolved.*remote=app.test`)
	newRemoteAt(t, "tcp", "127.0.0.1:"+port, echoesAs("one again"))
	hears(t, call(t, host), "one again\n") // the last good answer

	put(t, names.hosts, "127.0.0.3 app.test\n")
	names.start()
	r.eventually(func(st report.Relay) error {
		if got := st.Pools[0].Remotes; len(got) != 1 || got[0].Address != three.addr || got[0].Weight != 2 {
			return fmt.Errorf("the remotes are %+v, want %s with weight 2", got, three.addr)
		}
		return nil
	})
	hears(t, call(t, host), "three\n")
}
