package web_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/web"
	"sluice/internal/testkit"
)

// script answers each connection to it with the next of its texts, whatever is asked, and
// closes it; it keeps what was asked. A text in which the word WAIT stands is not followed
// by the end.
type script struct {
	net.Listener
	asked chan string
	ended chan struct{}
}

func play(t *testing.T, answers ...string) *script {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{Listener: l, asked: make(chan string, 100), ended: make(chan struct{})}
	go s.run(answers)
	t.Cleanup(func() {
		l.Close()
		<-s.ended
	})
	return s
}

func (s *script) run(answers []string) {
	defer close(s.ended)
	for i := 0; ; i++ {
		c, err := s.Accept()
		if err != nil {
			return
		}
		asked := bufio.NewReader(c)
		var head strings.Builder
		for {
			line, err := asked.ReadString('\n')
			head.WriteString(line)
			if err != nil || line == "\r\n" {
				break
			}
		}
		s.asked <- head.String()
		text, wait := strings.CutSuffix(answers[min(i, len(answers)-1)], "WAIT")
		_, _ = io.WriteString(c, strings.ReplaceAll(text, "SELF", s.Addr().String()))
		if wait {
			_, _ = io.Copy(io.Discard, asked) // until the peer gives up
		}
		c.Close()
	}
}

func (s *script) url(path string) string { return "http://" + s.Addr().String() + path }

// get opens a source, trusted, and reads it to its end.
func get(t *testing.T, url string) ([]byte, error) {
	t.Helper()
	o := &web.Opener{Version: "test"}
	defer o.Close()
	src, err := o.Open(t.Context(), endpoint.Want{Source: source(t, url), Trusted: true})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	w := endtest.NewWindow(t)
	err = endtest.DrainAll(t, src, w)
	if errors.Is(err, endpoint.ErrEnd) {
		err = nil
	}
	return w.All(), err
}

// TestRequest: it goes out as it was written, and says no more than it must.
func TestRequest(t *testing.T) {
	for _, tt := range []struct{ url, line string }{
		{"/udp/224.0.2.26:4033?kk=yy", "/udp/224.0.2.26:4033?kk=yy"},
		{"/a%2Fb/../c;d=1/%7e~'(x)?q=%20+&&=/?", "/a%2Fb/../c;d=1/%7e~'(x)?q=%20+&&=/?"},
		{"/{brace}|\"<>^`?{}|\"", "/{brace}|\"<>^`?{}|\""},
		{"//two/slashes", "//two/slashes"},
		{"/ü?ü", "/%C3%BC?%C3%BC"},
		{"?x=1", "/?x=1"},
	} {
		s := play(t, "HTTP/1.1 200 OK\r\n\r\nx")
		if _, err := get(t, s.url(tt.url)); err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		want := "GET " + tt.line + " HTTP/1.1\r\nHost: " + s.Addr().String() +
			"\r\nUser-Agent: sluice/test\r\nAccept: */*\r\nConnection: close\r\n\r\n"
		if got := <-s.asked; got != want {
			t.Errorf("%s: asked\n%q, want\n%q", tt.url, got, want)
		}
	}
	s := play(t, "HTTP/1.1 200 OK\r\n\r\nx")
	if _, err := get(t, "http://me%40home:p%3Aw@"+s.Addr().String()+"/"); err != nil {
		t.Fatal(err)
	}
	if got := <-s.asked; !strings.Contains(got, "Authorization: Basic bWVAaG9tZTpwOnc=\r\n") || strings.Contains(got, "me%40home") {
		t.Errorf("asked %q", got)
	}
}

