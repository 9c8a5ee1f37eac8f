//go:build e2e && linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"sluice/internal/report"
)

// neighbourOf is a session that must not notice anything; check says whether it still works.
func neighbourOf(t *testing.T, c net.Conn) (check func()) {
	t.Helper()
	return func() {
		t.Helper()
		says(t, c, "still here?")
		hears(t, c, "still here?")
	}
}

func testBrokenHeaders(t *testing.T) {
	const sig = "\r\n\r\n\x00\r\nQUIT\n"
	back := newRemote(t, echoes)
	required, accepted := freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf(`relay:
  listeners:
    required: {listen: %q, pool: app, proxy: required, hello: 3s}
    accepted: {listen: %q, pool: app, proxy: accepted, proxies: 127.0.0.0/8}
  pools:
    app: {remotes: %q}
`, required, accepted, back.addr))
	c := call(t, required)
	says(t, c, "PROXY UNKNOWN\r\n")
	still := neighbourOf(t, c)
	still()
	bad := []string{
		"", "garbage\r\n", string(garbage(300, 1)), "GET / HTTP/1.0\r\n\r\n",
		"PROXY\r\n", "PROXY \r\n", "PROXY TCP4 192.0.2.1\r\n", "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.999 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "PROXY TCP4 " + strings.Repeat("1", 200), strings.Repeat("PROXY ", 20_000),
		"PRO", "PROXY TCP4 192.0.2.1 192.0.2.2 1", // and nothing more
		sig[:5], sig, sig + "\x21", // likewise
		sig + "\x31\x11\x00\x0c", sig + "\x2f\x11\x00\x0c", sig + "\x21\x11\x00\x04\x01\x02\x03\x04", // version, command, too short
		sig + "\x21\x11\xff\xff" + strings.Repeat("\x00", 70_000), sig + "\x21\x11\x00\x0c\x01\x02\x03", // too long, half
	}
	var all []net.Conn
	for _, text := range bad {
		c := call(t, required)
		_, _ = io.WriteString(c, text) // it may be closed before all is said
		all = append(all, c)
	}
	for _, c := range all {
		isClosed(t, c)
	}
	still()
	r.eventually(func(st report.Relay) error {
		if n := st.Totals.Ended["header"]; n != uint64(len(bad)) || st.Totals.Sessions != 1 {
			return fmt.Errorf("%d of %d broken headers, %d sessions", n, len(bad), st.Totals.Sessions)
		}
		return nil
	})
	for _, e := range r.sessions() {
		if e["error"] == "-" || e["remote"] != "-" {
			t.Errorf("a session with a broken header: %v", e)
		}
	}
	if n := back.calls.Load(); n != 1 {
		t.Errorf("the remote was connected to %d times, want once", n)
	}

	// Where none need come, what is no header is relayed whole, in pieces too.
	for _, text := range []string{"PROXIMA\n", "\r\nhello\n", "x"} {
		c := call(t, accepted)
		for i := range text {
			says(t, c, text[i:i+1])
		}
		hears(t, c, text)
	}
	c = call(t, accepted)
	says(t, c, "PROXY TCP4 192.0.2.1\r\n")
	isClosed(t, c)
}

// testSilentRemote: a remote that takes the connection and says nothing costs its client its time and nobody else
// anything; one that is to speak TLS is left for the next.
func testSilentRemote(t *testing.T) {
	a := newAuthority(t)
	good := freePort(t)
	startReverser(t, good, a, "server")
	silent := silentServer(t)
	idle, secure := freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf(`relay:
  listeners:
    idle: {listen: %q, pool: silent, idle: 2s}
    secure: {listen: %q, pool: secure, connect: 5s}
  pools:
    silent: {remotes: %q}
    secure: {remotes: %s, tls: {enabled: true, ca: %s}}
`, idle, secure, silent, listOf(silent, good), a.path("ca.pem")))
	c := call(t, idle)
	says(t, c, "anybody?\n")
	hearsEnd(t, c, false)
	r.session("listener", "idle", "cause", "idle", "up", "9", "down", "0")
	for range 2 { // the second knows better
		c = call(t, secure)
		says(t, c, "olleh\n")
		hears(t, c, "hello\n")
		c.Close()
	}
	r.session("listener", "secure", "cause", "client", "remote", good, "up", "6", "down", "6")
	if one := r.status().Pools[1].Remotes[0]; one.Failures == 0 || one.LastError == "" {
		t.Errorf("the silent remote: %+v", one)
	}
}

