package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/logs"
)

const (
	// maxWaiting is how many requests wait for a vacant helper; beyond it they are
	// answered at once.
	maxWaiting = 1024
	// drainTime is how long a pool that is to end goes on answering.
	drainTime = 2 * time.Second
)

// pool is the helpers and who waits for them. A keeper each has at most one request: a
// helper is vacant when its keeper receives.
//
//	Ask ──► calls ──┐                  answer
//	   ╲            ├──► keeper ─► helper ────► call.answer ──► Ask
//	    ╰─► again ──┘      │ dies: call.died, and Ask goes to again, once
//	                       ╰ the next helper, after a back-off
type pool struct {
	command  []string
	keepers  int
	timeout  time.Duration // a helper that has had a request for so long is killed
	end      string        // of the line of a request
	listener bool
	log      *slog.Logger // limited
	count    atomic.Uint64

	calls chan *call    // unbuffered, so that who stops waiting leaves nothing behind; senders are served in their order
	again chan *call    // likewise; is served first
	ended chan struct{} // closed when no helper will answer any more

	mu     sync.Mutex // guards what follows
	asking int
	idle   chan struct{} // closed when nobody is asking any more; nil before drain
}

// call is a request on its way.
type call struct {
	fields   string       // of the request line
	remember func(Answer) // is told an answer that a helper gave, whether anybody still waits for it or not
	outcome  chan outcome // for one
}

// outcome of a call: an answer, or died.
type outcome struct {
	answer Answer
	died   bool // the helper did not answer and cannot any more: another one may
}

func newPool(c Config, timeout time.Duration, log *slog.Logger) (*pool, error) {
	command, err := findProgram(c.Helper)
	if err != nil {
		return nil, err
	}
	end := "\n"
	if c.CRLF {
		end = "\r\n"
	}
	return &pool{
		command: command, keepers: cmp.Or(c.Helpers, defaultHelpers), timeout: timeout,
		end: end, listener: c.ListenerAlias, log: log,
		calls: make(chan *call), again: make(chan *call), ended: make(chan struct{}),
	}, nil
}

// run keeps the helpers until ctx ends, drains, ends the helpers and awaits them.
func (p *pool) run(ctx context.Context) {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var keepers sync.WaitGroup
	for range p.keepers {
		keepers.Go(func() { p.keep(work) })
	}
	<-ctx.Done()
	p.drain()
	close(p.ended)
	stop()
	keepers.Wait()
}

// ask gets an answer before ctx ends, or says 504. remember is told of it, perhaps later.
func (p *pool) ask(ctx context.Context, q *Question, remember func(Answer)) (a Answer, busy bool) {
	if !p.enter() {
		p.log.Warn("authorization is busy: more helpers are needed, or faster ones")
		return unanswered("too many wait for a helper"), true
	}
	defer p.leave()
	fields := q.fields(p.listener)
	for _, line := range []chan *call{p.calls, p.again} {
		c := &call{fields: fields, remember: remember, outcome: make(chan outcome, 1)}
		if o := p.put(ctx, line, c); !o.died {
			return o.answer, false
		}
	}
	return unanswered("the helpers ended while they were asked"), false
}

// put puts c in line and awaits what comes of it.
func (p *pool) put(ctx context.Context, line chan<- *call, c *call) outcome {
	select {
	case line <- c:
	case <-p.ended:
		return outcome{answer: unanswered("authorization ends")}
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return outcome{answer: gone()}
		}
		p.log.Warn("no authorization helper was vacant in time: more are needed, or faster ones")
		return outcome{answer: unanswered("no helper was vacant in time")}
	}
	select {
	case o := <-c.outcome:
		return o
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return outcome{answer: gone()}
		}
		return outcome{answer: unanswered("the helper did not answer in time")}
	}
}

func (p *pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking >= p.keepers+maxWaiting {
		return false
	}
	p.asking++
	return true
}

func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking--
	if p.asking == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

