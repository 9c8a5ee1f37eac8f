package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"sluice/internal/logs"
)

// maxGarbage is how many lines that are no answer a helper may write to one request.
const maxGarbage = 100

// Why a helper is of no more use.
var (
	errEnded    = errors.New("its output ended")
	errUnasked  = errors.New("it wrote without being asked")
	errTooLong  = errors.New("it wrote a line that is too long")
	errGarbage  = errors.New("it wrote many lines that are no answer")
	errTimedOut = errors.New("it did not answer in time")
)

// keep keeps one helper running until ctx ends.
func (p *pool) keep(ctx context.Context) {
	var r respawn
	for ctx.Err() == nil {
		began := time.Now()
		h, err := startHelper(p.command, p.patience, p.log)
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
	died := outcome{died: true, asked: true}
	for garbage := 0; ; {
		select {
		case l := <-h.lines:
			allowed, valid := parseAnswer(l.text, id)
			switch {
			case l.err != nil:
				return died, l.err
			case valid && l.more: // what would it answer to the next request, before that was made?
				return died, errUnasked
			case valid && allowed:
				return outcome{}, nil
			case valid:
				return outcome{answer: refused("denied by a helper")}, nil
			}
			if garbage++; garbage > maxGarbage {
				return died, errGarbage
			}
			p.log.Warn("authorization helper wrote no answer to what it was asked", logs.PID, h.pid(), "text", masked(l.text))
		case <-late.C:
			return p.tooSlow(h)
		case <-ctx.Done():
			return died, ctx.Err()
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
