package script

import (
	"context"
	"errors"
	"sync"

	"github.com/dop251/goja"

	"sluice/internal/logs"
)

// Exchange is one request at a script. End must be called, once, when it is over.
type Exchange struct {
	Answer Answer

	hook    *Hook
	asked   Request
	decided chan struct{} // closed when it is settled

	mu      sync.Mutex // guards what is below
	settled bool
	why     *Error  // why there is no answer
	worker  *worker // nil until on_request is called
	ended   bool

	// What is below is the worker's.
	engine *engine
	req    *goja.Object
	buffer goja.ArrayBuffer // that read puts bytes in
	asking bool             // on_request runs
	sent   bool             // send() was called
	live   bool             // on_request has come to its end, and close was not called yet
}

func newExchange(h *Hook, q Request) *Exchange {
	return &Exchange{hook: h, asked: q, decided: make(chan struct{})}
}

// settle says that the answer stands, or why there is none; false if that was said before.
func (x *Exchange) settle(why *Error) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.settled {
		return false
	}
	x.settled, x.why = true, why
	close(x.decided)
	return true
}

// outcome is what Ask returns of an exchange that is settled.
func (x *Exchange) outcome() (*Exchange, error) {
	x.mu.Lock()
	why := x.why
	x.mu.Unlock()
	if why == nil {
		return x, nil
	}
	x.End(-1)
	return nil, why
}

// start gives the exchange to a worker; false if nobody waits for it any more.
func (x *Exchange) start(w *worker) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.settled {
		return false
	}
	x.worker = w
	return true
}

// ask calls on_request, in the goroutine of the worker.
func (x *Exchange) ask(w *worker) {
	if !x.start(w) {
		return
	}
	if w.engine == nil {
		if err := w.restart(); err != nil {
			x.fail(err)
			return
		}
	}
	x.engine, x.asking = w.engine, true
	err := w.limited(x.engine, func() error {
		if x.req = x.newObject(); x.req == nil {
			return errors.New("a request cannot be made an object of the script")
		}
		value, err := x.engine.onRequest(x.engine.httpout, x.req)
		if err != nil {
			return err
		}
		return rejected(value)
	})
	x.asking = false
	switch {
	case err != nil:
		x.fail(err)
	case x.sent:
		x.live = true
		x.settle(nil)
	default:
		x.live = true // it is parked
	}
}

func (x *Exchange) fail(err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		x.settle(e)
		return
	}
	x.settle(&Error{500, err})
}

// rejected is the error of an on_request that is async and has failed before it waited for anything.
func rejected(value goja.Value) error {
	if p, ok := value.Export().(*goja.Promise); ok && p.State() == goja.PromiseStateRejected {
		return errors.New(p.Result().String())
	}
	return nil
}

// End calls close(code) of the script exactly once: 0 done, 1 request over and connection kept, negative: broken off. It does not wait.
func (x *Exchange) End(code int) {
	x.mu.Lock()
	w, first := x.worker, !x.ended
	x.ended = true
	x.mu.Unlock()
	if w == nil || !first {
		return
	}
	w.post(&call{run: func() error { return x.close(w, code) }, done: make(chan error, 1)})
}

// close calls close(code), in the goroutine of the worker.
func (x *Exchange) close(w *worker, code int) error {
	if !x.live {
		return nil
	}
	x.live = false
	err := w.limited(x.engine, func() error {
		f, ok := goja.AssertFunction(x.req.Get("close"))
		if !ok {
			return nil
		}
		_, err := f(x.req, x.engine.vm.ToValue(code))
		return err
	})
	if err != nil {
		x.hook.limited.Warn("the script has failed in close", logs.Error, err)
	}
	return err
}

// call has the worker run a function of the script for this exchange, and waits for it. What f writes is read only when
// there is no error: it may still run when the client has gone.
func (x *Exchange) call(ctx context.Context, f func() error) error {
	x.mu.Lock()
	w := x.worker
	x.mu.Unlock()
	return w.do(ctx, func() error {
		if !x.live {
			return errGone
		}
		return w.limited(x.engine, f)
	})
}
