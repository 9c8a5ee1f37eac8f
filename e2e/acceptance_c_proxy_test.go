//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// Addresses in the test of proxies: two of haproxy, of which one is trusted, and clients
// that may watch, from 127.0.1.1 on, and that may not, from 127.0.2.1 on.
const (
	trustedProxy = "127.0.0.9"
	strangeProxy = "127.0.0.10"
)

// testTrustedProxies: of a trusted proxy it is believed for whom it asks, of others not; it
// is that client for which lists and limits hold, and which the logs and reports name.
func testTrustedProxies(t *testing.T) {
	ca := newAuthority(t)
	access, config := accessLog(t)
	p := run(t, settings{tls: ca, config: config + "no_data: 1h\nlimits: {per_address: 2}\n" +
		"allow: [127.0.1.0/24, " + strangeProxy + "]\ntrusted_proxies: [" + trustedProxy + "]\n"})
	h := startHAProxy(t, p)
	group := newGroup()
	sendNumbers(t, group, "1M")
	path := "/udp/" + group
	for i, front := range []string{"v1", "v2", "forwarded"} {
		t.Run(front, func(t *testing.T) {
			own := fmt.Sprintf("127.0.1.%d", i+1)
			k, err := knock(h.at(t, front), path, own)
			if err != nil {
				t.Fatal(err)
			}
			k.read(t)
			goesOn(groupPackets, k)
			believed(t, p, access, own)
			if front != "forwarded" { // PROXY tells the port, too
				if _, err := clientOf(p.status(), k.addr); err != nil {
					t.Error(err)
				}
			}
			second, err := knock(h.at(t, front), path, own)
			if err != nil {
				t.Fatal(err)
			}
			defer second.conn.Close()
			_, err = knock(h.at(t, front), path, own)
			if !refused(t, err) {
				t.Errorf("a third client of %s was let in", own)
			}
			forbidden(t, h.at(t, front), path, fmt.Sprintf("127.0.2.%d", i+1))
			logged(t, access, fmt.Sprintf(`^127\.0\.2\.%d .* 403 .*event=client_deny`, i+1))
		})
	}
	t.Run("v2 before TLS", func(t *testing.T) { testProxyBeforeTLS(t, p, h, ca, access, path) })
	t.Run("nothing is believed of others", func(t *testing.T) {
		k, err := knock(h.at(t, "strange forwarded"), path, "127.0.1.7")
		if err != nil {
			t.Fatal(err)
		}
		defer k.conn.Close()
		believed(t, p, access, strangeProxy)
		if got := exchangeFrom(t, "127.0.1.8", h.fronts["strange v1"], "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.Contains(got, " 400 ") {
			t.Errorf("a PROXY header that is not believed: %q, want 400", got)
		}
		for _, c := range []struct{ from, told, code string }{
			{"127.0.2.8", "127.0.1.8", "403"},
			{"127.0.2.8", "127.0.1.8, " + trustedProxy, "403"},
			{trustedProxy, "127.0.1.8, 127.0.2.8", "403"}, // the proxy's word is the last one
			{trustedProxy, "nonsense", "403"},
			{trustedProxy, "127.0.1.8", "404"},
		} {
			text := "GET /nothing HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + c.told + "\r\n\r\n"
			if got := exchangeFrom(t, c.from, p.user, text); !strings.HasPrefix(got, "HTTP/1.1 "+c.code) {
				t.Errorf("%s, which tells of %s: %q, want %s", c.from, c.told, got, c.code)
			}
		}
		for _, header := range []string{"PROXY TCP4 127.0.1.8\r\n", "PROXY TCP4 127.0.1.8 127.0.0.1 70000 1\r\n", "\r\n\r\n\x00\r\nQUIT\n\x11"} {
			if got := exchangeFrom(t, trustedProxy, p.user, header+"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"); got != "" {
				t.Errorf("the broken header %q was answered with %q", header, got)
			}
		}
		p.proc.WaitLine(`PROXY header from ` + trustedProxy)
	})
	if found := ofTheProxy.FindString(readFile(t, access)); found != "" {
		t.Errorf("the access log has the proxy for a client: %s", found)
	}
}

