package live

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sluice/internal/testkit"
)

// TestPatience: when a backlog is full, until when it may be.
func TestPatience(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	type step struct {
		what  string // full, room, empty
		when  float64
		until float64 // of full
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a burst may take its time", []step{{"full", 0.1, 30}, {"room", 5, 0}, {"full", 5.5, 30}, {"full", 20, 30}}},
		{"who kept up for a second has had it", []step{{"full", 0.1, 30}, {"room", 0.2, 0}, {"full", 1.2, 2.2}}},
		{"no burst at all", []step{{"empty", 0.1, 0}, {"full", 9, 10}}},
		{"it stays full", []step{{"full", 9, 10}, {"full", 9.5, 10}, {"room", 9.6, 0}, {"full", 9.7, 10}, {"full", 12, 10}}},
		{"it was empty meanwhile", []step{{"full", 9, 10}, {"room", 9.1, 0}, {"empty", 9.2, 0}, {"full", 9.9, 10.9}}},
		{"a burst that is too long", []step{{"full", 0.1, 30}, {"room", 30.5, 0}, {"full", 30.6, 30}}},
	} {
		p := newPatience(begin)
		for i, s := range c.steps {
			switch s.what {
			case "full":
				if until := p.full(at(s.when)); !until.Equal(at(s.until)) {
					t.Errorf("%s, step %d: until %v, want %v", c.name, i, until.Sub(begin), s.until)
				}
			case "room":
				p.room(at(s.when))
			case "empty":
				p.empty()
			}
		}
	}
}

func ringsOf(size int) *sync.Pool { return &sync.Pool{New: func() any { return buffer(size) }} }

// TestBacklogAnyPieces: what goes in comes out, whatever the sizes.
func TestBacklogAnyPieces(t *testing.T) {
	testkit.NoLeaks(t)
	rapid.Check(t, func(t *rapid.T) {
		body := random(rapid.IntRange(0, 5000).Draw(t, "size"))
		piece := rapid.IntRange(1, 500).Draw(t, "piece")
		b := newBacklog(ringsOf(rapid.IntRange(1, 700).Draw(t, "ring")), rapid.Bool().Draw(t, "lends"))
		in := &Stream{ReadCloser: io.NopCloser(&cutReader{bytes.NewReader(body), piece})}
		filled := make(chan error)
		go func() { filled <- b.fill(in) }()
		var out bytes.Buffer
		err := b.drain(func(p []byte, _ bool) error { out.Write(p); return nil })
		if end := <-filled; err != nil || end != nil || !bytes.Equal(out.Bytes(), body) {
			t.Fatalf("%d bytes of %d, %v %v", out.Len(), len(body), err, end)
		}
		if b.ring != nil {
			t.Fatal("the ring was not given back")
		}
	})
}

type cutReader struct {
	io.Reader
	most int
}

func (c *cutReader) Read(b []byte) (int, error) { return c.Reader.Read(b[:min(len(b), c.most)]) }