// drain waits until nobody is asking, for drainTime at most.
func (p *pool) drain() {
	p.mu.Lock()
	if p.asking == 0 {
		p.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	p.idle = idle
	p.mu.Unlock()
	late := time.NewTimer(drainTime)
	defer late.Stop()
	select {
	case <-idle:
	case <-late.C:
	}
}

// keep keeps one helper running until ctx ends.
func (p *pool) keep(ctx context.Context) {
	var r respawn
	for ctx.Err() == nil {
		began := time.Now()
		h, err := startHelper(p.command, p.log)
		if err == nil {
			p.log.Debug("authorization helper started", logs.PID, h.pid())
			err = p.serve(ctx, h)
		}
		if ctx.Err() != nil {
			return
		}
		delay := r.next(time.Since(began))
		p.log.Warn("authorization helper ended, starting another one", logs.Reason, err, logs.Delay, delay)
		wait(ctx, delay)
	}
}

// serve gives the calls to h until it is of no more use, and says why that is. h has
// ended then.
func (p *pool) serve(ctx context.Context, h *helper) error {
	for {
		c, err := p.next(ctx, h)
		if err == nil {
			err = p.answer(ctx, h, c)
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			h.end()
			return ctx.Err()
		default:
			h.kill()
			return fmt.Errorf("%w (%s)", err, h.state())
		}
	}
}

var (
	errEnded    = errors.New("its output ended")
	errUnasked  = errors.New("it wrote without being asked")
	errTooLong  = errors.New("it wrote a line that is too long")
	errTimedOut = errors.New("it did not answer in time")
)

// next waits for a call, first of those whose helper died. Meanwhile h has to be silent.
func (p *pool) next(ctx context.Context, h *helper) (*call, error) {
	select {
	case c := <-p.again:
		return c, nil
	default:
	}
	select {
	case c := <-p.again:
		return c, nil
	case c := <-p.calls:
		return c, nil
	case l := <-h.lines:
		return nil, unasked(l)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// unasked is what is wrong with a line that nobody waits for.
func unasked(l line) error {
	if l.err != nil {
		return l.err
	}
	return errUnasked
}

// answer has h answer c. After an error h is of no more use; c has had its outcome in any case.
func (p *pool) answer(ctx context.Context, h *helper, c *call) error {
	o, err := p.converse(ctx, h, c)
	if err == nil {
		c.remember(o.answer)
	}
	c.outcome <- o
	return err
}

// converse writes the request and reads until its answer comes.
func (p *pool) converse(ctx context.Context, h *helper, c *call) (outcome, error) {
	select {
	case l := <-h.lines: // it may have come just before c did
		return outcome{died: true}, unasked(l)
	default:
	}
	id := requestID(p.count.Add(1))
	late := time.NewTimer(p.timeout)
	defer late.Stop()
	err := p.write(ctx, h, id+" "+c.fields+p.end)
	switch {
	case err != nil && ctx.Err() != nil:
		return outcome{died: true}, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return p.tooSlow(h)
	case err != nil:
		return outcome{died: true}, errEnded
	}
	for {
		select {
		case l := <-h.lines:
			allowed, valid := parseAnswer(l.text, id)
			switch {
			case l.err != nil:
				return outcome{died: true}, l.err
			case valid && l.more: // what would it answer to the next request, before that was made?
				return outcome{died: true}, errUnasked
			case valid && allowed:
				return outcome{}, nil
			case valid:
				return outcome{answer: refused("denied by a helper")}, nil
			}
			p.log.Warn("authorization helper wrote no answer to what it was asked", logs.PID, h.pid(), "text", masked(l.text))
		case <-late.C:
			return p.tooSlow(h)
		case <-ctx.Done():
			return outcome{died: true}, ctx.Err()
		}
	}
}

// write does not wait beyond the time-out, or ctx, for a helper that does not read.
func (p *pool) write(ctx context.Context, h *helper, line string) error {
	_ = h.in.SetWriteDeadline(time.Now().Add(p.timeout))
	defer context.AfterFunc(ctx, func() { _ = h.in.SetWriteDeadline(time.Unix(1, 0)) })()
	_, err := h.in.WriteString(line)
	return err
}

// tooSlow tells of a helper that let a request time out.
func (p *pool) tooSlow(h *helper) (outcome, error) {
	p.log.Warn("authorization helper is slow, it is killed", logs.PID, h.pid(), "timeout", p.timeout)
	return outcome{answer: unanswered("the helper did not answer in time")}, errTimedOut
}
