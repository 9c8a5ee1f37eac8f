package origin

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLimits: connections beyond maxc and maxp get 503, or nothing; a place is free at once (51).
func TestLimits(t *testing.T) {
	for name, conf := range map[string]Config{
		"maxc": {MaxConns: 2}, "maxp": {MaxPerPeer: 2}, "closed": {MaxConns: 2, CloseLimit: true},
	} {
		t.Run(name, func(t *testing.T) {
			conf.Read = []Mount{mountOf(t, "", dir(t, map[string]string{"a": "x"}))}
			r := start(t, conf, nil)
			one, two, three := r.dial(), r.dial(), r.dial()
			for _, c := range []*client{one, two} {
				if res, _ := c.ask("GET /a"); res.StatusCode != 200 {
					t.Fatalf("%d", res.StatusCode)
				}
			}
			if conf.CloseLimit {
				if got := three.closed(); got != "" {
					t.Errorf("%q", got)
				}
			} else {
				res, _ := three.ask("GET /a", "Origin: http://o")
				h := res.Header
				if res.StatusCode != 503 || h.Get("Retry-After") == "" || !res.Close || h.Get("Access-Control-Allow-Origin") == "" {
					t.Errorf("%d %v", res.StatusCode, h)
				}
				if rest := three.closed(); rest != "" {
					t.Errorf("%q after the answer", rest)
				}
			}
			if st := r.Status(); st.Connections != 2 || st.Refused != 1 {
				t.Errorf("%+v", st)
			}
			why := map[string]string{"maxc": "maxc permits, 2", "maxp": "of its address as maxp permits, 2", "closed": "maxc permits, 2"}[name]
			if log := r.log(); !strings.Contains(log, "connection refused") || !strings.Contains(log, why) {
				t.Errorf("%q is not in %s", why, log)
			}
			one.Close()
			eventually(t, "200", func() string {
				c := r.dial()
				defer c.Close()
				fmt.Fprintf(c, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				b, _ := io.ReadAll(c)
				return strings.TrimSpace(strings.TrimPrefix(string(b[:min(len(b), 13)]), "HTTP/1.1 "))
			})
			if c := dial(t, "unix", r.local); conf.MaxConns > 0 { // of gws: never counted
				res, _ := c.ask("GET /a", "X-Forwarded-For: 192.0.2.9")
				if res.StatusCode != 200 {
					t.Errorf("by way of gws: %d", res.StatusCode)
				}
			}
		})
	}
}

// TestProxiesAndPeers: a connection counts for the client that a proxy names in a PROXY header; who speaks for many in X-Forwarded-For
// counts for none.
func TestProxiesAndPeers(t *testing.T) {
	conf := Config{Read: []Mount{memory(t)}, MaxPerPeer: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Log: RequestLog{All: true}}
	r := start(t, conf, nil)
	from := func(line string) *client {
		c := r.dial()
		io.WriteString(c, line)
		return c
	}
	one, other, plain, plain2 := from("PROXY TCP4 192.0.2.1 192.0.2.9 1 80\r\n"), from("PROXY TCP4 192.0.2.2 192.0.2.9 1 80\r\n"), r.dial(), r.dial()
	for _, c := range []*client{one, other, plain, plain2} {
		if res, _ := c.ask("GET /a"); res.StatusCode != 404 {
			t.Errorf("%d", res.StatusCode)
		}
	}
	if res, _ := from("PROXY TCP4 192.0.2.1 192.0.2.9 2 80\r\n").ask("GET /a"); res.StatusCode != 503 {
		t.Errorf("a second one of the same client: %d", res.StatusCode)
	}
	plain.ask("GET /b", "X-Forwarded-For: 198.51.100.7")
	dial(t, "unix", r.local).ask("GET /c", "X-Forwarded-For: 198.51.100.8:77")
	dial(t, "unix", r.local).ask("GET /d")
	for _, want := range []string{"192.0.2.1 GET /a start", "198.51.100.7 GET /b start", "198.51.100.8 GET /c start", "127.0.0.1 GET /d start"} {
		if !strings.Contains(r.logged(), want) {
			t.Errorf("%q is not in\n%s", want, r.logged())
		}
	}
}

// TestConsecutiveErrors: the Nth in a row ends an HTTP/1 connection (52).
func TestConsecutiveErrors(t *testing.T) {
	r := start(t, Config{Read: []Mount{mountOf(t, "", dir(t, map[string]string{"a": "x"}))}, MaxErrors: 3}, nil)
	c := r.dial()
	for i, path := range []string{"/no", "/no", "/a", "/no", "/no", "/no"} {
		res, _ := c.ask("GET " + path)
		if res.Close != (i == 5) {
			t.Errorf("request %d: %v", i, res.Header)
		}
	}
	if rest := c.closed(); rest != "" {
		t.Errorf("%q", rest)
	}
}

// TestCloseAndIdle: close=true (54); an idle connection is closed by and by (53).
func TestCloseAndIdle(t *testing.T) {
	m := mountOf(t, "", dir(t, map[string]string{"a": "x"}))
	r := start(t, Config{Read: []Mount{m}, Close: true}, nil)
	for _, path := range []string{"/a", "/none"} {
		c := r.dial()
		if res, _ := c.ask("GET " + path); !res.Close || res.Header.Get("Keep-Alive") != "" {
			t.Errorf("%v", res.Header)
		}
		c.closed()
	}
	r = start(t, Config{Read: []Mount{m}, Idle: 10 * time.Millisecond}, nil)
	c := r.dial()
	if res, _ := c.ask("GET /a"); res.Header.Get("Connection") != "keep-alive" {
		t.Errorf("%v", res.Header)
	}
	c.closed()
	r = start(t, Config{Read: []Mount{m}}, nil)
	c = r.dial()
	if res, _ := c.ask("GET /a"); res.Header.Get("Keep-Alive") != "" || res.Header.Get("Connection") != "keep-alive" {
		t.Errorf("0 is never: %v", res.Header)
	}
	if res, _ := c.ask("GET /a"); res.StatusCode != 200 {
		t.Errorf("%d", res.StatusCode)
	}
}

// TestActiveReadersAreNotIdle: who waits for more of a growing object longer than the idle time stays.
func TestActiveReadersAreNotIdle(t *testing.T) {
	m := memory(t)
	r := start(t, Config{Read: []Mount{m}, Idle: time.Millisecond, Take: 5 * time.Millisecond}, nil)
	up := begin(t, m.Store, "seg.m4s")
	io.WriteString(up, "1")
	c := r.dial().say("GET /seg.m4s")
	res := c.hear("GET")
	io.ReadFull(res.Body, make([]byte, 1))
	idle := r.dial() // one that is idle: when it is closed the time of the other is over as well
	idle.ask("GET /none")
	idle.closed()
	io.WriteString(up, "2")
	up.End()
	if b, err := io.ReadAll(res.Body); string(b) != "2" || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

// TestWhoTakesNothing: a client that stops reading is ended, of a file, of a growing object and of HTTP/2; one that reads slowly gets all.
func TestWhoTakesNothing(t *testing.T) {
	const size = 32 << 20
	content := make([]byte, size)
	rand.Read(content)
	root := dir(t, nil)
	if err := os.WriteFile(filepath.Join(root, "big"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	disk, mem := mountOf(t, "disk", root), memory(t)
	mem.Name = "mem"
	up := begin(t, mem.Store, "big")
	up.Write(content)
	r := start(t, Config{Read: []Mount{disk, mem}, Take: 50 * time.Millisecond, Log: RequestLog{All: true}}, nil)
	for _, path := range []string{"/disk/big", "/mem/big"} {
		c := r.dial()
		c.say("GET " + path).hear("GET")
		eventually(t, "0", func() string { return fmt.Sprint(r.Status().Active) })
		c.Close()
	}
	up.End()

	res, err := r.h2().Get("http://" + r.addr + "/disk/big")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "0", func() string { return fmt.Sprint(r.Status().Active) })
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("HTTP/2: the answer ended in order")
	}
	res.Body.Close()
}
