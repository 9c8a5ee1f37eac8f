package web_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/web"
	"sluice/internal/uri"
)

// store is a real server that takes what is sent to it, unless it is held.
type store struct {
	*httptest.Server
	held  sync.Mutex
	asked chan *http.Request
	all   chan []byte // what came, when it was complete
}

func keep(t *testing.T, tls bool) *store {
	s := &store{asked: make(chan *http.Request, 10), all: make(chan []byte, 10)}
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.asked <- r
		s.held.Lock()
		defer s.held.Unlock()
		if b, err := io.ReadAll(r.Body); err == nil {
			s.all <- b
		}
	})
	if tls {
		s.Server = httptest.NewTLSServer(h)
	} else {
		s.Server = httptest.NewServer(h)
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func target(t *testing.T, url string) endpoint.Target {
	t.Helper()
	e, err := uri.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	return endpoint.Target{End: e}
}

func TestSinkSuite(t *testing.T) {
	for _, tls := range []bool{false, true} {
		o := &web.SinkOpener{Allow: loopback, Roots: x509.NewCertPool()}
		t.Run(fmt.Sprintf("tls %v", tls), func(t *testing.T) {
			endtest.RunSink(t, endtest.Sinks{
				Opener: o,
				Size:   5 << 20,
				Make: func(t *testing.T) endtest.Far {
					s := keep(t, tls)
					if tls {
						o.Roots.AddCert(s.Certificate())
					}
					return endtest.Far{
						Target: target(t, s.URL+"/in?k=v"),
						All:    func(*testing.T, int) []byte { return <-s.all },
						Hold: func(*testing.T) (release func()) {
							s.held.Lock()
							return s.held.Unlock
						},
						Break: func(*testing.T) {
							<-s.asked
							s.CloseClientConnections()
						},
					}
				},
			})
		})
	}
}

// TestSinkAsks: what the server is asked for is what was written, with the credentials.
func TestSinkAsks(t *testing.T) {
	for method, want := range map[string]string{"": "PUT", "PUT": "PUT", "POST": "POST"} {
		s := keep(t, false)
		to := target(t, strings.Replace(s.URL, "//", "//me:se%3Acret@", 1)+"/a%2Fb/c?k=v&u=%20")
		to.Method = method
		sink, socket := endtest.Sinks{Opener: &web.SinkOpener{Allow: loopback, Version: "1.2"}}.OpenSink(t, to)
		if err := errors.Join(endtest.Feed(socket, []byte("abc")), unix.Shutdown(socket, unix.SHUT_WR), sink.Wait()); err != nil {
			t.Fatal(err)
		}
		r := <-s.asked
		name, password, _ := r.BasicAuth()
		got := []string{
			r.Method, r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get("User-Agent"), name, password,
			fmt.Sprint(r.TransferEncoding), r.Header.Get("Connection"), r.Host,
		}
		wanted := []string{want, "/a%2Fb/c?k=v&u=%20", "video/mp2t", "sluice/1.2", "me", "se:cret", "[chunked]", "close", strings.TrimPrefix(s.URL, "http://")}
		if fmt.Sprint(got) != fmt.Sprint(wanted) {
			t.Errorf("the server was asked %q, want %q", got, wanted)
		}
		if b := <-s.all; string(b) != "abc" {
			t.Errorf("the server got %q", b)
		}
	}
}

// answering is a server that says a word when the head of a request has come, and another
// when all of it has.
func answering(t *testing.T, early, late string) (url string, body <-chan []byte) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all, done := make(chan []byte, 1), make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, early)
		if strings.HasSuffix(early, "go away") {
			return
		}
		if b, err := io.ReadAll(r.Body); err == nil {
			all <- b
		}
		_, _ = io.WriteString(c, late)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return "http://" + l.Addr().String() + "/", all
}

