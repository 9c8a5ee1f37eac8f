//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// Peers of sessions: what a stream comes from and what it goes to, and what came.

// madeUp is the beginning of the made-up channel: so many groups.
func madeUp(groups int) (b []byte) {
	for n := range groups * groupPackets {
		b = appendNumbered(b, n)
	}
	return b
}

// catch is what came to a target.
type catch struct {
	mu    sync.Mutex // guards the following
	b     []byte
	ended bool
	err   error // how it ended; nil is an end in order
}

// Write implements io.Writer.
func (c *catch) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b = append(c.b, b...)
	return len(b), nil
}

// take reads r to its end.
func (c *catch) take(r io.Reader) error {
	_, err := io.Copy(c, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.err = true, err
	return err
}

func (c *catch) now() (b []byte, ended bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b, c.ended, c.err
}

// gets waits until all of want is there, and wants nothing else.
func (c *catch) gets(t *testing.T, want []byte) {
	t.Helper()
	testkit.Eventually(t, func() error {
		b, ended, err := c.now()
		if len(b) < len(want) && ended {
			t.Fatalf("it ended (%v) after %d of %d bytes", err, len(b), len(want))
		}
		if len(b) < len(want) {
			return fmt.Errorf("%d of %d bytes have come", len(b), len(want))
		}
		return nil
	})
	b, _, _ := c.now()
	if err := equal(b, want); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the end, which must be one in order.
func (c *catch) ends(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, func() error {
		b, ended, err := c.now()
		if ended && err != nil {
			t.Fatalf("it ended after %d bytes with %v", len(b), err)
		}
		if !ended {
			return fmt.Errorf("it has not ended, after %d bytes", len(b))
		}
		return nil
	})
}

// next waits for what comes next out of c.
func next[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	limit := time.NewTimer(testkit.Patience)
	defer limit.Stop()
	select {
	case v := <-c:
		return v
	case <-limit.C:
		t.Fatalf("there is no %s", what)
		panic("not reached")
	}
}

// equal says where bytes are not those that were wanted.
func equal(got, want []byte) error {
	for at := range min(len(got), len(want)) {
		if got[at] != want[at] {
			return fmt.Errorf("byte %d is %#x, want %#x (%d bytes came, want %d)", at, got[at], want[at], len(got), len(want))
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d bytes came, want %d", len(got), len(want))
	}
	return nil
}

// listen gives each connection to a port of its own to serve, one after the other, and
// closes it then.
func listen(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	return listenAt(t, "127.0.0.1:0", serve)
}

func listenAt(t *testing.T, addr string, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards open
	var open net.Conn
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = c
			mu.Unlock()
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		if open != nil {
			open.Close()
		}
		mu.Unlock()
		<-served
	})
	return l.Addr().String()
}

// tcpTarget is a port that takes one stream.
func tcpTarget(t *testing.T) (url string, c *catch) {
	t.Helper()
	c = &catch{}
	return "tcp://" + listen(t, func(conn net.Conn) { _ = c.take(conn) }), c
}

// fileTarget is a file that is not there yet.
func fileTarget(dir, name string) (url, path string) {
	path = filepath.Join(dir, name)
	return fileURL(path), path
}

// fileURL is the URL of a file.
func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// written waits until a file holds all of want and wants nothing else.
func written(t *testing.T, path string, want []byte) {
	t.Helper()
	testkit.Eventually(t, func() error {
		info, err := os.Stat(path)
		if err == nil && info.Size() < int64(len(want)) {
			err = fmt.Errorf("%s has %d of %d bytes", path, info.Size(), len(want))
		}
		return err
	})
	if err := equal([]byte(readFile(t, path)), want); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// pair is the path of a session from source to target.
func pair(source, target string) string { return "/src/" + source + "/dst/" + target }

// started asks for a session whose stream goes elsewhere, and returns the tags that it is
// announced with.
func started(t *testing.T, p *product, path string) (channel, client string) {
	t.Helper()
	channel, client, err := tryStarted(t, p, path)
	if err != nil {
		t.Fatal(err)
	}
	return channel, client
}

var startedLine = regexp.MustCompile(`^started (\S+) (\S+)\n$`)

func tryStarted(t *testing.T, p *product, path string) (channel, client string, err error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url(path), nil)
	if err != nil {
		return "", "", err
	}
	transport := &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: testkit.Patience}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body) // to the end of the connection
	m := startedLine.FindStringSubmatch(string(body))
	switch {
	case err != nil:
		return "", "", err
	case resp.StatusCode != http.StatusOK || m == nil:
		return "", "", fmt.Errorf("GET %s: %s: %q", path, resp.Status, body)
	case !resp.Close:
		return "", "", errors.New("the connection of a session that goes elsewhere stays open")
	}
	return m[1], m[2], nil
}

// session finds a client of the status by the tags of its channel and itself.
func session(st report.Status, channel, client string) (report.Client, error) {
	for _, e := range st.Engines {
		for _, ch := range e.Channels {
			for _, c := range ch.Clients {
				if ch.Tag == channel && c.Tag == client {
					return c, nil
				}
			}
		}
	}
	return report.Client{}, fmt.Errorf("no session from %s to %s", channel, client)
}

// over waits until there is no such session any more.
func (p *product) over(channel, client string) {
	p.t.Helper()
	p.eventually(func(st report.Status) error {
		if _, err := session(st, channel, client); err == nil {
			return fmt.Errorf("the session from %s to %s goes on", channel, client)
		}
		return nil
	})
}

// end has a channel dropped, or with a client that alone.
func (p *product) end(channel, client string) {
	p.t.Helper()
	if code := p.drop(channel, client); code != http.StatusOK {
		p.t.Fatalf("/drop of %s, %s: %d", channel, client, code)
	}
}

// logged waits for a line of a file that matches expr, and returns it with its groups.
func logged(t *testing.T, path, expr string) (found []string) {
	t.Helper()
	re := regexp.MustCompile(expr)
	testkit.Eventually(t, func() error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for text := range strings.Lines(string(b)) {
			if found = re.FindStringSubmatch(strings.TrimSuffix(text, "\n")); found != nil {
				return nil
			}
		}
		return fmt.Errorf("%s has no line like %s:\n%s", path, expr, bytes.TrimSpace(b))
	})
	return found
}
