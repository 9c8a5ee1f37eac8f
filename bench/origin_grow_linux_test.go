package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// tee is the least that an origin can be: one object, whose readers get what comes. After so many bytes it breaks off, if that is not 0.
type tee struct {
	breaks int

	mu    sync.Mutex // guards what follows
	more  *sync.Cond
	bytes []byte
	begun bool
	ended bool
}

func (o *tee) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Method == http.MethodPut {
		o.take(r.Body)
		w.WriteHeader(http.StatusCreated)
		return
	}
	if !o.begun {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	for sent := 0; r.Method == http.MethodGet; {
		if n := len(o.bytes); sent < n {
			_, _ = w.Write(o.bytes[sent:n]) // the client may be gone
			_ = http.NewResponseController(w).Flush()
			sent = n
			continue
		}
		switch {
		case o.breaks > 0 && sent >= o.breaks:
			panic(http.ErrAbortHandler)
		case o.ended:
			return
		}
		o.more.Wait()
	}
}

// take keeps an upload, and has its readers look.
func (o *tee) take(body io.Reader) {
	o.begun = true
	piece := make([]byte, chunkSize)
	for {
		o.mu.Unlock()
		n, err := body.Read(piece)
		o.mu.Lock()
		o.bytes = append(o.bytes, piece[:n]...)
		o.ended = err != nil
		o.more.Broadcast()
		if err != nil {
			return
		}
	}
}

func teeAt(t *testing.T, breaks int) *server {
	t.Helper()
	o := &tee{breaks: breaks}
	o.more = sync.NewCond(&o.mu)
	s := httptest.NewServer(o)
	t.Cleanup(func() {
		s.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return &server{addr: s.Listener.Addr().(*net.TCPAddr).AddrPort(), done: make(chan error, 1)}
}

// Every reader has every chunk, none before it was sent, and the end.
func TestGrow(t *testing.T) {
	testkit.NoLeaks(t)
	const readers = 20
	s := &scenario{clients: readers}
	rested := 0
	g, err := s.grow(context.Background(), teeAt(t, 0), time.Millisecond, func() error { rested++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(g.chunks) != chunkCount || rested != 1 || g.first <= 0 || g.end <= 0 {
		t.Errorf("%d chunks, %d rests, the first after %v, the end after %v", len(g.chunks), rested, g.first, g.end)
	}
	for i, ages := range g.chunks {
		if len(ages) != readers || ages[0] <= 0 {
			t.Errorf("chunk %d came to %d of %d readers, first after %d", i, len(ages), readers, ages[0])
		}
	}
}

// An object that breaks off is no figure, nor is one that is not there.
func TestGrowNoticesLoss(t *testing.T) {
	testkit.NoLeaks(t)
	s := &scenario{clients: 3}
	_, err := s.grow(context.Background(), teeAt(t, 10*chunkSize), time.Millisecond, func() error { return nil })
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of an object that broke off: %v", err)
	}
	gone := &server{addr: netip.MustParseAddrPort("127.0.0.1:1"), done: make(chan error, 1)}
	if _, err := s.grow(context.Background(), gone, time.Millisecond, func() error { return nil }); err == nil {
		t.Error("nobody was there, and it grew")
	}
}
