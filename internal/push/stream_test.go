package push

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
)

// channel is what is pushed as one object: each opening of it is a pipe of its own.
type channel struct {
	opened chan *io.PipeWriter
	refuse chan error
}

func newChannel() *channel { return &channel{make(chan *io.PipeWriter, 10), make(chan error, 10)} }

func (c *channel) open(context.Context) (io.ReadCloser, error) {
	select {
	case err := <-c.refuse:
		return nil, err
	default:
	}
	r, w := io.Pipe()
	c.opened <- w
	return r, nil
}

// streaming pushes a channel.
func streaming(t *testing.T, c *channel, conf Config) *pushing {
	t.Helper()
	p := newPusher(t, conf)
	return start(t, p, func(ctx context.Context) error { return p.Stream(ctx, "video/mp2t", c.open) })
}

// Acceptance 50: a channel is one endless object at each server, which ends with the channel.
func TestStream(t *testing.T) {
	a, b := serve(t, nil), serve(t, nil)
	c := newChannel()
	p := streaming(t, c, Config{To: []string{a.URL + "/up/live.ts", b.URL + "/live.ts"}, Post: true})
	first, second := next(t, c.opened), next(t, c.opened)
	for _, w := range []*io.PipeWriter{first, second} {
		write(t, w, "one ")
		write(t, w, "two")
		w.Close()
	}
	if err := next(t, p.err); err != nil {
		t.Error(err)
	}
	a.holds(t, "/up/live.ts", "one two")
	b.holds(t, "/live.ts", "one two")
	if x := next(t, a.done); x.method != http.MethodPost || !x.chunked || x.header.Get("Content-Type") != "video/mp2t" {
		t.Errorf("%+v", x)
	}
}

// Acceptance 50: ka. What breaks, the channel, the connection or the server, is begun anew, as long as that is wanted.
func TestStreamAnew(t *testing.T) {
	s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n != 1 {
			return false
		}
		_, _ = io.ReadFull(r.Body, make([]byte, 1))
		hangUp(w)
		return true
	})
	c := newChannel()
	c.refuse <- errTest
	p := streaming(t, c, Config{To: []string{s.URL + "/live.ts"}, Keep: true})
	w := next(t, c.opened)
	write(t, w, "begun")
	next(t, s.begun)
	w.CloseWithError(errTest)
	if x := next(t, s.done); x.broken == nil {
		t.Errorf("the server takes %q for complete", x.body)
	}
	w = next(t, c.opened)
	write(t, w, "x")
	next(t, s.done)
	for gone := error(nil); gone == nil; { // until it is noticed that nobody is there any more
		_, gone = w.Write([]byte("y"))
	}
	w = next(t, c.opened)
	write(t, w, "again")
	w.Close()
	if err := next(t, p.err); err != nil {
		t.Error(err)
	}
	s.holds(t, "/live.ts", "again")
	if r := p.Report()[0]; r.Retries != 3 || r.Failed != 0 || r.Objects != 1 || r.Error != "" {
		t.Errorf("report %+v", r)
	}
}

// Without ka a failure that lasts ends the push, and what is said tells whose it is.
func TestStreamEnds(t *testing.T) {
	s := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		answerAtOnce(w)
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	c := newChannel()
	p := streaming(t, c, Config{To: []string{s.URL + "/live.ts"}})
	_, _ = next(t, c.opened).Write([]byte("x")) // it may be refused meanwhile
	has(t, next(t, p.err), "403", s.URL)

	c.refuse <- errTest
	c.refuse <- errTest
	q := streaming(t, c, Config{To: []string{s.URL}, Tries: 2})
	if err := next(t, q.err); !errors.Is(err, errTest) {
		t.Error(err)
	}
	has(t, newPusher(t, Config{To: []string{s.URL}, Whole: true}).Stream(t.Context(), "", c.open), "no length")
}

// A stream that brings nothing ends with its push.
func TestStreamIsStopped(t *testing.T) {
	s := serve(t, nil)
	c := newChannel()
	p := streaming(t, c, Config{To: []string{s.URL}, Keep: true, Timeout: -1})
	w := next(t, c.opened)
	write(t, w, "x")
	next(t, s.begun)
	p.stop()
	if err := next(t, p.err); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("y")); err == nil {
		t.Error("the channel is still read")
	}
	if x := next(t, s.done); x.broken == nil {
		t.Errorf("the server takes %q for complete", x.body)
	}
}