// TestBehind is acceptance 46 as far as max_async_buf goes, in time: 1000 bytes come each tenth of a second, 2000 may wait.
func TestBehind(t *testing.T) {
	for _, c := range []struct {
		name   string
		burst  int
		takes  func(begun time.Duration) time.Duration // how long the client needs for what it is given
		behind bool
	}{
		{"it keeps up", 0, func(time.Duration) time.Duration { return time.Millisecond }, false},
		{"a slow client with a long burst", 20_000, func(begun time.Duration) time.Duration {
			if begun < 10*time.Second {
				return 150 * time.Millisecond // for 2000 bytes
			}
			return 0
		}, false},
		{"it stops", 0, func(begun time.Duration) time.Duration {
			if begun > 20*time.Second {
				return time.Hour
			}
			return 0
		}, true},
		{"it stops for a moment", 0, func(begun time.Duration) time.Duration {
			if begun > 20*time.Second && begun < 21*time.Second {
				return time.Second
			}
			return 0
		}, false},
		{"it stops at once", 0, func(time.Duration) time.Duration { return time.Hour }, true},
		{"it is a little too slow", 0, func(time.Duration) time.Duration { return 220 * time.Millisecond }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				in, channel := io.Pipe()
				go func() {
					_, _ = channel.Write(make([]byte, c.burst))
					for time.Since(begin) < time.Minute {
						time.Sleep(100 * time.Millisecond)
						if _, err := channel.Write(make([]byte, 1000)); err != nil {
							return
						}
					}
					channel.Close()
				}()
				b := newBacklog(ringsOf(2000), true)
				filled := make(chan error, 1)
				go func() {
					err := b.fill(&Stream{ReadCloser: in})
					in.Close()
					filled <- err
				}()
				err := b.drain(func([]byte, bool) error {
					time.Sleep(c.takes(time.Since(begin)))
					return nil
				})
				if errors.Is(err, errBehind) != c.behind || errors.Is(<-filled, errBehind) != c.behind {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// TestSlowClient is acceptance 46 as far as max_async_buf goes: a client that takes nothing any more is disconnected, and the channel
// let go; another one has every byte for a minute.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, log := newStation("video/mp2t"), new(diary)
		p := NewPlayer(Sink{Buffer: 100_000, Channel: "$news"}, st, 0, log.log())
		l := newPipes()
		s := &http.Server{Handler: p}
		go func() { _ = s.Serve(l) }()
		request := "GET /live.ts HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
		slow, good := l.dial(request), l.dial(request)
		begin := time.Now()
		sent := make(chan int64, 2)
		for range 2 {
			v := <-st.viewers
			go func() {
				n := int64(0)
				defer func() { v.Close(); sent <- n }()
				for time.Since(begin) < time.Minute {
					if _, err := v.Write(make([]byte, 10_000)); err != nil {
						return
					}
					n += 10_000
					time.Sleep(100 * time.Millisecond)
				}
			}()
		}
		if _, err := io.ReadFull(slow, make([]byte, 50_000)); err != nil { // half a second of it
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(good), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		got, err := io.Copy(io.Discard, answer.Body)
		if few, all := <-sent, <-sent; err != nil || got != all || few > 500_000 || all < 5_000_000 {
			t.Errorf("the good one got %d bytes of %d, %v; the slow one was sent %d", got, all, err, few)
		}
		rest, err := io.ReadAll(slow)
		if err != nil || len(rest) > 100_000 || bytes.HasSuffix(rest, []byte("0\r\n\r\n")) {
			t.Errorf("the slow one got %d bytes more, %v", len(rest), err)
		}
		log.await(t, "more than 100000 bytes waited for it")
		s.Close()
	})
}

// pipes are connections in memory.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn)} }

func (p *pipes) dial(request string) net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	_, _ = io.WriteString(near, request)
	return near
}

func (p *pipes) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.conns) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// TestStall: a client that takes nothing at all is ended, whoever watches it.
func TestStall(t *testing.T) {
	testkit.NoLeaks(t)
	for proto, c := range clients(t) {
		for name, sink := range map[string]Sink{"straight": {}, "with a backlog": {Buffer: 100_000}} {
			t.Run(name+" "+proto, func(t *testing.T) {
				st, log := newStation("video/mp2t"), new(diary)
				st.sockets = unixPair(t)
				p := NewPlayer(sink, st, 100*time.Millisecond, log.log())
				s := serve(t, p)
				ended := make(chan error)
				go func() {
					v := <-st.viewers
					for {
						if _, err := v.Write(make([]byte, 32<<10)); err != nil {
							ended <- err
							return
						}
					}
				}()
				answer := get(t, c, http.MethodGet, s.URL+"/live.ts")
				await(t, ended)
				watched(t, p, 0)
				log.await(t, "it took nothing for 100ms")
				if _, err := io.Copy(io.Discard, answer.Body); err == nil {
					t.Error("it looks whole")
				}
			})
		}
	}
}

// TestQuiet: nobody reads from a channel, and so nobody holds a buffer, before there is something to read.
func TestQuiet(t *testing.T) {
	testkit.NoLeaks(t)
	for name, sink := range map[string]Sink{"straight": {}, "with a backlog": {Buffer: 1000}} {
		t.Run(name, func(t *testing.T) {
			gate := &gated{in: make(chan []byte)}
			p := NewPlayer(sink, gate, 0, discard)
			s := serve(t, p)
			answer := get(t, client1(t), http.MethodGet, s.URL+"/live.ts")
			for range 10 {
				body := random(500)
				gate.in <- body
				read(t, answer.Body, body)
			}
			close(gate.in)
			if rest, err := io.ReadAll(answer.Body); len(rest) > 0 || err != nil {
				t.Errorf("%q %v", rest, err)
			}
			if gate.early {
				t.Error("it was read before there was something")
			}
		})
	}
}

// gated is a channel that notes when it is read before there is something.
type gated struct {
	in    chan []byte
	ready []byte
	over  bool
	early bool
}

func (g *gated) wait() error {
	if len(g.ready) == 0 {
		b, ok := <-g.in
		g.ready, g.over = b, !ok
	}
	return nil
}

func (g *gated) Read(b []byte) (int, error) {
	if g.over {
		return 0, io.EOF
	}
	if len(g.ready) == 0 {
		g.early = true
		_ = g.wait()
	}
	n := copy(b, g.ready)
	g.ready = g.ready[n:]
	return n, nil
}

func (g *gated) Close() error { return nil }

func (g *gated) Watch(context.Context, Query) (*Stream, error) {
	return &Stream{ReadCloser: g, Wait: g.wait}, nil
}
