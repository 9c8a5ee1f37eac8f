package auth

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxWaiting is how many requests wait for a vacant helper; beyond it they are
	// answered at once.
	maxWaiting = 1024
	// maxDeaths is how many helpers may die of one request.
	maxDeaths = 2
	// drainTime is how long a pool that is to end goes on answering.
	drainTime = 2 * time.Second
	// helperPatience is how long a helper may take to end with its input; as long again
	// after TERM, then KILL.
	helperPatience = time.Second
)

// pool is the helpers and who waits for them. A keeper each has at most one request: a
// helper is vacant when its keeper receives.
//
//	Ask ──► calls ──┐                  answer
//	   ╲            ├──► keeper ─► helper ────► call.answer ──► Ask
//	    ╰─► again ──┘      │ dies: call.died, and Ask goes to again
//	                       ╰ the next helper, after a back-off
type pool struct {
	command  []string
	keepers  int
	timeout  time.Duration // a helper that has had a request for so long is killed
	end      string        // of the line of a request
	listener bool
	patience time.Duration // helperPatience; tests change it
	log      *slog.Logger  // limited
	count    atomic.Uint64

	calls chan *call    // unbuffered, so that who stops waiting leaves nothing behind; senders are served in their order
	again chan *call    // likewise; is served first
	ended chan struct{} // closed when no helper will answer any more

	mu     sync.Mutex // guards what follows
	asking int
	coming int           // of those who are not asking: the hook is asked about them first
	idle   chan struct{} // closed when nobody is asking or coming any more; nil before drain
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
	asked  bool // it died with the request, perhaps of it
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
		end: end, listener: c.ListenerAlias, patience: helperPatience, log: log,
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
	line := p.calls
	for deaths := 0; deaths < maxDeaths; line = p.again {
		c := &call{fields: fields, remember: remember, outcome: make(chan outcome, 1)}
		o := p.put(ctx, line, c)
		switch {
		case !o.died:
			return o.answer, false
		case o.asked:
			deaths++
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
	p.restLocked()
}

// come announces who may ask in a while, until went is called.
func (p *pool) come() (went func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.coming++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.coming--
		p.restLocked()
	}
}

// restLocked tells drain when nobody is left.
func (p *pool) restLocked() {
	if p.asking+p.coming == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

// drain waits until nobody is asking or coming, for drainTime at most.
func (p *pool) drain() {
	p.mu.Lock()
	if p.asking+p.coming == 0 {
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
