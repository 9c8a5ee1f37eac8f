//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// certified is a certificate of the authority, as configurations name it.
func (a *authority) certified(file string) string {
	return a.path(file+".pem") + " key=" + a.path(file+".key")
}

// testMixedPort has three kinds of clients come to one port: for a name that is decrypted, for one that is passed to a
// server with a certificate of its own, and one that speaks no TLS.
func testMixedPort(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	ours.issue("ours", "*.ours.test")
	theirs.issue("theirs", "theirs.test")
	addr, web, secure, plain := freePort(t), freePort(t), freePort(t), freePort(t)
	startNginx(t, fmt.Sprintf("server { listen %s; return 200 decrypted; }\nserver { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; return 200 passed; }\n"+
		"server { listen %s; return 200 plain; }", web, secure, theirs.path("theirs.pem"), theirs.path("theirs.key"), plain))
	r := startRelay(t, fmt.Sprintf(`relay:
  listeners:
    in: {listen: %q, pool: web, routes: ["sni=theirs.test pool=secure pass", "plain pool=plain"], tls: {auto: true, certificates: %q}}
  pools:
    web: {remotes: %q}
    secure: {remotes: %q}
    plain: {remotes: %q}
`, addr, ours.certified("ours"), web, secure, plain))
	for _, c := range []struct {
		url, want string
		a         *authority
	}{{"https://www.ours.test/", "decrypted", ours}, {"https://theirs.test/", "passed", theirs}, {"http://" + addr + "/", "plain", ours}} {
		code, said := curl(t, "--cacert", c.a.path("ca.pem"), "--connect-to", "::"+addr, c.url)
		if code != 200 || said != c.want {
			t.Errorf("%s: %d %q, want %s", c.url, code, said, c.want)
		}
	}
	notServed(t, "--cacert", theirs.path("ca.pem"), "--connect-to", "::"+addr, "https://www.ours.test/") // the certificate is ours
	for pool, want := range map[string]uint64{"web": 1, "secure": 1, "plain": 1} {
		for _, p := range r.status().Pools {
			if p.Name == pool && p.Remotes[0].Total != want {
				t.Errorf("pool %s had %d sessions, want %d", pool, p.Remotes[0].Total, want)
			}
		}
	}
}