// TestSinkAnswers: 2xx is good, at once or at the end; anything else is the reason for which
// the session ends, as soon as it is said.
func TestSinkAnswers(t *testing.T) {
	const empty = "Content-Length: 0\r\n\r\n"
	for name, c := range map[string]struct {
		early, late string
		want        string
	}{
		"at the end":         {"", "HTTP/1.1 201 Created\r\n" + empty, ""},
		"at once":            {"HTTP/1.1 200 OK\r\n" + empty, "", ""},
		"at once, and more":  {"HTTP/1.0 200 OK\r\n\r\nwelcome", strings.Repeat("x", 100_000), ""},
		"after 100":          {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", ""},
		"403 at once":        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\ngo away", "", "the server answered 403"},
		"500 at the end":     {"", "HTTP/1.1 500 Oh\r\n" + empty, "the server answered 500"},
		"elsewhere":          {"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1/\r\n" + empty, "", "the server answered 307"},
		"no answer":          {"", "", "the server closed the connection without an answer"},
		"half an answer":     {"", "HTTP/1.1 200 OK\r\nContent-", "the server answered something that is not HTTP"},
		"no HTTP":            {"", "SSH-2.0-OpenSSH\r\n", "the server answered something that is not HTTP"},
		"an endless head":    {"", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<20), "the server closed the connection without an answer"},
		"another protocol":   {"HTTP/1.1 101 Now\r\nUpgrade: x\r\n\r\ngo away", "", "the server answered 101"},
		"an empty early 4xx": {"HTTP/1.1 401 Who\r\n" + empty + "go away", "", "the server answered 401"},
	} {
		t.Run(name, func(t *testing.T) {
			url, body := answering(t, c.early, c.late)
			to := target(t, url)
			sink, socket := endtest.Sinks{Opener: &web.SinkOpener{Allow: loopback}}.OpenSink(t, to)
			if err := endtest.Feed(socket, []byte("abc")); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(c.early, "go away") || strings.Contains(c.early, " 307 ") {
				// nothing more is written: the answer alone ends it
			} else if err := unix.Shutdown(socket, unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			err := sink.Wait()
			if c.want == "" {
				if b := <-body; err != nil || !bytes.Equal(b, []byte("abc")) {
					t.Errorf("got %v; the server has %q", err, b)
				}
				return
			}
			if want := to.End.Tag() + ": " + c.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// TestSinkAsksForNothing: without a first byte no request goes out.
func TestSinkAsksForNothing(t *testing.T) {
	s := keep(t, false)
	sink, socket := endtest.Sinks{Opener: &web.SinkOpener{Allow: loopback}}.OpenSink(t, target(t, s.URL))
	if err := errors.Join(unix.Shutdown(socket, unix.SHUT_WR), sink.Wait()); err != nil {
		t.Error(err)
	}
	s.Close()
	if len(s.asked) > 0 {
		t.Error("the server was asked")
	}
}

func TestSinkRefusals(t *testing.T) {
	s, secure := keep(t, false), keep(t, true)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		opener *web.SinkOpener
		url    string
		status int
	}{
		"not permitted":       {&web.SinkOpener{}, s.URL, http.StatusForbidden},
		"certificate unknown": {&web.SinkOpener{Allow: loopback}, secure.URL, http.StatusServiceUnavailable},
		"no TLS there":        {&web.SinkOpener{Allow: loopback}, strings.Replace(s.URL, "http:", "https:", 1), http.StatusServiceUnavailable},
	} {
		sink, err := c.opener.OpenSink(t.Context(), target(t, strings.Replace(c.url, "//", "//me:secret@", 1)+"/?k=secret"))
		if err == nil {
			unix.Close(sink.Socket())
			sink.Close()
			t.Errorf("%s: not refused", name)
			continue
		}
		var refusal *endpoint.Refusal
		if !errors.As(err, &refusal) || refusal.Status != c.status || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want a refusal with %d", name, err, c.status)
		}
	}
	if _, err := (&web.SinkOpener{Allow: loopback}).OpenSink(ended, target(t, "https://"+silent.Addr().String()+"/")); err == nil {
		t.Error("opened though nobody wants it any more")
	}
}
