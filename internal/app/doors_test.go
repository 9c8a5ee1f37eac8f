package app

import (
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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// makeCertificate writes a new certificate of localhost and its key, and returns who may
// vouch for it.
func makeCertificate(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<37, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, cert, string(chain))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	return pool
}

// Acceptance 121 and 125: several doors, each with its alias, over IPv4 and IPv6, with TLS
// and without; the certificate is that of its files, also when they change.
func TestAcceptance121Doors(t *testing.T) {
	dir := t.TempDir()
	own := func(name string) string { return filepath.Join(dir, name) }
	old := makeCertificate(t, own("cert"), own("key"))
	write(t, own("sluice.yaml"), fmt.Sprintf(`
listen: [plain=127.0.0.1:0, "secure=https://[::1]:0", "127.0.0.1:0"]
admin: "https://[::1]:0"
tls: {certificate: %s, key: %s}
engines: 1
channels: {news: {source: 'tcp://%s', start: live}}
access_log: {file: %s}
trusted_proxies: [::1]
`, own("cert"), own("key"), packets(t), own("access.log")))
	p := sluice(t, "run", "-C", own("sluice.yaml"), "--run-dir", runDirOf(t))
	doors := p.WaitLine(`ready role=gws listen=(http://127\.0\.0\.1:\d+),(https://\[::1\]:\d+),(http://127\.0\.0\.1:\d+) admin=(https://\[::1\]:\d+)`)
	p.WaitLine(`engine attached`)

	client := clientOf(t, old)
	for i, want := range map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0", 3: "HTTP/1.1", 4: "HTTP/2.0"} {
		path := "/$news"
		if i == 4 {
			path = "/ping"
		}
		resp, err := client.Get(doors[i] + path)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || resp.Proto != want {
			t.Errorf("%s: %s over %s, want 200 over %s", doors[i], resp.Status, resp.Proto, want)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
			t.Errorf("%s: %v", doors[i], err)
		}
		resp.Body.Close()
	}
	client.CloseIdleConnections()
	log := testLog(t, own("access.log"))
	log.wait(`(?m)^127\.0\.0\.1 .*event=client_open .*listener="plain"`)
	log.wait(`(?m)^::1 .*event=client_open .*listener="secure"`)

	// A proxy that is trusted may speak first, also before TLS and at the admin port.
	for i, path := range map[int]string{2: "/$gone", 4: "/ping"} {
		byProxy(t, strings.TrimPrefix(doors[i], "https://"), path, old)
	}
	log.wait(`(?m)^192\.0\.2\.7 .*/\$gone`)

	renewed := makeCertificate(t, own("cert"), own("key"))
	testkit.Eventually(t, func() error {
		client := clientOf(t, renewed)
		defer client.CloseIdleConnections()
		resp, err := client.Get(doors[4] + "/ping")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	p.WaitLine(`certificate read again`)
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func clientOf(t *testing.T, roots *x509.CertPool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// byProxy asks by way of a proxy that speaks for another address, over TLS.
func byProxy(t *testing.T, addr, path string, roots *x509.CertPool) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n")
	secure := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	fmt.Fprintf(secure, "GET %s HTTP/1.0\r\n\r\n", path)
	answer, err := io.ReadAll(secure)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 ") {
		t.Errorf("%s%s: %q, %v", addr, path, answer, err)
	}
}

// Without a certificate that can be read nothing is started.
func TestDoorsWithoutCertificate(t *testing.T) {
	dir, file := moduleDir(t, "tls: {certificate: /none/cert, key: /none/key}\n")
	for _, role := range []string{roleRun, roleGWS} {
		args := []string{role, "-C", file, "--run-dir", filepath.Join(dir, "run"), "--listen", "https://127.0.0.1:0"}
		if role == roleGWS {
			args = append(args, "-T")
		}
		code, said := once(t, args...)
		if code != 1 || !strings.Contains(said, "certificate /none/cert with key /none/key: open /none/cert: no such file") {
			t.Errorf("%s: exit %d, %s", role, code, said)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "run")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
