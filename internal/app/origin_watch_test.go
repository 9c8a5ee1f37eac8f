package app

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sluice/internal/live"
)

// answering is a UNIX socket that answers each connection with the next of the texts, and closes it; it tells of
// the requests.
func answering(t *testing.T, answers ...string) (path string, asked <-chan *http.Request) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	requests, done := make(chan *http.Request, len(answers)), make(chan struct{})
	go func() {
		defer close(done)
		for _, text := range answers {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				requests <- r
				_, _ = io.WriteString(conn, text)
			}
			_ = conn.(*net.UnixConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn) // as an engine, it stays until the other side is closed
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return path, requests
}

const stream = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\nbytes of the channel"

// The origin asks as a client does, names the viewer, and gets the bytes to the channel's end.
func TestWatch(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path, asked := answering(t, stream)
	s, err := channels{path}.Watch(t.Context(), live.Query{Channel: "src/http://a.example/b?c=1/dst/", Client: "192.0.2.7:5000", Agent: "a player\x01"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text, err := io.ReadAll(s)
	if string(text) != "bytes of the channel" || err != nil || s.Type != "video/mp2t" {
		t.Errorf("got %q of %s, %v", text, s.Type, err)
	}
	r := <-asked
	if r.RequestURI != "/src/http://a.example/b?c=1/dst/" || r.Header.Get("X-Forwarded-For") != "192.0.2.7:5000" || r.UserAgent() != "a%20player%01" {
		t.Errorf("asked %s for %s by %s", r.RequestURI, r.Header.Get("X-Forwarded-For"), r.UserAgent())
	}
}

// What gws refuses the viewer is told, with its reason; a redirection is of no use to him.
func TestWatchRefused(t *testing.T) {
	for answer, want := range map[string]live.Unavailable{
		"HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n404 Not Found: none\n":              {Status: 404, Reason: "none"},
		"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n":                       {Status: 503, Retry: "3"},
		"HTTP/1.1 302 Found\r\nLocation: http://b.example/\r\nContent-Length: 2\r\n\r\nno":       {Status: 503, Reason: "no"},
		"HTTP/1.1 500 Broken\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x\n", 200000): {Status: 500, Reason: "x"},
	} {
		path, _ := answering(t, answer)
		_, err := channels{path}.Watch(t.Context(), live.Query{Channel: "$a"})
		var got *live.Unavailable
		if !errors.As(err, &got) || *got != want {
			t.Errorf("%.40q: %+v, want %+v", answer, got, want)
		}
	}
}

// A connection that is closed without an answer is tried once more, and only once.
func TestWatchTriesAgain(t *testing.T) {
	path, _ := answering(t, "", stream)
	s, err := channels{path}.Watch(t.Context(), live.Query{Channel: "$a"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	path, _ = answering(t, "", "HTTP/1.1 2", stream)
	if _, err := (channels{path}).Watch(t.Context(), live.Query{Channel: "$a"}); !isUnavailable(err, 503) {
		t.Errorf("two engines that end: %v", err)
	}
}

// isUnavailable says whether err tells the viewer that status.
func isUnavailable(err error, status int) bool {
	var u *live.Unavailable
	return errors.As(err, &u) && u.Status == status
}

// Without gws there is no channel, which passes; the end of a viewer is no answer; an address cannot smuggle a header.
func TestWatchEnds(t *testing.T) {
	if _, err := (channels{filepath.Join(t.TempDir(), "none")}).Watch(t.Context(), live.Query{Channel: "$a"}); !isUnavailable(err, 503) {
		t.Errorf("no gws: %v", err)
	}
	path, _ := answering(t, stream)
	if _, err := (channels{path}).Watch(t.Context(), live.Query{Channel: "$a", Client: "::1\r\nX-A: b"}); !isUnavailable(err, 503) {
		t.Errorf("an address of two lines: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (channels{path}).Watch(gone, live.Query{Channel: "$a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a viewer who has gone: %v", err)
	}
}

// The end of the viewer ends a stream that says nothing.
func TestWatchedEndsWithItsViewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		}
		if err == nil {
			_, err = io.Copy(io.Discard, conn) // until the other side is closed
		}
		closed <- err
	}()
	viewer, leave := context.WithCancel(t.Context())
	s, err := channels{path}.Watch(viewer, live.Query{Channel: "$a"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	leave()
	if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a read ends with %v, want no orderly end", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
