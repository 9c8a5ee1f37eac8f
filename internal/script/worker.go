package script

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/dop251/goja"

	"sluice/internal/logs"
)

// worker runs an engine in a goroutine of its own, which alone touches it.
type worker struct {
	hook   *Hook
	engine *engine       // nil when it has failed: the next request begins another
	ending bool          // the hook is closed
	wake   chan struct{} // holds one: there is something in the box

	mu     sync.Mutex // guards what is below
	box    []*call    // a few for each exchange that is open
	closed bool
}

// call is something that a worker is to do; done gets its error, once.
type call struct {
	run  func() error
	done chan error
}

func newWorker(h *Hook) (*worker, error) {
	w := &worker{hook: h, wake: make(chan struct{}, 1)}
	return w, w.restart()
}

// restart gives the worker an engine in which nothing has happened yet.
func (w *worker) restart() error {
	e, err := newEngine(w.hook.conf.Log)
	if err != nil {
		return err
	}
	if err := w.limited(e, func() error { return e.load(w.hook.program) }); err != nil {
		return err
	}
	w.engine = e
	return nil
}

// run is the goroutine of the worker.
func (w *worker) run() {
	for {
		select {
		case <-w.hook.quit:
			w.end()
			return
		case <-w.wake:
			for _, c := range w.take() {
				c.done <- c.run()
			}
		case x := <-w.hook.asks:
			x.ask(w)
		}
	}
}

// post has the worker do something; false if it has ended.
func (w *worker) post(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.box = append(w.box, c)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return true
}

// take empties the box.
func (w *worker) take() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.box
	w.box = nil
	return calls
}

// end does what is in the box, for requests that have ended want their close, and takes nothing more. When the script fails it is
// over at once.
func (w *worker) end() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.ending = true
	var err error
	for _, c := range w.take() {
		if err == nil {
			err = c.run()
			c.done <- err
		} else {
			c.done <- errClosed
		}
	}
}

// do has the worker do something and waits for it: until ctx ends, the hook is closed, or the worker has not come to its end for as long
// as requests may be parked.
func (w *worker) do(ctx context.Context, run func() error) error {
	c := &call{run: run, done: make(chan error, 1)}
	if !w.post(c) {
		return errClosed
	}
	stuck := time.NewTimer(w.hook.conf.Park)
	defer stuck.Stop()
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return errGone
	case <-stuck.C:
		return errStuck
	}
}

var errTooLong = errors.New("interrupted")

// limited runs a function of the script in an engine, in the goroutine of the worker, not longer than the limit and not beyond Close.
// What it returns is an *Error: 500, or errClosed.
func (w *worker) limited(e *engine, f func() error) error {
	ended, watched, quit := make(chan struct{}), make(chan struct{}), w.hook.quit
	if w.ending {
		quit = nil
	}
	go func() { // it ends before limited does
		defer close(watched)
		limit := time.NewTimer(w.hook.conf.Limit)
		defer limit.Stop()
		select {
		case <-ended:
		case <-limit.C:
			e.vm.Interrupt(errTooLong)
		case <-quit:
			e.vm.Interrupt(errClosed)
		}
	}()
	err := w.guarded(e, f)
	close(ended)
	<-watched
	e.vm.ClearInterrupt()
	if err == nil {
		return nil
	}
	if in, ok := errors.AsType[*goja.InterruptedError](err); ok && in.Value() == errClosed {
		return errClosed
	}
	return &Error{http.StatusInternalServerError, w.explain(err)}
}

// guarded has a panic of the VM itself be an error, and the worker have another engine: nobody knows what the old one is like.
func (w *worker) guarded(e *engine, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the VM has failed: %.200v", p)
			w.hook.limited.Error("the script's VM has failed; it is begun anew", logs.Error, err)
			if w.engine == e {
				w.engine = nil
			}
		}
	}()
	return f()
}

// explain is an error of the VM in one line.
func (w *worker) explain(err error) error {
	if _, long := errors.AsType[*goja.InterruptedError](err); long {
		return fmt.Errorf("the script ran longer than %v at one go: %s", w.hook.conf.Limit, firstLine(err.Error()))
	}
	if _, deep := errors.AsType[*goja.StackOverflowError](err); deep {
		return fmt.Errorf("the script calls functions more than %d deep", maxDepth)
	}
	return errors.New(firstLine(err.Error()))
}
