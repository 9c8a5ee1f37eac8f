package engine_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/channel"
	"sluice/internal/endpoint/all"
	"sluice/internal/lineup"
	"sluice/internal/loop"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

// Real sources through a running loop.

// ends notes why clients and channels ended.
type ends struct {
	mu    sync.Mutex // guards the following
	notes map[string]int
}

func (e *ends) note(format string, a ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes[fmt.Sprintf(format, a...)]++
}

func (e *ends) all() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprint(e.notes)
}

func (e *ends) ChannelOpened(string)                              {}
func (e *ends) ChannelEnded(_ string, _ uint64, r channel.Reason) { e.note("channel: %s", r) }

func (e *ends) SourceFailed(_, _ string, err error)             { e.note("source: %v", err) }
func (e *ends) Switched(string, string, string, channel.Reason) { e.note("switched") }
func (e *ends) Rates([]loop.Rate)                               {}
func (e *ends) Started(uint64, string, string)                  {}
func (e *ends) Refused(_ uint64, r channel.Reason, err error)   { e.note("refused: %s: %v", r, err) }

func (e *ends) Ended(_ uint64, _, _ string, _ uint64, r channel.Reason) { e.note("client: %s", r) }

// runLoop runs a loop with ends of every scheme until the test ends.
func runLoop(t *testing.T, c all.Config) (*loop.Loop, *ends) {
	testkit.NoLeaks(t)
	opener, seen := all.New(c), &ends{notes: map[string]int{}}
	l, err := loop.New(loop.Config{Opener: opener, Observer: seen, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if err := opener.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, seen
}

// take gives the loop a client and returns its other end.
func take(t *testing.T, l *loop.Loop, id uint64, of lineup.Channel) net.Conn {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "client")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Attach(of, loop.Client{ID: id, FD: fds[0], Addr: fmt.Sprintf("192.0.2.1:%d", id)}); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFileCopies: a file reaches a fast client and a slow one whole; each has its own copy.
func TestFileCopies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "film.ts")
	whole := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{1}).Read(whole)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(whole)
	l, seen := runLoop(t, all.Config{ReadFrom: []string{filepath.Dir(path)}})
	var clients sync.WaitGroup
	for id, most := range map[uint64]int{1: 1 << 20, 2: 4000} {
		of := lineup.Channel{Sources: []uri.Source{{{Scheme: uri.File, Path: path}}}, Copy: uint32(id), Settings: lineup.Defaults()}
		of.Linger, of.Growth = 0, 0
		c := take(t, l, id, of)
		clients.Go(func() {
			defer c.Close()
			sum := sha256.New()
			n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{c}, make([]byte, most))
			if err != nil || !bytes.Equal(sum.Sum(nil), want[:]) {
				t.Errorf("client %d: %d bytes of %d, or others, %v", id, n, len(whole), err)
			}
		})
	}
	clients.Wait()
	if got, want := seen.all(), "map[channel: source ended:2 client: source ended:2]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestOneRequestForAll is acceptance 67: a hundred clients of a channel are one connection to
// where it comes from.
func TestOneRequestForAll(t *testing.T) {
	const clients, blocks = 100, 2000
	block := bytes.Repeat(append([]byte{0x47, 0x1F, 0xFF, 0x10}, make([]byte, 184)...), 7)
	var requests atomic.Int32
	everybody := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = w.Write(block)
		w.(http.Flusher).Flush()
		select {
		case <-everybody:
		case <-r.Context().Done():
		}
		for range blocks - 1 {
			_, _ = w.Write(block)
		}
	}))
	t.Cleanup(server.Close)
	from, err := uri.ParseSource(server.URL + "/udp/224.0.2.26:4033?kk=yy")
	if err != nil {
		t.Fatal(err)
	}
	l, seen := runLoop(t, all.Config{Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	of := lineup.Channel{Sources: []uri.Source{from}, Settings: lineup.Defaults()}
	of.NoData = 0
	var readers, begun sync.WaitGroup
	begun.Add(clients)
	for id := range uint64(clients) {
		c := take(t, l, id, of)
		readers.Go(func() {
			defer c.Close()
			_, err := io.ReadFull(c, make([]byte, len(block)))
			begun.Done()
			n, rest := io.Copy(io.Discard, c)
			if err != nil || rest != nil || n != (blocks-1)*int64(len(block)) {
				t.Errorf("client %d: %d bytes behind the first block, %v, %v", id, n, err, rest)
			}
		})
	}
	begun.Wait()
	close(everybody)
	readers.Wait()
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests for %d clients", n, clients)
	}
	if got, want := seen.all(), fmt.Sprintf("map[channel: source ended:1 client: source ended:%d]", clients); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
