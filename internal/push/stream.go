package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// steady is how long a stream lasts that was well: a failure is a new one then.
const steady = 10 * time.Second

// Stream pushes what open gives as one object, of that media type: opened again when it has failed and Keep is set. Each server has one of
// its own, from open as well; its Close ends a Read that waits. It returns nil when all have come to their end, or ctx has.
func (p *Pusher) Stream(ctx context.Context, mediaType string, open func(context.Context) (io.ReadCloser, error)) error {
	if p.conf.Whole {
		return errors.New("a channel has no length; want cte: true")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := func(ctx context.Context) (opened, error) {
		stream, err := open(ctx)
		if err != nil {
			return opened{}, fmt.Errorf("open what is pushed: %w", err)
		}
		return opened{endless(ctx, stream), mediaType, -1}, nil
	}
	var servers sync.WaitGroup
	for _, s := range p.servers {
		servers.Go(func() {
			if err := s.stream(ctx, begin); err != nil {
				cancel(fmt.Errorf("push to %s: %w", s.to, err))
			}
			s.transport.CloseIdleConnections()
		})
	}
	servers.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// endless is a stream a Read of which ends with ctx.
func endless(ctx context.Context, stream io.ReadCloser) io.ReadCloser {
	once := sync.OnceValue(stream.Close)
	stop := context.AfterFunc(ctx, func() { _ = once() }) // whoever reads is told
	return &closing{stream, func() error { stop(); return once() }}
}

// closing is a reader that is closed otherwise.
type closing struct {
	io.Reader
	close func() error
}

// Close implements io.Closer.
func (c *closing) Close() error { return c.close() }

// stream sends a stream until it ends in order, or ctx does.
func (s *server) stream(ctx context.Context, open func(context.Context) (opened, error)) error {
	method := http.MethodPut
	if s.conf.Post {
		method = http.MethodPost
	}
	var t trouble
	for {
		began := time.Now()
		err := s.send(ctx, method, "", open)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			s.succeeded(1)
			return nil
		}
		if time.Since(began) > steady {
			t = trouble{}
		}
		delay, more := t.again(s.conf, err, time.Now(), rand.Float64())
		if more {
			s.retries(err, delay)
		} else {
			s.lost(s.to.url.Path, err)
			if !s.conf.Keep {
				return err
			}
			t, delay = trouble{}, maxDelay
		}
		if sleep(ctx, delay) != nil {
			return nil
		}
	}
}
