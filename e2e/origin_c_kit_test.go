//go:build e2e && linux

package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// wire is a connection of HTTP/1.1 that is spoken by hand.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// wireTo connects; from is an address of this machine, "" = any.
func wireTo(t *testing.T, addr, from string) *wire {
	t.Helper()
	d := net.Dialer{}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return wireOn(t, c)
}

// secureWire connects over TLS and returns the serial number of the certificate.
func secureWire(t *testing.T, ca *authority, addr string) (w *wire, serial int64) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	return wireOn(t, c), c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func wireOn(t *testing.T, c net.Conn) *wire {
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(lifetime))
	return &wire{t, c, bufio.NewReader(c)}
}

// says sends a request: its method and target, and lines of its head.
func (w *wire) says(request string, lines ...string) {
	w.t.Helper()
	if _, err := io.WriteString(w, spelled(request, lines...)); err != nil {
		w.t.Fatalf("%s: %v", request, err)
	}
}

func spelled(request string, lines ...string) string {
	head := request + " HTTP/1.1\r\nHost: origin\r\n"
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head + "\r\n"
}

// ask is says, and reads the answer.
func (w *wire) ask(request string, lines ...string) reply {
	w.t.Helper()
	w.says(request, lines...)
	return w.hears(request)
}

// hears reads the answer to a request.
func (w *wire) hears(request string) reply {
	w.t.Helper()
	method, target, _ := strings.Cut(request, " ")
	req, err := http.NewRequest(method, "http://origin/", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL.Path = target
	resp, err := http.ReadResponse(w.r, req)
	if err != nil {
		w.t.Fatalf("%s: %v", request, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s: %v", request, err)
	}
	return reply{resp, string(body)}
}

// wants is ask with the status that is wanted.
func (w *wire) wants(status int, request string, lines ...string) reply {
	w.t.Helper()
	a := w.ask(request, lines...)
	if a.StatusCode != status {
		w.t.Fatalf("%s: %s %q, want %d", request, a.Status, a.body, status)
	}
	return a
}

// ends wants the other side to close, without another word.
func (w *wire) ends() {
	w.t.Helper()
	if n, err := w.r.Read(make([]byte, 1)); n > 0 || err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		w.t.Fatalf("%d bytes and %v; want the connection closed", n, err)
	}
}

// curls runs curl and returns what it writes.
func curls(t *testing.T, args ...string) string {
	t.Helper()
	testkit.Need(t, "curl")
	cmd := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--globoff", "--max-time", "60"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("curl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// startsNot runs a `sluice origin` that is not to start, and returns what it says.
func startsNot(t *testing.T, args ...string) string {
	t.Helper()
	p := testkit.Start(t, program(), append([]string{"origin", "--run-dir", shortDir(t)}, args...)...)
	if err := p.Wait(); err == nil {
		t.Errorf("sluice origin %s: exit 0, want that it does not start", strings.Join(args, " "))
	}
	t.Logf("sluice origin %s: %s", strings.Join(args, " "), p.Output())
	return p.Output()
}

// reread has the origin read its configuration again, and waits for the line that says whether it has.
func (o *originRun) reread(line *regexp.Regexp) {
	o.t.Helper()
	before := len(line.FindAllString(o.proc.Output(), -1))
	o.proc.Signal(syscall.SIGHUP)
	testkit.Eventually(o.t, func() error {
		if len(line.FindAllString(o.proc.Output(), -1)) == before {
			return fmt.Errorf("no line like %s after HUP", line)
		}
		return nil
	})
}
