package process

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// signalBurst is how long after a signal another one is taken for the same: a sender
// that signals the process and then its group, as timeout(1) does, sends two.
const signalBurst = 100 * time.Millisecond

// SignalError is the cause of a context that a signal has ended. It is a
// context.Canceled, since the end was asked for.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return "signal: " + e.Signal.String() }

// Is makes it one with context.Canceled.
func (e *SignalError) Is(target error) bool { return target == context.Canceled }

// Signals returns two contexts: stop ends at the first INT, TERM or HUP, kill at
// the second, which must come 100 ms after it at the least; their cause is a
// *SignalError. A HUP that was ignored when the program started (nohup) stays
// ignored. end gives the signals back and ends both contexts.
func Signals(ctx context.Context) (stop, kill context.Context, end func()) {
	stop, cancelStop := context.WithCancelCause(ctx)
	kill, cancelKill := context.WithCancelCause(ctx)
	heard := make(chan os.Signal, 2)
	signal.Notify(heard, orderly()...)

	var wg sync.WaitGroup
	wg.Go(func() { listen(heard, cancelStop, cancelKill) })
	return stop, kill, func() {
		signal.Stop(heard)
		close(heard)
		wg.Wait()
		cancelStop(nil)
		cancelKill(nil)
	}
}

// orderly lists the signals that ask for an end.
func orderly() []os.Signal {
	asked := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		asked = append(asked, syscall.SIGHUP)
	}
	return asked
}

// listen cancels one after the other, a burst of signals each, until heard is closed.
func listen(heard <-chan os.Signal, cancels ...context.CancelCauseFunc) {
	var last time.Time
	for s := range heard {
		if len(cancels) > 0 && time.Since(last) >= signalBurst {
			cancels[0](&SignalError{s})
			cancels, last = cancels[1:], time.Now()
		}
	}
}
