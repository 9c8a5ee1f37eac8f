package health

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

var someAddr = flow.Addr{IP: netip.MustParseAddrPort("127.0.0.1:9")}

// remote is a real TCP server; serve gets each connection. Its address.
func remote(t *testing.T, serve func(net.Conn)) flow.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return accept(t, l, serve)
}

func accept(t *testing.T, l net.Listener, serve func(net.Conn)) flow.Addr {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		running.Wait()
	})
	return flow.FromNet(l.Addr())
}

// nobody is an address at which nobody listens any more.
func nobody(t *testing.T) flow.Addr {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return flow.FromNet(l.Addr())
}

// silent takes connections and never answers.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// says answers with text, whatever it is sent, and waits for the end.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		silent(c)
	}
}

// check wants Once to return an error of that text, "" for none.
func check(t *testing.T, name string, c Check, addr flow.Addr, want string) {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = testkit.Patience
	}
	err := Once(t.Context(), c, addr)
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

const soon = 50 * time.Millisecond // for what never answers

func TestTCP(t *testing.T) {
	testkit.NoLeaks(t)
	addr := remote(t, silent)
	check(t, "takes connections", Check{Kind: TCP}, addr, "")
	check(t, "does not", Check{Kind: TCP}, nobody(t), "connection refused")
	check(t, "on another port", Check{Kind: TCP, Port: addr.IP.Port()}, nobody(t), "")
	check(t, "on another port", Check{Kind: TCP, Port: nobody(t).IP.Port()}, addr, "connection refused")
}

func TestUNIX(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	addr := flow.Addr{Network: flow.Unix, Path: path}
	check(t, "is not there", Check{Kind: TCP}, addr, "no such file or directory")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "localhost" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	check(t, "takes connections", Check{Kind: TCP, Port: 1}, addr, "")
	check(t, "HTTP", Check{Kind: HTTP}, addr, "")
}

func TestFromAndPrelude(t *testing.T) {
	const header = "PROXY UNKNOWN\r\n"
	from := make(chan string, 1)
	addr := remote(t, func(c net.Conn) {
		b := bufio.NewReader(c)
		line, _ := b.ReadString('\n')
		if line != header {
			return
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		from <- host
		line, _ = b.ReadString('\n')
		_, _ = fmt.Fprintf(c, "you said %s", line)
	})
	c := Check{Kind: Talk, Send: []byte("hello\n"), Expect: []byte("said hello"), Prelude: []byte(header), From: netip.MustParseAddr("127.0.0.2")}
	check(t, "talk", c, addr, "")
	if got := <-from; got != "127.0.0.2" {
		t.Errorf("the check comes from %s", got)
	}
	c.Prelude = nil
	check(t, "without the header", c, addr, "it closed the connection")
	c.From = netip.MustParseAddr("::1")
	check(t, "from elsewhere", c, addr, "connect to "+addr.String()+": the local address ::1 is of the other IP version")
}

func TestTalk(t *testing.T) {
	long := strings.Repeat("x", maxAnswer)
	redis := remote(t, func(c net.Conn) {
		if line, _ := bufio.NewReader(c).ReadString('\n'); line == "PING\r\n" {
			_, _ = io.WriteString(c, "+PO")
			_, _ = io.WriteString(c, "NG\r\n")
		}
		silent(c)
	})
	for _, c := range []struct {
		name         string
		addr         flow.Addr
		send, expect string
		want         string
	}{
		{"in two parts", redis, "PING\r\n", "+PONG", ""},
		{"no answer", redis, "QUIT\r\n", "+PONG", "no answer in 50ms"},
		{"any byte", remote(t, says("220 hello")), "", "", ""},
		{"contains", remote(t, says("220 hello")), "", "hello", ""},
		{"another answer", remote(t, says("500 no")), "", "220", "it answers something else"},
		{"another answer, and the end", remote(t, func(c net.Conn) { _, _ = io.WriteString(c, "500 no") }), "", "220", "it answers something else"},
		{"the end", remote(t, func(net.Conn) {}), "", "220", "it closed the connection"},
		{"nothing", remote(t, silent), "", "", "no answer in 50ms"},
		{"too late in a long answer", remote(t, says(long+"220")), "", "220", "it answers something else"},
		{"at the end of a long answer", remote(t, says(long[3:]+"220")), "", "220", ""},
	} {
		how := Check{Kind: Talk, Send: []byte(c.send), Expect: []byte(c.expect)}
		if c.want != "" {
			how.Timeout = soon
		}
		check(t, c.name, how, c.addr, c.want)
	}
}

// TestHTTP is a part of line 50 of the acceptance list.
func TestHTTP(t *testing.T) {
	var mu sync.Mutex // guards last
	var last string   // request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		last = r.Method + " " + r.Host + r.RequestURI
		mu.Unlock()
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/gone", http.StatusFound)
		case "/gone":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		case "/long":
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 1<<40))
		}
	}))
	t.Cleanup(server.Close)
	addr := flow.FromNet(server.Listener.Addr())
	for _, c := range []struct {
		path, host string
		status     []int
		want, seen string
	}{
		{"", "", nil, "", "GET " + addr.String() + "/"},
		{"/a?b=c", "web.test", nil, "", "GET web.test/a?b=c"},
		{"/moved", "", nil, "", "GET " + addr.String() + "/moved"}, // 302 is good, and not followed
		{"/moved", "", []int{200, 204}, "status 302", ""},
		{"/gone", "", nil, "status 503", ""},
		{"/gone", "", []int{503}, "", ""},
		{"/early", "", nil, "status 418", ""},
		{"/long", "", nil, "", ""},
		{"/", "a b", nil, `the check cannot ask for its path and host: parse "http://a b/": invalid character " " in host name`, ""},
	} {
		check(t, c.path+" of "+c.host, Check{Kind: HTTP, Path: c.path, Host: c.host, Status: c.status}, addr, c.want)
		mu.Lock()
		if c.seen != "" && last != c.seen {
			t.Errorf("the server was asked %s, want %s", last, c.seen)
		}
		mu.Unlock()
	}
	check(t, "refused", Check{Kind: HTTP}, nobody(t), "connection refused")
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestHTTPOfAnother: what is no HTTP, and what would be without end.
func TestHTTPOfAnother(t *testing.T) {
	testkit.NoLeaks(t)
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  string
	}{
		"no HTTP":          {says("SSH-2.0-x\r\n\x00\n\n"), "no answer of HTTP"},
		"a long header":    {says("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2*maxAnswer)), "it closed the connection"},
		"interim for ever": {says(strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", 100)), "no answer of HTTP but interim ones"},
		"the end":          {func(net.Conn) {}, "it closed the connection"},
	} {
		check(t, name, Check{Kind: HTTP}, remote(t, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			c.serve(conn)
		}), c.want)
	}
	check(t, "nothing", Check{Kind: HTTP, Timeout: soon}, remote(t, silent), "no answer in 50ms")
}

// hears takes what comes first, so that its end is no reset.
func hears(c net.Conn) { _, _ = c.Read(make([]byte, 64<<10)) }

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	addr := flow.FromNet(server.Listener.Addr())
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	verify := &tls.Config{RootCAs: roots}
	for _, kind := range []Kind{TLS, HTTPS} {
		check(t, "any certificate", Check{Kind: kind}, addr, "")
		check(t, "ours", Check{Kind: kind, TLS: verify}, addr, "") // for 127.0.0.1, too
		check(t, "of another CA", Check{Kind: kind, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}, addr,
			"no handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority")
		check(t, "of another name", Check{Kind: kind, TLS: &tls.Config{RootCAs: roots, ServerName: "other.test"}}, addr,
			"no handshake: tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not other.test")
		check(t, "nothing", Check{Kind: kind, Timeout: soon}, remote(t, silent), "no answer in 50ms")
		check(t, "no TLS", Check{Kind: kind}, remote(t, says("220 hello\r\n")), "no handshake: tls: first record does not look like a TLS handshake")
		check(t, "the end", Check{Kind: kind}, remote(t, hears), "it closed the connection")
	}
	check(t, "bad status", Check{Kind: HTTPS, Path: "/gone"}, addr, "status 404")
	h2 := &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}} // which this server does not speak
	check(t, "a handshake as towards the remote", Check{Kind: TLS, TLS: h2}, addr, "no handshake: remote error: tls: no application protocol")
	check(t, "HTTP/1.1 in any case", Check{Kind: HTTPS, TLS: h2}, addr, "")
}

