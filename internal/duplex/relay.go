package duplex

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"sluice/internal/flow"
)

// errNoNotify says that an end may not be the whole truth.
var errNoNotify = errors.New("it ended TLS without close_notify")

// pump carries bytes in one direction until it ends. Nothing stands on its stack but what
// it needs to wait.
func (x *session) pump(from, to int) {
	for x.pass(from, to) {
	}
	if x.legs[from].rests {
		x.legs[from].rests = false
		go x.pump(from, to)
		return
	}
	if x.pumping.Add(-1) == 0 {
		x.conclude()
		x.end()
	}
}

// pass carries what comes next, and says whether there may be more.
func (x *session) pass(from, to int) bool {
	a, b := x.legs[from], x.legs[to] // both stay until the end
	buffer, n, err := a.receive()
	if errors.Is(err, os.ErrDeadlineExceeded) && x.rest(a) {
		return false
	}
	if buffer != nil {
		defer a.buffers.plain.Put(buffer)
	}
	if n > 0 {
		x.touch()
		taken, failed := b.send((*buffer)[:n])
		x.moved[to].Add(int64(taken))
		x.touch()
		if failed != nil {
			x.broken(to, failed)
			return false
		}
	}
	if err != nil {
		x.ended(from, to, err)
	}
	return err == nil
}

// touch says that a byte is carried.
func (x *session) touch() {
	x.quiet.Store(int64(x.now()))
	if x.resting.Load() {
		x.resting.Store(false)
		x.look()
	}
}

// look ends the session if it was quiet for too long, lets it rest if it was for a while, and else
// looks again in time.
func (x *session) look() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	now, last := x.now(), time.Duration(x.quiet.Load())
	why, wait := x.limits.due(now, last, x.half)
	if why != flow.CauseNone {
		x.how.cause = why
		x.finishLocked()
		return
	}
	if awake := last + restAfter - now; x.resting.Load() {
		// until the next touch
	} else if awake <= 0 {
		x.restLocked()
	} else if wait == 0 || awake < wait {
		wait = awake
	}
	switch {
	case wait == 0:
	case x.timer == nil:
		x.timer = time.AfterFunc(wait, x.look)
	default:
		x.timer.Reset(wait)
	}
}

// ended passes on that nothing more comes from a side.
func (x *session) ended(from, to int, err error) {
	a, b := x.legs[from], x.legs[to]
	if a.eof && a.endOfReset() {
		err = syscall.ECONNRESET
	}
	if !errors.Is(err, io.EOF) {
		x.blame(from, err, true)
		x.conclude()
		return
	}
	proved := a.tls == nil || !a.eof
	if proved {
		x.blame(from, nil, false)
	} else {
		x.blame(from, errNoNotify, false)
	}
	x.look() // to end the other side may take as long as that takes nothing
	switch err := b.end(proved); {
	case err != nil:
		x.broken(to, err)
	case a.sctp, b.sctp && from == remote: // it has ended in both directions; a client learns the remote's end in no other way
		x.conclude()
	}
}

// broken says that a side takes nothing any more. What it has sent before is still there
// to be read, and then its end.
func (x *session) broken(side int, err error) {
	x.blame(side, err, true)
	x.look()
}

// blame notes that a side has ended, or failed with an error: then the other one is reset in
// the end. The first that is blamed is the cause.
func (x *session) blame(side int, err error, failed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return // that is why
	}
	if x.half == never {
		x.half = x.now()
	}
	l := x.legs[side]
	if x.how.cause == flow.CauseNone {
		x.how.cause = l.cause
	}
	if err != nil && x.how.err == nil {
		x.how.err = fmt.Errorf("%s: %w", l.name, err)
	}
	x.how.reset[1-side] = x.how.reset[1-side] || failed
}

// conclude ends the session for what was blamed.
func (x *session) conclude() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		x.finishLocked()
	}
}
