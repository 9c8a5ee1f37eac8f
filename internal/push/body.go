package push

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// patience ends an attempt when the server does nothing for too long: it does not answer a call, take bytes, or say
// what became of them. It is off while the server waits for us.
type patience struct {
	limit time.Duration // negative = without end
	timer *time.Timer
}

// newPatience makes one that is off.
func newPatience(limit time.Duration, end func()) *patience {
	p := &patience{limit: limit, timer: time.AfterFunc(math.MaxInt64, end)}
	p.off()
	return p
}

// off says that the server has nothing to do.
func (p *patience) off() { p.timer.Stop() }

// on says that it has.
func (p *patience) on() {
	if p.limit >= 0 {
		p.timer.Reset(p.limit)
	}
}

// body is what one request sends. A transport may close it from any goroutine, also while it reads.
type body struct {
	patience *patience
	count    *atomic.Uint64  // bytes
	ctx      context.Context // of what is opened
	stop     context.CancelFunc
	closed   chan struct{} // closed when what was opened is

	mu   sync.Mutex // guards what is below
	what opened
	sent int64
	all  bool  // there is no more
	err  error // ours, not because it was stopped
	over bool  // it is closed
}

// newBody makes a body that is to be opened with its ctx.
func newBody(ctx context.Context, p *patience, count *atomic.Uint64) *body {
	ctx, stop := context.WithCancel(ctx)
	return &body{patience: p, count: count, ctx: ctx, stop: stop, closed: make(chan struct{})}
}

// open opens what is sent. When it fails there is nothing to close.
func (b *body) open(open func(context.Context) (opened, error)) error {
	what, err := open(b.ctx)
	if err != nil {
		b.stop()
		return err
	}
	b.what, b.all = what, what.size == 0
	return nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, fs.ErrClosed
	}
	if b.what.size >= 0 {
		p = p[:min(int64(len(p)), b.what.size-b.sent)]
		if len(p) == 0 {
			b.all = true
			return 0, io.EOF
		}
	}
	b.patience.off()
	n, err := b.what.Read(p)
	b.patience.on()
	b.sent += int64(n)
	b.count.Add(uint64(n))
	switch {
	case b.sent == b.what.size, errors.Is(err, io.EOF) && b.what.size < 0:
		b.all = true
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !b.all && b.ctx.Err() == nil {
		b.err = err
	}
	return n, err
}

// Close implements io.Closer. It ends a Read that waits.
func (b *body) Close() error {
	b.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return nil
	}
	b.over = true
	defer close(b.closed)
	return b.what.Close()
}

// outcome is whether all was read, and why not if that is our fault. It waits until nobody reads any more.
func (b *body) outcome() (all bool, err error) {
	<-b.closed
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all, b.err
}
