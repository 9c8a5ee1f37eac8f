package web_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/web"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func source(t testing.TB, url string) uri.Source {
	t.Helper()
	s, err := uri.ParseSource(url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// peer is a real server; each request to it is answered with what the test says.
type peer struct {
	*httptest.Server
	answers chan *answer
	now     *answer // the one that is spoken in
}

// answer is one that goes on: nil ends it in order, an empty word breaks it.
type answer struct {
	words chan []byte
}

func serve(t *testing.T, tls bool) *peer {
	p := &peer{answers: make(chan *answer, 100)}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{words: make(chan []byte, 1000)}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		p.answers <- a
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
	})
	p.Server = httptest.NewUnstartedServer(h)
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	if tls {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

// met takes the peer's side of each source that it opens.
type met struct {
	*web.Opener
	peer *peer
}

func (m *met) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	src, err := m.Opener.Open(ctx, want)
	if err == nil {
		m.peer.now = <-m.peer.answers
	}
	return src, err
}

func TestSuite(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			testkit.NoLeaks(t)
			p := serve(t, scheme == "https")
			opener := func() *web.Opener { return &web.Opener{Allow: loopback} }
			if scheme == "https" {
				roots := p.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
				opener = func() *web.Opener { return &web.Opener{Allow: loopback, Roots: roots} }
			}
			endtest.RunStream(t, endtest.Stream{
				Make:   func() endtest.Closer { return &met{opener(), p} },
				Want:   endpoint.Want{Source: source(t, p.URL+"/live.ts")},
				Send:   func(_ *testing.T, b []byte) { p.now.words <- b },
				Finish: func(*testing.T) { p.now.words <- nil },
				Break:  func(*testing.T) { p.now.words <- []byte{} },
			})
		})
	}
}

// TestNotLocal: a list from the net leads to nothing of this machine, by whatever name.
func TestNotLocal(t *testing.T) {
	p := serve(t, false)
	for _, url := range []string{p.URL, strings.Replace(p.URL, "127.0.0.1", "localhost", 1)} {
		src, err := (&web.Opener{}).Open(t.Context(), endpoint.Want{Source: source(t, url+"/"), Trusted: true, NotLocal: true})
		if err == nil {
			src.Close()
			t.Fatalf("%s: opened", url)
		}
		if !strings.Contains(err.Error(), "not permitted") {
			t.Error(err)
		}
	}
}

// TestUntrustedServer: a certificate that nobody vouches for is refused.
func TestUntrustedServer(t *testing.T) {
	p := serve(t, true)
	src, err := (&web.Opener{}).Open(t.Context(), endpoint.Want{Source: source(t, p.URL+"/"), Trusted: true})
	if err == nil {
		src.Close()
		t.Fatal("opened")
	}
	if !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
}