// TestGivenUp: nothing is left of a check when who asks ends.
func TestGivenUp(t *testing.T) {
	testkit.NoLeaks(t)
	taken := make(chan struct{}, 1)
	addr := remote(t, func(c net.Conn) {
		taken <- struct{}{}
		silent(c)
	})
	for _, kind := range []Kind{TLS, HTTP, HTTPS, Talk} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Once(ctx, Check{Kind: kind, Timeout: time.Hour}, addr) }()
		<-taken
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("kind %d: %v, want that it was ended", kind, err)
		}
	}
}

// TestRun checks a real remote that goes down and comes back.
func TestRun(t *testing.T) {
	testkit.NoLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := flow.FromNet(l.Addr())
	told := make(chan error, 10)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		Run(ctx, Check{Kind: TCP, Every: 5 * time.Millisecond}, addr, func(err error) { told <- err })
	})
	defer running.Wait()
	defer cancel()
	for turn := range 2 {
		if err := <-told; err != nil {
			t.Errorf("turn %d: told %v, want that it is up", turn, err)
		}
		l.Close()
		if err := <-told; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("turn %d: told %v, want that it is down", turn, err)
		}
		if l, err = net.Listen("tcp", addr.String()); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
}

func TestErrorsArePrintable(t *testing.T) {
	dirty := "x509: valid for a\nb\x1b[31m" + string([]byte{0xff}) + strings.Repeat("ä", 200)
	got := brief(errors.New(dirty), time.Second).Error()
	if want := "x509: valid for a?b?[31m?" + strings.Repeat("ä", 87) + "…"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzHTTP: whatever a remote answers, a check ends and says something short.
func FuzzHTTP(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.0 503 \r\n\r\n"))
	f.Add([]byte("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 404 No\r\n\r\n"))
	f.Add([]byte("SSH-2.0-x\r\n"))
	f.Add(bytes.Repeat([]byte("HTTP/1.1 100\r\n\r\n"), 9))
	f.Fuzz(func(t *testing.T, answer []byte) {
		here, there := net.Pipe()
		var asked sync.WaitGroup
		asked.Go(func() {
			defer there.Close()
			if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
				_, _ = there.Write(answer)
			}
		})
		c := Check{Kind: HTTP}
		err := brief(c.get(here, someAddr), time.Second)
		here.Close()
		asked.Wait()
		if err != nil && (len(err.Error()) > maxReason+len("…") || strings.ContainsAny(err.Error(), "\r\n")) {
			t.Errorf("%q", err)
		}
	})
}
