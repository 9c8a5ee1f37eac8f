//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// testOriginTLS: HTTP and TLS in one process, HTTP/2 by ALPN, no version of TLS before 1.2; a certificate wants its key.
func testOriginTLS(t *testing.T) {
	testkit.Need(t, "openssl")
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.path("server.pem"), ca.path("server.key")
	put(t, filepath.Join(dir, "a.txt"), "a file")
	plain, secure := freePort(t), freePort(t)
	_, plainPort, _ := net.SplitHostPort(plain)
	_, securePort, _ := net.SplitHostPort(secure)
	o := startOriginAt(t, plain, "--ifce", "127.0.0.1", "--port", plainPort+","+securePort, "--cert", cert, "--pkey", key, dir)
	o.get("/a.txt", 200)
	for flag, version := range map[string]string{"--http1.1": "1.1", "--http2": "2"} {
		if got := curls(t, flag, "--cacert", ca.path("ca.pem"), "-w", " %{http_version} %{http_code}", "https://"+secure+"/a.txt"); got != "a file "+version+" 200" {
			t.Errorf("curl %s: %q", flag, got)
		}
	}
	for alpn, want := range map[string]string{"h2,http/1.1": "h2", "http/1.1": "http/1.1"} {
		c, err := tls.Dial("tcp", secure, &tls.Config{RootCAs: ca.pool(), ServerName: "localhost", NextProtos: strings.Split(alpn, ","), MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("of %s it chooses %q", alpn, got)
		}
		c.Close()
	}
	for version, ok := range map[string]bool{"-tls1_1": false, "-tls1_2": true, "-tls1_3": true} {
		out, err := sClient(t, secure, version, "-cipher", "DEFAULT@SECLEVEL=0", "-CAfile", ca.path("ca.pem"), "-verify_hostname", "localhost")
		if (err == nil) != ok || strings.HasPrefix(out, "HTTP/1.1 400") != ok {
			t.Errorf("openssl %s: %v, %q", version, err, out)
		}
	}
	if got := exchange(t, secure, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 400") {
		t.Errorf("who speaks no TLS at its port gets %q", got)
	}
	for says, args := range map[string][]string{
		"pkey":            {"--cert", cert},
		"cert":            {"--pkey", key},
		"--cert":          {"--port", plainPort + "," + securePort},
		"no such file":    {"--cert", cert + ".no", "--pkey", key},
		"does not match":  {"--cert", cert, "--pkey", newAuthority(t).path("server.key")},
		"certificate PEM": {"--cert", key, "--pkey", key},
		"--cert and --pk": {"--dst", "https://localhost:" + securePort + "/"},
	} {
		if said := startsNot(t, append(args, dir)...); !strings.Contains(said, says) {
			t.Errorf("%v: %q; want something of %q", args, said, says)
		}
	}
}

// testH2C: HTTP/2 without TLS, of who knows that it is spoken here; curl and h2load do.
func testH2C(t *testing.T) {
	testkit.Need(t, "h2load")
	o, _ := startOriginDir(t, "--maxp", "0")
	o.put("/a.txt", strings.Repeat("a file ", 10_000), 201)
	head := curls(t, "--http2-prior-knowledge", "-D", "-", "-o", "/dev/null", o.url+"/a.txt")
	if !strings.HasPrefix(head, "HTTP/2 200") || regexp.MustCompile(`(?im)^(connection|keep-alive|transfer-encoding):`).MatchString(head) {
		t.Errorf("curl over h2c hears\n%s", head)
	}
	for path, status := range map[string]string{"/no": "404", "/": "403"} {
		if head := curls(t, "--http2-prior-knowledge", "-D", "-", "-o", "/dev/null", o.url+path); !strings.HasPrefix(head, "HTTP/2 "+status) ||
			regexp.MustCompile(`(?im)^(connection|keep-alive):`).MatchString(head) {
			t.Errorf("curl over h2c hears\n%s", head)
		}
	}
	head = curls(t, "--http1.1", "-D", "-", "-o", "/dev/null", o.url+"/a.txt")
	if !regexp.MustCompile(`(?im)^connection: keep-alive\r$`).MatchString(head) || !regexp.MustCompile(`(?im)^keep-alive: timeout=30\r$`).MatchString(head) {
		t.Errorf("curl over HTTP/1.1 hears\n%s", head)
	}
	const requests = 2000
	for _, flags := range [][]string{{"-m", "20"}, {"--h1"}} { // without --h1 it is HTTP/2, prior knowledge
		args := append(flags, "-n", fmt.Sprint(requests), "-c", "8", "-t", "1", o.url+"/a.txt")
		out, err := exec.CommandContext(t.Context(), "h2load", args...).CombinedOutput()
		want := fmt.Sprintf("requests: %d total, %d started, %d done, %d succeeded, 0 failed, 0 errored, 0 timeout", requests, requests, requests, requests)
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("h2load %v: %v\n%s", args, err, out)
		}
	}
}

// testTwoRoutes: two outputs at one host and port are two channels of one origin, and of one listener.
func testTwoRoutes(t *testing.T) {
	one, two := h264.file(t), radio.file(t)
	addr := freePort(t)
	o := startOriginAt(t, addr, "--ifce", "127.0.0.1", "-i", one, "--dst", "http://"+addr+"/one.ts", "-i", two, "--dst", "http://"+addr+"/radio/two.ts")
	o.proc.WaitLine(`msg="engine attached"`)
	for path, file := range map[string]string{"/one.ts": one, "/radio/two.ts": two} {
		a := o.get(path, 200)
		a.has(t, "Content-Type", "video/mp2t")
		if want := readFile(t, file); a.body != want {
			t.Errorf("%s has %d bytes, the file %d; or others", path, len(a.body), len(want))
		}
	}
	o.get("/three.ts", 404)
	other := freePort(t)
	if said := startsNot(t, "-i", one, "--dst", "http://"+addr+"/one.ts", "-i", two, "--dst", "http://"+other+"/two.ts"); !strings.Contains(said, "one origin has one") {
		t.Errorf("two ports: %s", said)
	}
	if said := startsNot(t, "-i", one, "--dst", "http://"+addr+"/one.ts", "-i", two, "--dst", "http://"+addr+"/one.ts"); !strings.Contains(said, "/one.ts") {
		t.Errorf("one path twice: %s", said)
	}
}
