//go:build e2e && linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/proxyproto"
	"sluice/internal/testkit"
)

// testTcprelayBehindProxy is line 42 by its parts.
func testTcprelayBehindProxy(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"haproxy": testBehindHAProxy, "curl": testCurlHeader, "bad headers": testBadHeaders, "trusted networks": testTrustedHeaders,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// testBehindHAProxy: with either version it is the client of haproxy who is let in or not, who sticks to a
// remote and who is in the log.
func testBehindHAProxy(t *testing.T) {
	a, b, door := newRemote(t, echoesAs("A")), newRemote(t, echoesAs("B")), freePort(t)
	startTcprelay(t, tcprelayFile("sticky cache period = 3600\npermit 127.0.42.0/25\n"+tcprelayListen(door, "haproxy = yes"),
		tcprelayRemote(a.addr)+tcprelayRemote(b.addr)))
	fronts := []string{freePort(t), freePort(t)}
	startHAProxyOf(t, fmt.Sprintf("listen one\n mode tcp\n bind %s\n server s %s send-proxy\nlisten two\n mode tcp\n bind %s\n server s %[2]s send-proxy-v2\n",
		fronts[0], door, fronts[1]), fronts...)
	for i, front := range fronts {
		one, two, stranger := fmt.Sprintf("127.0.42.%d", i+1), fmt.Sprintf("127.0.42.%d", i+11), fmt.Sprintf("127.0.42.%d", i+200)
		sticks(t, one, front, "A")
		for range 3 {
			sticks(t, two, front, "B")
		}
		sticks(t, one, front, "A")
		sticks(t, one, front, "A") // so many as B has, and then one more
		sticks(t, one, front, "A")
		sticks(t, two, front, "B") // for whoever comes to the next version both have as many
		if _, err := io.ReadAll(callFrom(t, stranger, front)); err != nil {
			t.Errorf("%s: %v", stranger, err) // haproxy makes an end of it
		}
		if n := a.calls.Load() + b.calls.Load(); n != int64(8*(i+1)) {
			t.Errorf("there were %d sessions, want %d", n, 8*(i+1))
		}
	}
	if refused, err := io.ReadAll(call(t, door)); err == nil && len(refused) > 0 {
		t.Errorf("who comes without a header hears %q", refused)
	}
}

// testCurlHeader: curl says itself who it is, without TLS and before it.
func testCurlHeader(t *testing.T) {
	testkit.Need(t, "curl")
	ca := newAuthority(t)
	web := newRemote(t, func(c net.Conn) {
		if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
		}
	})
	plain, secure := freePort(t), freePort(t)
	startTcprelay(t, tcprelayFile("permit 127.0.0.1\n"+tcprelayListen(plain, "haproxy = yes")+tcprelayListen(secure, "haproxy = yes tls = yes"),
		"tls cert-file = "+ca.path("server.pem")+"\ntls key-file = "+ca.path("server.key")+"\n"+tcprelayRemote(web.addr)))
	for _, url := range []string{"http://" + plain, "https://" + secure} {
		if code, body := curl(t, "--cacert", ca.path("ca.pem"), "--haproxy-protocol", url+"/"); code != 200 || body != "hello" {
			t.Errorf("%s: %d, %q", url, code, body)
		}
	}
}

// testBadHeaders: who has no header, or a broken one, is closed, and no remote hears of it.
func testBadHeaders(t *testing.T) {
	remote, door := newRemote(t, echoes), freePort(t)
	p := startTcprelay(t, tcprelayFile(tcprelayListen(door, "haproxy = yes"), "idle timeout = 1\n"+tcprelayRemote(remote.addr)))
	const signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	for _, text := range []string{
		"GET / HTTP/1.1\r\n\r\n", "", "PROXY", "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80", "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 70000 80\r\n", "PROXY TCP4 2001:db8::1 192.0.2.2 1000 80\r\n", "PROXY TCP4 nobody 192.0.2.2 1000 80\r\n",
		"PROXY UDP4 192.0.2.1 192.0.2.2 1000 80\r\n", "PROXY " + strings.Repeat("x", 200) + "\r\n", "proxy TCP4 192.0.2.1 192.0.2.2 1000 80\r\n",
		signature2[:7], signature2 + "\x31\x11\x00\x0c", signature2 + "\x21\x11\x00\x0c\x01\x02", signature2 + "\x21\x11\x00\x04\x01\x02\x03\x04",
		signature2 + "\x2f\x11\x00\x0c" + strings.Repeat("x", 12),
	} {
		c := call(t, door)
		says(t, c, text)
		if heard, _ := io.ReadAll(c); len(heard) > 0 { // an end or a reset, when not all was read
			t.Errorf("%q is answered with %q", text, heard)
		}
	}
	p.WaitLine(`msg="client refused".* reason=header`)
	if n := remote.calls.Load(); n != 0 {
		t.Errorf("the remote was called %d times", n)
	}
	// In pieces and with data right behind it is as good as any.
	door = freePort(t)
	startTcprelay(t, tcprelayFile(tcprelayListen(door, "haproxy = yes"), tcprelayRemote(remote.addr)))
	c := call(t, door)
	for _, piece := range []string{"P", "ROXY TCP6 2001:db8::1 2001:db8::2 10", "00 80\r", "\nhello"} {
		says(t, c, piece)
	}
	hears(t, c, "hello")
	local := call(t, door)
	says(t, local, signature2+"\x20\x00\x00\x00for itself")
	hears(t, local, "for itself")
}

