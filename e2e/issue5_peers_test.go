//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// startHAProxyOf starts haproxy with these sections, and waits until it answers at these addresses.
func startHAProxyOf(t *testing.T, sections string, addrs ...string) {
	t.Helper()
	testkit.Need(t, "haproxy")
	file := put(t, filepath.Join(shortDir(t), "haproxy.cfg"), "defaults\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n"+sections)
	testkit.Start(t, "haproxy", "-db", "-f", file)
	for _, addr := range addrs {
		testkit.Eventually(t, func() error {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
}

// testProxyHeaders has a client come through haproxy to the relay, and on to haproxy and to nginx, in each version
// of the header: all of them know the client. Its address decides who is let in, too.
func testProxyHeaders(t *testing.T) {
	const client, stranger = "127.0.0.7", "127.0.0.8"
	in, behind := freePort(t), freePort(t)
	nginx := freePort(t)
	startNginx(t, "server { listen "+nginx+" proxy_protocol; return 200 $proxy_protocol_addr; }")
	v1, v2 := freePort(t), freePort(t)
	startHAProxyOf(t, fmt.Sprintf("listen v1\n mode tcp\n bind %s\n server sluice %s send-proxy\nlisten v2\n mode tcp\n bind %s\n server sluice %s send-proxy-v2\n"+
		"listen behind\n mode http\n bind %s accept-proxy\n http-request return status 200 content-type text/plain lf-string \"%%[src]\"\n",
		v1, in, v2, in, behind), v1, v2, behind)
	config := func(remote, version string) string {
		return relaying(in, fmt.Sprintf(", proxy: required, proxies: 127.0.0.1/32, rules: permit %s/32", client), ", proxy: "+version, remote)
	}
	r := startRelay(t, config(behind, "v1"))
	for _, remote := range []string{behind, nginx} {
		for _, out := range []string{"v1", "v2"} {
			r.reload(config(remote, out))
			for _, front := range []string{v1, v2} {
				if code, said := curl(t, "--interface", client, "http://"+front+"/"); code != 200 || said != client {
					t.Errorf("%s to %s: %d, the client is %q there", out, remote, code, said)
				}
			}
		}
	}
	for _, addr := range []string{v1, v2} {
		notServed(t, "--interface", stranger, "http://"+addr+"/")
	}
	notServed(t, "--haproxy-protocol", "--interface", client, "http://"+in+"/") // it is no proxy that is believed
	testkit.Eventually(t, func() error {
		who := map[string]int{} // sessions by the client's host, and the cause if it was denied
		for _, e := range r.sessions() {
			host, _, _ := strings.Cut(e["client"], ":")
			who[host+strings.TrimSuffix(" "+e["cause"], " client")]++
		}
		if who[client] != 8 || who[stranger+" denied"] < 2 || who[client+" denied"] != 1 {
			return fmt.Errorf("sessions by client: %v, want 8 of %s served and 1 denied, 2 of %s denied or more (haproxy tries again)", who, client, stranger)
		}
		return nil
	})
	r.reload(relaying(in, ", proxy: required", ", proxy: v1", nginx))
	if code, said := curl(t, "--haproxy-protocol", "--interface", client, "http://"+in+"/"); code != 200 || said != client {
		t.Errorf("by curl's header: %d, the client is %q", code, said)
	}
}

// notServed wants curl to get no answer.
func notServed(t *testing.T, args ...string) {
	t.Helper()
	testkit.Need(t, "curl")
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--max-time", "60"}, args...)...).CombinedOutput()
	if err == nil {
		t.Errorf("curl %s is answered %q", strings.Join(args, " "), out)
	}
}

// testHeaderOfTLS: haproxy behind knows from the header what the client has asked for by TLS.
func testHeaderOfTLS(t *testing.T) {
	a, in, behind := newAuthority(t), freePort(t), freePort(t)
	a.issue("a", "a.test")
	startHAProxyOf(t, "listen behind\n mode http\n bind "+behind+" accept-proxy\n http-request return status 200 content-type text/plain lf-string \"%[fc_pp_authority]\"\n", behind)
	startRelay(t, relaying(in, fmt.Sprintf(", tls: {certificates: %q}", a.path("a.pem")+" key="+a.path("a.key")), ", proxy: v2", behind))
	code, said := curl(t, "--cacert", a.path("ca.pem"), "--connect-to", "::"+in, "https://a.test/")
	if code != 200 || said != "a.test" {
		t.Errorf("%d, the name is %q there", code, said)
	}
}

// testUnixSockets has socat come to a UNIX socket, and another one serve at one.
func testUnixSockets(t *testing.T) {
	testkit.Need(t, "socat")
	dir := shortDir(t)
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	testkit.Start(t, "socat", "UNIX-LISTEN:"+out+",fork", "SYSTEM:cat")
	r := startRelay(t, relaying("unix:"+in+" mode=0600", "", "", "unix:"+out))
	testkit.Eventually(t, func() error { _, err := os.Stat(out); return err })
	if info, err := os.Stat(in); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	text := strings.Repeat("a line\n", 100_000)
	cmd := exec.CommandContext(t.Context(), "socat", "-t", "60", "-", "UNIX-CONNECT:"+in)
	cmd.Stdin = strings.NewReader(text)
	got, err := cmd.Output()
	if err != nil || string(got) != text {
		t.Errorf("socat gets %d bytes back, %v; want %d", len(got), err, len(text))
	}
	r.session("cause", "client", "up", fmt.Sprint(len(text)), "down", fmt.Sprint(len(text)))
	stopNow(t, r.proc, os.Interrupt)
	if _, err := os.Stat(in); err == nil {
		t.Error("the socket's file is left")
	}
}

// testSocketOfSystemd: the first client starts the relay, by a socket that systemd has opened and named.
func testSocketOfSystemd(t *testing.T) {
	testkit.Need(t, "systemd-socket-activate")
	back, addr, dir := newRemote(t, echoesAs("in")), freePort(t), shortDir(t)
	config := put(t, filepath.Join(dir, "sluice.yaml"), relaying("inherited:web", "", "", back.addr))
	p := testkit.Start(t, "systemd-socket-activate", "-l", addr, "--fdname=web",
		program(), "relay", "-T", "-C", config, "--admin", freePort(t), "--run-dir", filepath.Join(dir, "run"))
	p.WaitLine("Listening on")
	for range 3 {
		hears(t, call(t, addr), "in\n")
	}
	stopNow(t, p, os.Interrupt)
}
