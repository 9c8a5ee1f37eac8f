package live

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// outlet is an answer that goes out as its bytes come. Its methods are of the goroutine of the request, but for cutOff.
type outlet struct {
	out     io.Writer // the ResponseWriter, or what puts something between
	control *http.ResponseController
	stall   time.Duration // that whoever gets it may take nothing; 0 = for ever
	cut     atomic.Bool   // it is to end
}

// newOutlet lifts the server's time-out for reading, which is for requests that are answered at once: it would end their context.
func newOutlet(w http.ResponseWriter, stall time.Duration) (*outlet, error) {
	o := &outlet{out: w, control: http.NewResponseController(w), stall: stall}
	if err := o.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("lift the time-out for reading: %w", err)
	}
	return o, nil
}

var (
	errLate = errors.New("nothing was taken in time")
	errCut  = errors.New("it was cut off")
)

// pass writes b, and waits until it is taken; more says that more comes at once. Its error is errLate when nobody took it.
func (o *outlet) pass(b []byte, more bool) error {
	var late time.Time
	if o.stall > 0 {
		late = time.Now().Add(o.stall)
	}
	if err := o.control.SetWriteDeadline(late); err != nil {
		return fmt.Errorf("bound the time for writing: %w", err)
	}
	if o.cut.Load() { // if not, cutOff comes later, and its deadline is the last
		return errCut
	}
	_, err := o.out.Write(b)
	if err == nil && !more {
		err = o.control.Flush()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errLate
	}
	if err == nil && o.stall > 0 { // a channel may be silent longer than that, before it ends, too
		err = o.control.SetWriteDeadline(time.Time{})
	}
	return err
}

// cutOff has pass end now and for ever.
func (o *outlet) cutOff() {
	o.cut.Store(true)
	_ = o.control.SetWriteDeadline(time.Unix(1, 0)) // where that cannot be, pass has said so
}