// testTrustedHeaders: with networks of proxies named, who is not in them is closed with the best of headers, or, where
// one may come without, is relayed with it as it is.
func testTrustedHeaders(t *testing.T) {
	const trusted, stranger, header = "127.0.42.1", "127.0.43.1", "PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\n"
	echo, needs, takes := newRemote(t, echoes), freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf("relay:\n  listeners:\n    needs: {listen: %q, pool: app, proxy: required, proxies: 127.0.42.0/24}\n"+
		"    takes: {listen: %q, pool: app, proxy: accepted, proxies: 127.0.42.0/24}\n  pools:\n    app: {remotes: %q}\n", needs, takes, echo.addr))
	for _, door := range []string{needs, takes} {
		c := callFrom(t, trusted, door)
		says(t, c, header+"data")
		hears(t, c, "data")
		c.Close()
	}
	for _, listener := range []string{"needs", "takes"} {
		e := r.session("listener", listener)
		if e["client"] != "192.0.2.7:1000" || !strings.HasPrefix(e["peer"], trusted+":") {
			t.Errorf("the session of a trusted proxy: %v", e)
		}
	}
	c := callFrom(t, stranger, takes)
	says(t, c, header)
	hears(t, c, header)
	c.Close()
	r.session("listener", "takes", "client", c.LocalAddr().String(), "peer", c.LocalAddr().String())
	refused := callFrom(t, stranger, needs)
	_, _ = io.WriteString(refused, header) // it may be closed already
	if heard, _ := io.ReadAll(refused); len(heard) > 0 {
		t.Errorf("who is not trusted hears %q", heard)
	}
	r.session("listener", "needs", "client", refused.LocalAddr().String(), "cause", "denied")
	begins := callFrom(t, trusted, takes) // like a header, and is none
	says(t, begins, "PROTOCOL")
	hears(t, begins, "PROTOCOL")
}

// testRelayAsProxy is line 43: what haproxy and nginx know of a client by the header of a pool or of
// tcprelay's remotes, and that the bytes behind it come as they are.
func testRelayAsProxy(t *testing.T) {
	const haproxyTells = "src %[src] %[src_port] dst %[dst] %[dst_port]"
	const nginxTells = "src $proxy_protocol_addr $proxy_protocol_port dst $proxy_protocol_server_addr $proxy_protocol_server_port"
	_, port6, _ := net.SplitHostPort(freePort(t))
	back4, back6, web := freePort(t), "[::1]:"+port6, freePort(t)
	startHAProxyOf(t, fmt.Sprintf("frontend it\n mode http\n bind %s accept-proxy\n bind %s accept-proxy\n"+
		" http-request return status 200 content-type text/plain lf-string \"%s\"\n", back4, back6, haproxyTells), back4, back6)
	startNginx(t, "server { listen "+web+" proxy_protocol; location / { return 200 '"+nginxTells+"'; } }")
	t.Run("by", func(t *testing.T) {
		for _, version := range []string{"v1", "v2"} {
			for _, back := range []string{back4, back6, web} {
				t.Run(version+" to "+back, func(t *testing.T) {
					t.Parallel()
					testToldOf(t, version, back, back != web)
				})
				t.Run(version+" of tcprelay to "+back, func(t *testing.T) {
					t.Parallel()
					doors := newDoors(t)
					doors.tcprelay(t, back, version)
					doors.toldOf(t, back, back != web)
				})
			}
		}
		t.Run("itself", func(t *testing.T) {
			t.Parallel()
			testHeaderIsFirst(t)
		})
	})
}

