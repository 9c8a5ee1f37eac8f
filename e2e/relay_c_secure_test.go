//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// said is what openssl hears from a server of TLS to which it says text; ok is whether the handshake worked
// and the certificate was good.
func said(t *testing.T, ca *authority, addr, text string, args ...string) (heard string, ok bool) {
	t.Helper()
	testkit.Need(t, "openssl")
	args = append([]string{
		"s_client", "-quiet", "-connect", addr, "-CAfile", ca.path("ca.pem"), "-verify_return_error",
		"-verify_hostname", "localhost", "-servername", "localhost",
	}, args...)
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(in, text) // it may have ended
	got := make([]byte, len(text))
	n, err := io.ReadFull(out, got)
	in.Close()
	_ = cmd.Process.Kill() // has ended already: fine
	_ = cmd.Wait()
	return string(got[:n]), err == nil
}

// testTcprelaySecure is line 40 by its parts.
func testTcprelaySecure(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"files": testCertificateFiles, "wrong files": testWrongFiles, "versions": testVersions, "no TLS": testPlainClient,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// secureTcprelay starts a tcprelay that decrypts at a port; the lines that name its certificate are given.
func secureTcprelay(t *testing.T, how, certificate string) (door string, remote *remote) {
	t.Helper()
	door, remote = freePort(t), newRemote(t, echoes)
	startTcprelay(t, tcprelayFile(tcprelayListen(door, "tls = "+how), certificate+"\n"+tcprelayRemote(remote.addr)))
	return door, remote
}

// below makes an authority that the first one vouches for, and returns the file of its certificate.
func (a *authority) below() (b *authority, path string) {
	a.t.Helper()
	b = newAuthority(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1000), Subject: pkix.Name{CommonName: "sluice e2e, below"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, key := a.sign(template, a.cert, a.key)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	b.cert, b.key = cert, key
	b.write("below.pem", "CERTIFICATE", der)
	b.renew()
	return b, b.path("below.pem")
}

// testCertificateFiles: a chain with an authority in between, the key in the same file or in one of its own,
// as openssl encrypts it in either of its two ways.
func testCertificateFiles(t *testing.T) {
	testkit.Need(t, "openssl")
	ca := newAuthority(t)
	below, between := ca.below()
	chain := put(t, below.path("chain.pem"), readFile(t, below.path("server.pem"))+readFile(t, between))
	key := below.path("server.key")
	both := put(t, below.path("both.pem"), readFile(t, chain)+readFile(t, key))
	const secret = "twelve words"
	modern, old := below.path("modern.key"), below.path("old.key")
	for _, args := range [][]string{
		{"pkcs8", "-topk8", "-in", key, "-out", modern, "-passout", "pass:" + secret},
		{"ec", "-aes256", "-in", key, "-out", old, "-passout", "pass:" + secret},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	for _, c := range []struct{ file, has, lines string }{
		{key, "BEGIN PRIVATE KEY", "tls cert-file = " + chain + "\ntls key-file = " + key},
		{both, "BEGIN PRIVATE KEY", "ssl cert-file = " + both},
		{modern, "BEGIN ENCRYPTED PRIVATE KEY", "tls cert-file = " + chain + "\ntls key-file = " + modern + "\ntls passphrase = '" + secret + "'"},
		{old, "Proc-Type: 4,ENCRYPTED", "tls cert-file = " + chain + "\ntls key-file = " + old + "\ntls passphrase = '" + secret + "'"},
	} {
		if !strings.Contains(readFile(t, c.file), c.has) {
			t.Fatalf("openssl has made another kind of key than %q:\n%s", c.has, readFile(t, c.file))
		}
		door, _ := secureTcprelay(t, "yes", c.lines)
		if heard, ok := said(t, ca, door, "hello\n"); !ok {
			t.Errorf("with\n%s\nit is heard %q", c.lines, heard)
		}
	}
	alone, _ := secureTcprelay(t, "yes", "tls cert-file = "+below.path("server.pem")+"\ntls key-file = "+key)
	if heard, ok := said(t, ca, alone, "hello\n"); ok {
		t.Errorf("without the authority in between openssl is content, and hears %q", heard)
	}
}

// testWrongFiles: with a passphrase or a key that does not fit it does not start, and says why.
func testWrongFiles(t *testing.T) {
	testkit.Need(t, "openssl")
	const secret, guess = "12345", "open-sesame"
	ca := newAuthority(t)
	sample := encryptedKey(t, ca, secret)
	ca.issue("other", "localhost")
	for name, c := range map[string]struct{ lines, says string }{
		"wrong passphrase": {"tls cert-file = " + sample + "\ntls passphrase = " + guess, "passphrase"},
		"no passphrase":    {"tls cert-file = " + sample, "passphrase"},
		"another key":      {"tls cert-file = " + ca.path("server.pem") + "\ntls key-file = " + ca.path("other.key"), "key"},
		"no such file":     {"tls cert-file = " + ca.path("nothing.pem"), "no such file"},
		"no certificate":   {"", "tls without a certificate"},
	} {
		path := put(t, ca.path("t.cfg"), tcprelayFile(tcprelayListen(freePort(t), "tls = yes"), c.lines+"\n"+tcprelayRemote(freePort(t))))
		_, stderr, code := output(program(), "tcprelay", "-f", path)
		if code != 78 || !strings.Contains(stderr, c.says) || !strings.Contains(stderr, path+":") {
			t.Errorf("%s: exit %d, %q; want 78, the place and %q", name, code, stderr, c.says)
		}
		if strings.Contains(stderr, guess) {
			t.Errorf("%s: the passphrase is told: %s", name, stderr)
		}
		t.Logf("%s: %s", name, stderr)
	}
}

// testVersions: those that are named are spoken, and no other.
func testVersions(t *testing.T) {
	ca := newAuthority(t)
	lines := "tls cert-file = " + ca.path("server.pem") + "\ntls key-file = " + ca.path("server.key")
	for how, want := range map[string][2]bool{"yes": {true, true}, "TLSv1.2": {true, false}, "TLSv1.3": {false, true}, "TLSv1.2, TLSv1.3": {true, true}} {
		door, _ := secureTcprelay(t, how, lines)
		for i, version := range []string{"-tls1_2", "-tls1_3"} {
			if heard, ok := said(t, ca, door, "hello\n", version); ok != want[i] {
				t.Errorf("tls = %s: openssl %s works: %v, want %v; it heard %q", how, version, ok, want[i], heard)
			}
		}
		if heard, ok := said(t, ca, door, "hello\n", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"); ok {
			t.Errorf("tls = %s: TLS 1.1 is spoken; openssl heard %q", how, heard)
		}
	}
}

// testPlainClient: who speaks no TLS where it is wanted is closed, and no remote hears of it.
func testPlainClient(t *testing.T) {
	ca := newAuthority(t)
	door, remote := secureTcprelay(t, "yes", "tls cert-file = "+ca.path("server.pem")+"\ntls key-file = "+ca.path("server.key"))
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\xff\xff garbage", "\x00", strings.Repeat("x", 100_000)} {
		c := call(t, door)
		_, _ = io.WriteString(c, text) // it may be closed before all is said
		heard, _ := io.ReadAll(c)      // an end or a reset, when not all was read
		if strings.Contains(string(heard), "GET") || len(heard) > 20 {
			t.Errorf("%.20q is answered with %q", text, heard)
		}
	}
	if n := remote.calls.Load(); n != 0 {
		t.Errorf("the remote was called %d times", n)
	}
	if _, ok := said(t, ca, door, "hello\n"); !ok {
		t.Error("TLS is not spoken any more")
	}
}

// begun is a connection at which the first byte was said already.
type begun struct {
	net.Conn
	on bool
}

func (b *begun) Write(p []byte) (int, error) {
	if b.on || len(p) == 0 {
		return b.Conn.Write(p)
	}
	b.on = true
	n, err := b.Conn.Write(p[1:])
	return n + 1, err
}

// testTcprelayAuto: one port is for clients with TLS and for those without it, also for those that wait
// for the server to begin.
func testTcprelayAuto(t *testing.T) {
	ca, door, greets := newAuthority(t), freePort(t), newRemote(t, echoesAs("220 hello"))
	startTcprelay(t, tcprelayFile(tcprelayListen(door, "tls = auto"),
		"tls cert-file = "+ca.path("server.pem")+"\ntls key-file = "+ca.path("server.key")+"\n"+tcprelayRemote(greets.addr)))
	secure := tls.Client(call(t, door), &tls.Config{RootCAs: ca.pool(), ServerName: "localhost"})
	eager, waits := call(t, door), call(t, door)
	slow := call(t, door) // what begins like a handshake is waited for, longer than for who says nothing
	says(t, slow, "\x16")
	says(t, eager, "GET / HTTP/1.1\r\n")
	hears(t, eager, "220 hello\nGET / HTTP/1.1\r\n")
	for _, c := range []net.Conn{secure, waits} {
		hears(t, c, "220 hello\n")
		says(t, c, "to and fro")
		hears(t, c, "to and fro")
	}
	if heard, _ := said(t, ca, door, "220 hello\n"); heard != "220 hello\n" {
		t.Errorf("openssl hears %q", heard)
	}
	late := tls.Client(&begun{Conn: slow}, &tls.Config{RootCAs: ca.pool(), ServerName: "localhost"})
	hears(t, late, "220 hello\n")
	if block, _ := pem.Decode([]byte(readFile(t, ca.path("server.pem")))); block == nil || len(secure.ConnectionState().PeerCertificates) != 1 {
		t.Error("the certificate is another one")
	}
}
