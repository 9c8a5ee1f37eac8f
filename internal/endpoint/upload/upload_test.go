package upload_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/upload"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

func source(t *testing.T, path string) uri.Source {
	t.Helper()
	s, err := uri.ParseSource("upload://" + path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve is a server at a UNIX socket, which is closed when the test ends.
func serve(t *testing.T, h http.HandlerFunc) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return socket
}

// answer is one that goes on: nil ends it in order, an empty word breaks it.
type answer struct {
	words chan []byte
}

func (a *answer) speak(w http.ResponseWriter, r *http.Request) {
	for {
		select {
		case b := <-a.words:
			if b == nil {
				return
			}
			if len(b) == 0 {
				panic(http.ErrAbortHandler)
			}
			if _, err := w.Write(b); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// met takes the origin's side of each source that it opens.
type met struct {
	*upload.Opener
	answers chan *answer
	now     **answer
}

func (m met) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	src, err := m.Opener.Open(ctx, want)
	if err == nil {
		*m.now = <-m.answers
	}
	return src, err
}

func TestSuite(t *testing.T) {
	testkit.NoLeaks(t)
	answers := make(chan *answer, 100)
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/live/My cam?1.ts" {
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
		a := &answer{words: make(chan []byte, 1000)}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		answers <- a
		a.speak(w, r)
	})
	var now *answer
	endtest.RunStream(t, endtest.Stream{
		Make:   func() endtest.Closer { return met{&upload.Opener{Socket: socket}, answers, &now} },
		Want:   endpoint.Want{Source: source(t, "/live/My%20cam%3F1.ts")},
		Send:   func(_ *testing.T, b []byte) { now.words <- b },
		Finish: func(*testing.T) { now.words <- nil },
		Break:  func(*testing.T) { now.words <- []byte{} },
	})
}

// TestRefused: what the origin says becomes what the client is answered, in one line that names
// no file of this machine.
func TestRefused(t *testing.T) {
	testkit.NoLeaks(t)
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			http.NotFound(w, r)
		case "/late":
			w.WriteHeader(http.StatusGatewayTimeout)
		case "/broken":
			panic(http.ErrAbortHandler)
		case "/long":
			w.Header().Set("X", strings.Repeat("x", 64<<10))
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
	for _, c := range []struct {
		socket, path string
		status       int
		text         string
	}{
		{socket, "/none", 404, "no such upload"},
		{socket, "/late", 504, "nothing is uploaded by this path: none began in time"},
		{socket, "/broken", 503, "the origin does not answer"},
		{socket, "/long", 503, "the origin does not answer"},
		{socket, "/else", 503, "the origin answered 403"},
		{filepath.Join(t.TempDir(), "gone"), "/a", 503, "no such file"},
		{"", "/a", 404, "no origin takes uploads here"},
	} {
		o := &upload.Opener{Socket: c.socket}
		_, err := o.Open(t.Context(), endpoint.Want{Source: source(t, c.path)})
		var refusal *endpoint.Refusal
		if !errors.As(err, &refusal) || refusal.Status != c.status || !strings.Contains(err.Error(), c.text) || !strings.HasPrefix(err.Error(), "UPLOAD://"+c.path+": ") {
			t.Errorf("%s: %v, want %d, %q", c.path, err, c.status, c.text)
		}
		if err != nil && (c.socket != "" && strings.Contains(err.Error(), c.socket) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v", c.path, err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWaits: an upload that has not begun is waited for, as long as the patience lasts or until
// nobody wants it any more; the origin sees that.
func TestWaits(t *testing.T) {
	testkit.NoLeaks(t)
	asked, left := make(chan struct{}, 10), make(chan struct{}, 10)
	socket := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	})
	o := &upload.Opener{Socket: socket}
	_, err := o.Open(t.Context(), endpoint.Want{Source: source(t, "/a"), Patience: time.Millisecond})
	var refusal *endpoint.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusGatewayTimeout || !strings.Contains(err.Error(), "nothing is uploaded by this path: no answer within 1ms") {
		t.Errorf("without an upload: %v, want 504", err)
	}
	select { // it may have been given up before it was sent
	case <-asked:
		<-left
	default:
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := o.Open(ctx, endpoint.Want{Source: source(t, "/a"), Patience: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("when nobody wants it: %v", err)
	}
	<-left
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}