// TestAnswers: which bytes come of an answer, and how its end is taken.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer, body, err string
	}{
		"with a length":             {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", ""},
		"to the end":                {"HTTP/1.1 200 OK\r\n\r\nhello", "hello", ""},
		"of HTTP/1.0":               {"HTTP/1.0 200 OK\r\n\r\nhello", "hello", ""},
		"in part":                   {"HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nhi", "hi", ""},
		"chunked":                   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", "hello!", ""},
		"empty":                     {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", ""},
		"SHOUTcast":                 {"ICY 200 OK\r\nicy-name: x\r\n\r\nhello", "hello", ""},
		"titles":                    {"HTTP/1.1 200 OK\r\nicy-metaint: 3\r\n\r\nabc\x01StreamTitle='x';def\x00gh", "abcdefgh", ""},
		"titles that make no sense": {"HTTP/1.1 200 OK\r\nicy-metaint: -3\r\n\r\nabc", "abc", ""},
		"shorter than announced":    {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "hello", "broke off"},
		"ended in a chunk":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "hel", "broke off"},
		"ended behind a chunk":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello", "broke off"},
		"garbage for a chunk":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n!", "hello", "broke off"},
		"not found":                 {"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nsorry", "", "the upstream answered 404"},
		"forbidden":                 {"HTTP/1.1 403 Forbidden\r\n\r\n", "", "the upstream answered 403"},
		"no content":                {"HTTP/1.1 204 No Content\r\n\r\n", "", "the upstream answered 204"},
		"redirect to nowhere":       {"HTTP/1.1 302 Found\r\n\r\n", "", "302 without a usable address"},
		"redirect to a file":        {"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "", "302 without a usable address"},
		"redirect to itself":        {"HTTP/1.1 302 Found\r\nLocation: http://SELF/\r\n\r\n", "", "redirected more than 5 times"},
		"no HTTP":                   {"SSH-2.0-x\r\n\r\n", "", "something that is not HTTP"},
		"nothing":                   {"", "", "closed the connection without an answer"},
		"one word":                  {"IC", "", "something that is not HTTP"},
		"a head without end":        {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\nhello", "", "a head of more than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			s := play(t, c.answer)
			body, err := get(t, s.url("/x?token=secret"))
			if string(body) != c.body || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v; want %q, %q", body, err, c.body, c.err)
			}
			if cut := errors.Is(err, endpoint.ErrCut); cut != (name == "shorter than announced") {
				t.Errorf("%v: cut is %v", err, cut)
			}
			var r *endpoint.Refusal
			if body == nil && err != nil && (!errors.As(err, &r) || r.Status != http.StatusServiceUnavailable) {
				t.Errorf("no refusal with 503: %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "SSH")) {
				t.Errorf("tells the query, or what the server said: %v", err)
			}
		})
	}
}

// TestRedirects: they are followed, also where the address is relative; credentials go only
// to the server that they are for.
func TestRedirects(t *testing.T) {
	other := play(t, "HTTP/1.1 200 OK\r\n\r\nthere")
	s := play(t,
		"HTTP/1.1 301 Moved\r\nLocation: next?y=2\r\n\r\n",
		"HTTP/1.1 307 Elsewhere\r\nLocation: "+other.url("/last")+"\r\n\r\n")
	body, err := get(t, "http://u:p@"+s.Addr().String()+"/dir%2Fx/first?x=1")
	if string(body) != "there" || err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	<-s.asked
	second, third := <-s.asked, <-other.asked
	if !strings.HasPrefix(second, "GET /dir%2Fx/next?y=2 ") || !strings.Contains(second, "Authorization") {
		t.Errorf("asked %q", second)
	}
	if !strings.HasPrefix(third, "GET /last ") || strings.Contains(third, "Authorization") || strings.Contains(third, "Referer") {
		t.Errorf("asked %q", third)
	}
}

// TestRedirectsOutOfTheList: a redirect leads nowhere that could not be named.
func TestRedirectsOutOfTheList(t *testing.T) {
	s := play(t, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:1/\r\n\r\n")
	o := &web.Opener{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	_, err := o.Open(t.Context(), endpoint.Want{Source: source(t, s.url("/"))})
	var r *endpoint.Refusal
	if !errors.As(err, &r) || r.Status != http.StatusForbidden {
		t.Errorf("%v, want 403", err)
	}
}

// TestStalledHead: an answer that does not begin is given up, when patience is over and
// when nobody wants it any more; a server that sends a byte now and then gains nothing.
func TestStalledHead(t *testing.T) {
	for _, text := range []string{"WAIT", "HTTP/1.1 200 OK\r\nX-Y:WAIT", "IWAIT", "HTTP/1.1 100 Continue\r\n\r\nWAIT"} {
		testkit.NoLeaks(t)
		o := &web.Opener{}
		s := play(t, text)
		_, err := o.Open(t.Context(), endpoint.Want{Source: source(t, s.url("/")), Trusted: true, Patience: 50 * time.Millisecond})
		var r *endpoint.Refusal
		if !errors.As(err, &r) || r.Status != http.StatusGatewayTimeout {
			t.Errorf("%q: %v, want 504", text, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-s.asked // the first
			<-s.asked
			cancel()
		}()
		if _, err = o.Open(ctx, endpoint.Want{Source: source(t, s.url("/")), Trusted: true}); !errors.Is(err, context.Canceled) {
			t.Errorf("%q: given up: %v", text, err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestByteByByte: nothing depends on how a server cuts what it sends.
func TestByteByByte(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	body := bytes.Repeat([]byte("G23456789"), 100)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			return
		}
		for _, b := range fmt.Appendf(nil, "ICY 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
		}
	}()
	got, err := get(t, "http://"+l.Addr().String()+"/")
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes of %d, %v", len(got), len(body), err)
	}
}