// proxyDoors are where clients of all kinds come to a relay that is a proxy.
type proxyDoors struct{ ip4, ip6, path string }

func newDoors(t *testing.T) proxyDoors {
	t.Helper()
	_, port6, _ := net.SplitHostPort(freePort(t))
	return proxyDoors{ip4: freePort(t), ip6: "[::1]:" + port6, path: filepath.Join(shortDir(t), "in")}
}

// relay starts one by the native configuration; more is said of its pool.
func (d proxyDoors) relay(t *testing.T, back, version, more string) *relayed {
	t.Helper()
	return startRelay(t, fmt.Sprintf("relay:\n  listeners:\n    in: {listen: [%q, %q, %q], pool: app}\n  pools:\n    app: {remotes: %q, proxy: %s%s}\n",
		d.ip4, d.ip6, "unix:"+d.path, back, version, more))
}

// tcprelay starts one by a file of tcprelay.
func (d proxyDoors) tcprelay(t *testing.T, back, version string) {
	t.Helper()
	startTcprelay(t, tcprelayFile(tcprelayListen(d.ip4)+tcprelayListen(d.ip6)+tcprelayListen(d.path), tcprelayRemote(back, "proxy protocol = "+version)))
}

// testToldOf is toldOf with a check, which without a header would fail.
func testToldOf(t *testing.T, version, back string, isHAProxy bool) {
	doors := newDoors(t)
	r := doors.relay(t, back, version, ", check: {type: http, every: 20ms, timeout: 30s, fall: 1}")
	doors.toldOf(t, back, isHAProxy)
	r.remote(back, isUp)
}

// toldOf has clients of all kinds ask a server that tells who they are. Who has no address is not told of: haproxy
// takes the relay for the client then, and nginx knows nobody.
func (d proxyDoors) toldOf(t *testing.T, back string, isHAProxy bool) {
	t.Helper()
	for _, door := range []string{d.ip4, d.ip6} {
		c := call(t, door)
		if got, want := getOver(t, c), fmt.Sprintf("src %s dst %s", spaced(c.LocalAddr()), spaced(c.RemoteAddr())); got != want {
			t.Errorf("from %s: %q, want %q", door, got, want)
		}
	}
	got, own, _ := strings.Cut(getOver(t, dialDoor(t, d.path)), " dst ")
	host, port, _ := net.SplitHostPort(back)
	if isHAProxy && (own != host+" "+port || !strings.HasPrefix(got, "src "+host+" ")) || !isHAProxy && strings.TrimSpace(got+own) != "src" {
		t.Errorf("from a UNIX socket: %q to %q", got, own)
	}
}

// spaced is an address with its port behind a blank.
func spaced(a net.Addr) string {
	ap := netip.MustParseAddrPort(a.String())
	return fmt.Sprintf("%s %d", ap.Addr(), ap.Port())
}

// getOver asks for / over a connection, and returns the body of the answer.
func getOver(t *testing.T, c net.Conn) string {
	t.Helper()
	says(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	_, body, _ := strings.Cut(hearsRest(t, c), "\r\n\r\n")
	return body
}

// testHeaderIsFirst reads the bytes themselves: the header once, and then what the client says; in a LOCAL one no
// addresses.
func testHeaderIsFirst(t *testing.T) {
	heard := make(chan string, 10)
	remote := newRemote(t, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		heard <- string(b)
	})
	for version, number := range map[string]proxyproto.Version{"v1": proxyproto.V1, "v2": proxyproto.V2} {
		native, file := newDoors(t), newDoors(t)
		native.relay(t, remote.addr, version, "")
		file.tcprelay(t, remote.addr, version)
		for _, d := range []proxyDoors{native, file} {
			for _, door := range []string{d.ip4, d.ip6, d.path} {
				c := dialDoor(t, door)
				says(t, c, "PROXY and the rest")
				c.Close()
				b := <-heard
				h, n, err := proxyproto.Parse([]byte(b))
				if err != nil || h.Version != number || b[n:] != "PROXY and the rest" || h.Local != (door == d.path) {
					t.Errorf("%s by %s: %+v, %v, then %q", door, version, h, err, b[n:])
				}
				if !h.Local && (h.From.String() != c.LocalAddr().String() || h.To.String() != door) {
					t.Errorf("by %s: from %s to %s, want %s and %s", version, h.From, h.To, c.LocalAddr(), door)
				}
			}
		}
	}
}

// dialDoor connects to an address or to the path of a UNIX socket.
func dialDoor(t *testing.T, door string) net.Conn {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(door, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, door)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