// serialAt is the serial number of the certificate that is shown at an address.
func serialAt(t *testing.T, addr string, conf *tls.Config) int64 {
	t.Helper()
	c := tls.Client(call(t, addr), conf)
	defer c.Close()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func testRelayCertificates(t *testing.T) {
	a, addr, back := newAuthority(t), freePort(t), newRemote(t, echoesAs("in"))
	first := a.issue("a", "a.test")
	other := a.issue("b", "b.test")
	r := startRelay(t, relaying(addr, ", tls: {certificates: "+listOf(a.certified("a"), a.certified("b"))+"}", "", back.addr))
	conf := func(name string) *tls.Config {
		return &tls.Config{RootCAs: a.pool(), ServerName: name, MinVersion: tls.VersionTLS12}
	}
	if got := serialAt(t, addr, conf("a.test")); got != first {
		t.Errorf("certificate %d, want %d", got, first)
	}
	held := tls.Client(call(t, addr), conf("a.test"))
	hears(t, held, "in\n")
	second := a.issue("a", "a.test")
	testkit.Eventually(t, func() error {
		if got := serialAt(t, addr, conf("a.test")); got != second {
			return fmt.Errorf("certificate %d, want %d", got, second)
		}
		return nil
	})
	r.proc.WaitLine(`a changed file was read.*a\.pem`)
	put(t, a.path("a.key"), "no key\n")
	testkit.Eventually(t, func() error {
		if got := serialAt(t, addr, conf("a.test")); got != second {
			t.Fatalf("certificate %d after the key has become nonsense, want %d still", got, second)
		}
		if !strings.Contains(r.proc.Output(), "a changed file is of no use") {
			return errors.New("nobody is told of the broken key")
		}
		return nil
	})
	if got := serialAt(t, addr, conf("b.test")); got != other {
		t.Errorf("certificate %d of the other name, want %d", got, other)
	}
	says(t, held, "still")
	hears(t, held, "still")
}

// sClient runs openssl s_client, which says hello, and returns what it is answered.
func sClient(t *testing.T, addr string, args ...string) (answer string, err error) {
	t.Helper()
	testkit.Need(t, "openssl")
	args = append([]string{"s_client", "-connect", addr, "-quiet", "-verify_quiet", "-verify_return_error"}, args...)
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = strings.NewReader("hello\n")
	out, err := cmd.Output()
	return string(out), err
}

// answersBack answers a line with itself and ends.
func answersBack(c net.Conn) {
	line := make([]byte, len("hello\n"))
	if _, err := io.ReadFull(c, line); err == nil {
		_, _ = c.Write(line)
	}
}

func testClientCertificates(t *testing.T) {
	a, strange := newAuthority(t), newAuthority(t)
	a.issue("client", "client.test")
	strange.issue("client", "client.test")
	needed, asked := freePort(t), freePort(t)
	back := newRemote(t, answersBack)
	r := startRelay(t, fmt.Sprintf(`relay:
  listeners:
    needed: {listen: %q, pool: app, tls: {certificates: %q, client_ca: %q, client_needed: true}}
    asked: {listen: %q, pool: app, tls: {certificates: %[2]q, client_ca: %[3]q}}
  pools:
    app: {remotes: %[5]q}
`, needed, a.certified("server"), a.path("ca.pem"), asked, back.addr))
	with := func(of *authority) []string {
		return []string{"-CAfile", a.path("ca.pem"), "-cert", of.path("client.pem"), "-key", of.path("client.key")}
	}
	for _, c := range []struct {
		name, addr string
		args       []string
		good       bool
	}{
		{"a good one where one is needed", needed, with(a), true},
		{"none where one is needed", needed, []string{"-CAfile", a.path("ca.pem")}, false},
		{"a strange one where one is needed", needed, with(strange), false},
		{"a good one where one is asked for", asked, with(a), true},
		{"none where one is asked for", asked, []string{"-CAfile", a.path("ca.pem")}, true},
		{"a strange one where one is asked for", asked, with(strange), false},
	} {
		answer, err := sClient(t, c.addr, c.args...)
		if good := answer == "hello\n"; good != c.good {
			t.Errorf("%s: %q, %v", c.name, answer, err)
		}
	}
	if n := back.calls.Load(); n != 3 {
		t.Errorf("%d clients have come to the remote, want 3", n)
	}
	r.session("listener", "needed", "cause", "hello", "remote", "-")
}

// testTLSToRemotes has an openssl s_server that wants a certificate, behind a plain port.
func testTLSToRemotes(t *testing.T) {
	a, strange := newAuthority(t), newAuthority(t)
	a.issue("behind", "behind.test")
	a.issue("client", "client.test")
	at, addr := freePort(t), freePort(t)
	startReverser(t, at, a, "behind", "-Verify", "1", "-verify_return_error", "-CAfile", a.path("ca.pem"))
	config := func(name, ca, more string) string {
		return relaying(addr, ", tries: 1", fmt.Sprintf(", eject: {fails: 0}, tls: {enabled: true, name: %s, ca: %s%s}", name, ca, more), at)
	}
	shown := fmt.Sprintf(", certificate: %q", a.certified("client"))
	good := config("behind.test", a.path("ca.pem"), shown)
	r := startRelay(t, good)
	ask := func() {
		t.Helper()
		c := call(t, addr)
		says(t, c, "olleh\n")
		hears(t, c, "hello\n")
		c.Close()
	}
	ask()
	for _, bad := range []string{
		config("other.test", a.path("ca.pem"), shown),
		config("behind.test", strange.path("ca.pem"), shown),
		config("behind.test", a.path("ca.pem"), ", max: '1.2'"), // none is shown; by 1.3 that is told after the handshake
	} {
		r.reload(bad)
		isClosed(t, call(t, addr))
	}
	r.eventually(func(st report.Relay) error {
		if n := st.Totals.Ended["no-remote"]; n != 3 {
			return fmt.Errorf("%d sessions without a remote, want 3", n)
		}
		return nil
	})
	for i, want := range []string{"not other.test", "unknown authority", "tls:"} {
		if e := r.sessions()[1+i]; !strings.Contains(e["error"], want) {
			t.Errorf("the log says %s, want %q in it", e["error"], want)
		}
	}
	r.reload(good)
	ask()
}

func testMinimumVersion(t *testing.T) {
	a, addr, back := newAuthority(t), freePort(t), newRemote(t, answersBack)
	config := func(versions string) string {
		return relaying(addr, fmt.Sprintf(", tls: {certificates: %q%s}", a.certified("server"), versions), "", back.addr)
	}
	r := startRelay(t, config(""))
	for _, c := range []struct {
		versions string
		good     []string
		bad      []string
	}{
		{"", []string{"-tls1_2", "-tls1_3"}, []string{"-tls1_1"}},
		{", min: '1.3'", []string{"-tls1_3"}, []string{"-tls1_2", "-tls1_1"}},
		{", min: '1.2', max: '1.2'", []string{"-tls1_2"}, []string{"-tls1_3", "-tls1_1"}},
	} {
		r.reload(config(c.versions))
		for _, version := range c.good {
			if answer, err := sClient(t, addr, "-CAfile", a.path("ca.pem"), version); answer != "hello\n" {
				t.Errorf("%s, s_client %s: %q, %v", c.versions, version, answer, err)
			}
		}
		for _, version := range c.bad {
			if answer, err := sClient(t, addr, "-CAfile", a.path("ca.pem"), "-cipher", "DEFAULT@SECLEVEL=0", version); err == nil || answer != "" {
				t.Errorf("%s, s_client %s is answered %q", c.versions, version, answer)
			}
		}
	}
	r.session("cause", "hello")
}
