//go:build e2e

package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/media/ts"
	"sluice/internal/testkit"
)

// testSecureDoors: streams and reports over TLS, in HTTP/1.1 and HTTP/2, to real clients.
func testSecureDoors(t *testing.T) {
	ca := newAuthority(t)
	access, config := accessLog(t)
	p := run(t, settings{config: config + "no_data: 1h\n", tls: ca})
	group := newGroup()
	send(t, h264, "udp", group)
	watch(t, p.url("/udp/"+group)).untilStart()
	url := p.secureURL("/udp/" + group)
	t.Run("clients", func(t *testing.T) {
		for name, read := range map[string]func(*testing.T){
			"curl HTTP/1.1": func(t *testing.T) {
				readByPipe(t, h264, url, "curl -sS -A one --http1.1 --cacert "+ca.path("ca.pem"))
				logged(t, access, `"GET /udp/`+group+` HTTP/1\.1" 200 .* "one" event=client_close listener="secure"`)
			},
			"curl HTTP/2": func(t *testing.T) {
				readByPipe(t, h264, url, "curl -sS -A two --http2 --cacert "+ca.path("ca.pem"))
				logged(t, access, `"GET /udp/`+group+` HTTP/2\.0" 200 .* "two" event=client_close listener="secure"`)
			},
			"ffmpeg":   func(t *testing.T) { firstPictureOver(t, ca, url) },
			"Chromium": func(t *testing.T) { testChromium(t, p, url, access) },
			"plain":    func(t *testing.T) { readByPipe(t, h264, p.url("/udp/"+group), "curl -sS") },
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); read(t) })
		}
	})
	t.Run("answers", func(t *testing.T) { testSecureAnswers(t, p, ca) })
	t.Run("certificates", func(t *testing.T) { testCertificates(t, p, ca) })
}

// secureURL is the URL of something at the user port over TLS.
func (p *product) secureURL(path string) string { return "https://" + p.secure + path }

// firstPictureOver is firstPicture over TLS, with the certificate verified.
func firstPictureOver(t *testing.T, ca *authority, url string) {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-tls_verify", "1", "-ca_file", ca.path("ca.pem"), "-i", url, "-frames", "1", "-f", "null", "-")
	if msg, err := cmd.CombinedOutput(); err != nil || len(msg) != 0 {
		t.Errorf("ffmpeg: %v\n%s", err, msg)
	}
}

// testSecureAnswers: errors, HEAD and the admin port in both versions of HTTP, as curl sees
// them; without trust there is nothing.
func testSecureAnswers(t *testing.T, p *product, ca *authority) {
	for _, version := range []struct{ flag, number string }{{"--http1.1", "1.1"}, {"--http2", "2"}} {
		for _, c := range []struct {
			url  string
			args []string
			code string
		}{
			{p.secureURL("/udp/" + newGroup()), []string{"-I"}, "200"},
			{p.secureURL("/udp/nonsense"), nil, "400"},
			{p.secureURL("/nothing"), nil, "404"},
			{p.secureURL("/udp/" + newGroup()), []string{"-X", "POST"}, "405"},
			{p.secureURL("/ping"), nil, "404"},
			{p.adminURL("/ping"), nil, "200"},
			{p.adminURL("/report?format=xml"), nil, "200"},
		} {
			args := append([]string{"-sS", version.flag, "--cacert", ca.path("ca.pem"), "-o", "/dev/null", "-w", "%{http_version} %{http_code}", c.url}, c.args...)
			out, err := exec.Command("curl", args...).CombinedOutput()
			if want := version.number + " " + c.code; err != nil || string(out) != want {
				t.Errorf("curl %s %s %v: %q, %v, want %q", version.flag, c.url, c.args, out, err, want)
			}
		}
	}
	if _, err := http.Get(p.secureURL("/")); err == nil {
		t.Error("a client that does not trust the authority got an answer")
	}
}

// chromiumPage fetches a URL several times at once, which over HTTP/1.1 no browser does so
// often, and reports what came.
const chromiumPage = `<!doctype html><script>
async function take(url, bytes) {
	const reader = (await fetch(url)).body.getReader();
	let n = 0, wrong = 0;
	while (n < bytes) {
		const part = await reader.read();
		if (part.done) throw new Error("ended after " + n + " bytes");
		for (const b of part.value) if (n++ %% 188 == 0 && b != 0x47) wrong++;
	}
	return { reader, wrong };
}
(async () => {
	let said;
	try {
		const all = await Promise.all(Array(%d).fill().map(() => take(%q, %d)));
		said = { streams: all.length, wrong: all.reduce((sum, s) => sum + s.wrong, 0) };
		for (const s of all) await s.reader.cancel();
	} catch (e) { said = { error: String(e) }; }
	await fetch("/said", { method: "POST", body: JSON.stringify(said) });
})();
</script>`

// testChromium: scripts in a browser read streams over HTTP/2, more at once than HTTP/1.1
// permits.
func testChromium(t *testing.T, p *product, url, access string) {
	const streams = 8
	var found struct {
		Streams, Wrong int
		Error          string
	}
	chromiumSays(t, fmt.Sprintf(chromiumPage, streams, url, 200*ts.PacketSize), &found)
	if found.Streams != streams || found.Wrong != 0 || found.Error != "" {
		t.Errorf("Chromium reports %+v, want %d streams of whole packets", found, streams)
	}
	group := url[strings.LastIndexByte(url, '/')+1:]
	logged(t, access, `"GET /udp/`+group+` HTTP/2\.0" 200 .*Chrome.* event=client_close listener="secure"`)
}

// testCertificates: a new certificate is in use as soon as its files are there, one that is
// of no use is not, and streams go on through it all.
func testCertificates(t *testing.T, p *product, ca *authority) {
	f := newFeed(t, p)
	f.first(f.path())
	stream := &catch{}
	resp, err := p.web.Get(p.secureURL(f.path()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("answered in %s, want HTTP/2", resp.Proto)
	}
	go func() { _ = stream.take(resp.Body) }()
	serials := func(want int64) {
		t.Helper()
		for _, addr := range []string{p.secure, p.admin} {
			testkit.Eventually(t, func() error {
				c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12})
				if err != nil {
					t.Fatalf("%s: %v", addr, err) // nobody is turned away meanwhile
				}
				defer c.Close()
				if got := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != want {
					return fmt.Errorf("%s has certificate %d, want %d", addr, got, want)
				}
				return nil
			})
		}
	}
	first := ca.last
	serials(first)
	f.more(1)
	if err := errors.Join(os.Rename(ca.path("server.key"), ca.path("old.key")), os.WriteFile(ca.path("server.key"), []byte("nonsense"), 0o600)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error {
		serials(first)
		if !strings.Contains(p.proc.Output(), "certificate not read again: the one before stays") {
			return errors.New("a key that is of no use is not told of")
		}
		return nil
	})
	f.more(1)
	serials(ca.renew())
	p.proc.WaitLine(`certificate read again.*server\.pem`)
	f.more(1)
	stream.gets(t, f.sent)
}
