package tcp_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/tcp"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// peer is a server whose connections a test speaks on.
type peer struct {
	net.Listener
	conns chan *speaker
	now   *speaker // the one that is spoken on
}

// speaker sends on one connection what it is given.
type speaker struct {
	conn  *net.TCPConn
	words chan []byte
	done  chan struct{}
}

func serve(t *testing.T) *peer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Listener: l, conns: make(chan *speaker, 100)}
	var all []*speaker
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s := &speaker{conn: c.(*net.TCPConn), words: make(chan []byte, 1000), done: make(chan struct{})}
			all = append(all, s)
			p.conns <- s
			go s.speak()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-accepted
		for _, s := range all {
			s.conn.Close()
			close(s.words)
			<-s.done
		}
	})
	return p
}

func (s *speaker) speak() {
	defer close(s.done)
	for b := range s.words {
		if b == nil {
			_ = s.conn.CloseWrite()
		} else if _, err := s.conn.Write(b); err != nil {
			for range s.words { // nobody listens
			}
			return
		}
	}
}

func (p *peer) source(t *testing.T) uri.Source {
	s, err := uri.ParseSource("tcp://" + p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	testkit.NoLeaks(t)
	p := serve(t)
	endtest.RunStream(t, endtest.Stream{
		Make:   func() endtest.Closer { return &met{Opener: &tcp.Opener{Allow: loopback}, peer: p} },
		Want:   endpoint.Want{Source: p.source(t)},
		Send:   func(_ *testing.T, b []byte) { p.now.words <- b },
		Finish: func(*testing.T) { p.now.words <- nil },
		Break: func(t *testing.T) {
			if err := errors.Join(p.now.conn.SetLinger(0), p.now.conn.Close()); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// met takes the peer's side of each source that it opens.
type met struct {
	*tcp.Opener
	peer *peer
}

func (m *met) Open(ctx context.Context, want endpoint.Want) (endpoint.Source, error) {
	src, err := m.Opener.Open(ctx, want)
	if err == nil {
		m.peer.now = <-m.peer.conns
	}
	return src, err
}

// TestRefusals: what cannot be had is told with the answer that the client gets.
func TestRefusals(t *testing.T) {
	p := serve(t)
	closed := serve(t)
	closed.Close()
	silent := full(t)
	for name, c := range map[string]struct {
		opener tcp.Opener
		want   endpoint.Want
		status int
	}{
		"in no network that may be named": {tcp.Opener{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, endpoint.Want{Source: p.source(t)}, http.StatusForbidden},
		"nothing may be named":            {tcp.Opener{}, endpoint.Want{Source: p.source(t)}, http.StatusForbidden},
		"nobody listens":                  {tcp.Opener{Allow: loopback}, endpoint.Want{Source: closed.source(t)}, http.StatusServiceUnavailable},
		"of the operator, nobody listens": {tcp.Opener{}, endpoint.Want{Source: closed.source(t), Trusted: true}, http.StatusServiceUnavailable},
		"nobody answers":                  {tcp.Opener{Allow: loopback}, endpoint.Want{Source: silent, Patience: 50 * time.Millisecond}, http.StatusGatewayTimeout},
	} {
		src, err := c.opener.Open(t.Context(), c.want)
		if err == nil {
			src.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		var r *endpoint.Refusal
		if !errors.As(err, &r) || r.Status != c.status {
			t.Errorf("%s: %v, want status %d", name, err, c.status)
		}
	}
	if _, err := (&tcp.Opener{}).Open(t.Context(), endpoint.Want{Source: p.source(t), Trusted: true, NotLocal: true}); err == nil {
		t.Error("a list from the net has led to this machine")
	}
	src, err := (&tcp.Opener{}).Open(t.Context(), endpoint.Want{Source: p.source(t), Trusted: true})
	if err != nil {
		t.Fatalf("the operator's: %v", err)
	}
	src.Close()
}

// TestGivenUp: the end of the context ends an opening.
func TestGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&tcp.Opener{}).Open(ctx, endpoint.Want{Source: full(t), Trusted: true}); err == nil {
		t.Error("opened")
	}
}