// testFlood has one source come without end, with more and faster than it may, while others are served.
func testFlood(t *testing.T) {
	const attacker, most = "127.0.0.66", 5
	back, addr := newRemote(t, echoes), freePort(t)
	r := startRelay(t, relaying(addr, fmt.Sprintf(", max_per_source: %d, max_rate_per_source: 50", most), "", back.addr))
	stop := make(chan struct{})
	var flood sync.WaitGroup
	for range 4 {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := tryCall(attacker, addr)
				if err != nil {
					continue // its ports are used up
				}
				_, _ = io.WriteString(c, "x")
				_, _ = io.Copy(io.Discard, io.LimitReader(c, 1)) // served, or closed
				c.Close()
			}
		})
	}
	c := call(t, addr)
	still := neighbourOf(t, c)
	for i := range 40 {
		good := callFrom(t, fmt.Sprintf("127.0.1.%d", i+1), addr)
		says(t, good, "hello")
		hears(t, good, "hello")
		good.Close()
		still()
		n := 0
		for _, s := range r.status().Sessions {
			if strings.HasPrefix(s.Client, attacker+":") {
				n++
			}
		}
		if n > most {
			t.Errorf("%d sessions of one source, want %d at most", n, most)
		}
	}
	r.eventually(func(st report.Relay) error {
		if n := st.Listeners[0].Refused["limit"]; n < 100 {
			return fmt.Errorf("%d clients refused", n)
		}
		return nil
	})
	close(stop)
	flood.Wait()
	for _, e := range r.sessions() {
		if e["cause"] == "limit" && !strings.HasPrefix(e["client"], attacker+":") {
			t.Errorf("somebody else has met the limit: %v", e)
		}
	}
	r.sessionsAre(1)
}

// testHalfOpen has 10 000 clients connect and say half a ClientHello, half a header, or nothing. They cost bounded
// memory, and others are served.
func testHalfOpen(t *testing.T) {
	const clients, bytesEach = 10_000, 16 << 10 // with the race detector
	a, back := newAuthority(t), newRemote(t, echoes)
	secure, header, plain := freePort(t), freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf(`relay:
  listeners:
    secure: {listen: %q, pool: app, hello: 1h, tls: {certificates: %q}}
    header: {listen: %q, pool: app, hello: 1h, proxy: required}
    plain: {listen: %q, pool: app}
  pools:
    app: {remotes: %q}
`, secure, a.certified("server"), header, plain, back.addr))
	pid := r.proc.PID()
	serves := func() {
		t.Helper()
		for _, c := range []net.Conn{
			tls.Client(call(t, secure), &tls.Config{RootCAs: a.pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}), call(t, plain),
		} {
			says(t, c, "hello")
			hears(t, c, "hello")
			c.Close()
		}
	}
	serves()
	r.sessionsAre(0)
	files, memory := openFiles(t, pid), residentBytes(t, pid)
	half := clientHello(t, "localhost")
	half = half[:len(half)/2]
	all := make([]net.Conn, clients)
	for i := range all {
		addr, words := secure, [][]byte{nil, half[:1], half}[i%3]
		if i%4 == 0 {
			addr, words = header, bytes.Repeat([]byte("PROXY TCP4 "), i%2)
		}
		c := callFrom(t, fmt.Sprintf("127.0.2.%d", i%200+1), addr)
		if _, err := c.Write(words); err != nil {
			t.Fatal(err)
		}
		all[i] = c
	}
	r.sessionsAre(clients)
	serves()
	r.sessionsAre(clients)
	if more := openFiles(t, pid) - files; more > clients {
		t.Errorf("%d descriptors for %d clients, want one each", more, clients)
	}
	if more := (residentBytes(t, pid) - memory) / clients; more > bytesEach {
		t.Errorf("%d bytes of memory for each half-open client, want %d at most", more, bytesEach)
	} else {
		t.Logf("%d bytes of memory for each half-open client", more)
	}
	for _, c := range all {
		c.Close()
	}
	r.sessionsAre(0)
	serves()
}