var ofTheProxy = regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(trustedProxy) + ` .*event=client_open.*$`)

// believed waits until a client of that address is in the access log and in the report.
func believed(t *testing.T, p *product, access, addr string) {
	t.Helper()
	logged(t, access, `^`+strings.ReplaceAll(addr, ".", `\.`)+` .*event=client_open .*client="TCP://`+addr+`:`)
	p.eventually(func(st report.Status) error {
		for _, e := range st.Engines {
			for _, ch := range e.Channels {
				for _, c := range ch.Clients {
					if strings.HasPrefix(c.Tag, "TCP://"+addr+":") {
						return nil
					}
				}
			}
		}
		return fmt.Errorf("no client of %s in the report", addr)
	})
}

// forbidden wants a client of that address to get 403.
func forbidden(t *testing.T, p *product, path, from string) {
	t.Helper()
	var a errAnswer
	if _, err := knock(p, path, from); !errors.As(err, &a) || a.code != http.StatusForbidden {
		t.Errorf("%s: %v, want 403", from, err)
	}
}

// testProxyBeforeTLS: the header stands before the handshake.
func testProxyBeforeTLS(t *testing.T, p *product, h *haproxy, ca *authority, access, path string) {
	for from, code := range map[string]int{"127.0.1.20": 200, "127.0.2.20": 403} {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		transport := &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", h.fronts["secure v2"])
			},
		}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.secureURL(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != code || resp.ProtoMajor != 2 {
			t.Errorf("%s over TLS: %s, %s, want %d in HTTP/2", from, resp.Proto, resp.Status, code)
		}
		if code == 200 {
			believed(t, p, access, from)
		}
	}
}

// exchangeFrom is exchange for a client of that address.
func exchangeFrom(t *testing.T, from, addr, text string) string {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: testkit.Patience}).Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte(text)) // who is refused at the beginning may be cut off by then
	_ = c.(*net.TCPConn).CloseWrite()
	got := &catch{}
	_ = got.take(c) // a reset is an end, too
	b, _, _ := got.now()
	return string(b)
}

// haproxy stands before a product with several ports, each of its own kind.
type haproxy struct{ fronts map[string]string } // addresses by name

func startHAProxy(t *testing.T, p *product) *haproxy {
	t.Helper()
	testkit.Need(t, "haproxy")
	h := &haproxy{fronts: map[string]string{}}
	var config strings.Builder
	config.WriteString("defaults\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n")
	for _, f := range []struct{ name, mode, server string }{
		{"v1", "tcp", p.user + " send-proxy source " + trustedProxy},
		{"v2", "tcp", p.user + " send-proxy-v2 source " + trustedProxy},
		{"secure v2", "tcp", p.secure + " send-proxy-v2 source " + trustedProxy},
		{"forwarded", "http\n option forwardfor", p.user + " source " + trustedProxy},
		{"strange v1", "tcp", p.user + " send-proxy source " + strangeProxy},
		{"strange forwarded", "http\n option forwardfor", p.user + " source " + strangeProxy},
	} {
		h.fronts[f.name] = freePort(t)
		fmt.Fprintf(&config, "listen %s\n mode %s\n bind %s\n server sluice %s\n", strings.ReplaceAll(f.name, " ", "-"), f.mode, h.fronts[f.name], f.server)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.Start(t, "haproxy", "-db", "-f", file)
	for _, addr := range h.fronts {
		testkit.Eventually(t, func() error {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	return h
}

// at is the product as it is reached by way of one of the ports.
func (h *haproxy) at(t *testing.T, front string) *product {
	return &product{t: t, user: h.fronts[front]}
}
