package pipe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"sluice/internal/endpoint"
	"sluice/internal/endpoint/endtest"
	"sluice/internal/endpoint/pipe"
	"sluice/internal/testkit"
	"sluice/internal/uri"
)

// talk is an opener whose sources are what a test says.
type talk struct {
	pipe.Pumps
	now *words
}

// words are those of one source; nil ends it in order, an empty one breaks it.
type words struct {
	next chan []byte
}

var errBroke = errors.New("broke")

func (o *talk) Open(_ context.Context, _ endpoint.Want) (endpoint.Source, error) {
	w := &words{next: make(chan []byte, 1000)}
	o.now = w
	return o.Pumps.Open(pipe.Traits{Tag: "TALK", Patient: true}, w.pump)
}

func (w *words) pump(ctx context.Context, to io.Writer) error {
	for {
		select {
		case b := <-w.next:
			if b == nil {
				return nil
			}
			if len(b) == 0 {
				return errBroke
			}
			if _, err := to.Write(b); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *talk) Close() error {
	o.Wait()
	return nil
}

func TestSuite(t *testing.T) {
	testkit.NoLeaks(t)
	var o *talk
	endtest.RunStream(t, endtest.Stream{
		Make:   func() endtest.Closer { o = &talk{}; return o },
		Want:   endpoint.Want{Source: uri.Source{{Scheme: uri.TCP, Host: "talk:1"}}},
		Send:   func(_ *testing.T, b []byte) { o.now.next <- b },
		Finish: func(*testing.T) { o.now.next <- nil },
		Break:  func(*testing.T) { o.now.next <- []byte{} },
	})
}

// TestErrors: why a pump ended is told, with the tag, behind all that it wrote.
func TestErrors(t *testing.T) {
	o := &talk{}
	defer o.Close()
	src, err := o.Open(t.Context(), endpoint.Want{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	o.now.next <- []byte("some")
	o.now.next <- []byte{}
	w := endtest.NewWindow(t)
	if err := endtest.DrainAll(t, src, w); !errors.Is(err, errBroke) || err.Error() != "TALK: broke" || string(w.All()) != "some" {
		t.Errorf("%q, %v", w.All(), err)
	}
}

// BenchmarkWays compares a connection that is drained from its socket with one whose bytes
// come through a pipe.
func BenchmarkWays(b *testing.B) {
	for name, open := range map[string]func(*pipe.Pumps, *net.TCPConn) (*pipe.Source, error){
		"socket": func(_ *pipe.Pumps, c *net.TCPConn) (*pipe.Source, error) { return pipe.FromConn(pipe.Traits{}, c) },
		"pipe": func(p *pipe.Pumps, c *net.TCPConn) (*pipe.Source, error) {
			return p.Open(pipe.Traits{}, func(_ context.Context, w io.Writer) error {
				defer c.Close()
				_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{c}, make([]byte, 64<<10))
				return err
			})
		},
	} {
		b.Run(name, func(b *testing.B) { relay(b, open) })
	}
}

const perRound = 1 << 20

func relay(b *testing.B, open func(*pipe.Pumps, *net.TCPConn) (*pipe.Source, error)) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for buf := make([]byte, perRound); err == nil; {
			_, err = c.Write(buf)
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	var pumps pipe.Pumps
	src, err := open(&pumps, c.(*net.TCPConn))
	if err != nil {
		b.Fatal(err)
	}
	defer pumps.Wait()
	defer src.Close()
	b.SetBytes(perRound)
	w := &sink{buf: make([]byte, 128<<10)}
	for b.Loop() {
		for w.n = 0; w.n < perRound; {
			if err := src.Drain(0, w); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// sink takes everything and keeps nothing.
type sink struct {
	buf []byte
	n   int
}

func (s *sink) Reserve(int) []byte { return s.buf }
func (s *sink) Commit(n int)       { s.n += n }
