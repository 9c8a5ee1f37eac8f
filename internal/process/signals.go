package process

import (
	"context"
	"os"
	"os/signal"
	"slices"
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

// Asked is what signals ask of this process. The channels hold one request each: one
// that comes while another of its kind waits is the same.
type Asked struct {
	Stop context.Context // ends at the first INT, TERM or QUIT; the cause is a *SignalError
	Kill context.Context // ends at the second, which must come 100 ms after it at the least

	Reload <-chan os.Signal // HUP: read the configuration again
	Rotate <-chan os.Signal // USR1: rotate the logs
	Reset  <-chan os.Signal // USR2: drop all channels and clients

	end func()
}

// Signals takes the signals for as long as the process lives; End ends only the hearing. A
// signal in ends asks for the end, too, in place of what it asks for else.
func Signals(ctx context.Context, ends ...os.Signal) *Asked {
	stop, cancelStop := context.WithCancelCause(ctx)
	kill, cancelKill := context.WithCancelCause(ctx)
	reload, rotate, reset := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)
	for sig, c := range map[os.Signal]chan os.Signal{syscall.SIGHUP: reload, syscall.SIGUSR1: rotate, syscall.SIGUSR2: reset} {
		if !slices.Contains(ends, sig) {
			signal.Notify(c, sig)
		}
	}
	heard, over := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(heard, append(ends, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)...)

	var wg sync.WaitGroup
	wg.Go(func() { listen(heard, over, cancelStop, cancelKill) })
	return &Asked{
		Stop: stop, Kill: kill, Reload: reload, Rotate: rotate, Reset: reset,
		end: func() {
			close(over)
			wg.Wait()
			cancelStop(nil)
			cancelKill(nil)
		},
	}
}

// End ends both contexts. The signals are not given back: one that comes while a process
// says farewell, as timeout(1) sends it, must not make its good end look like a death.
func (a *Asked) End() { a.end() }

// Answers says what is done at the signals that do not end a process. Those that are nil
// change nothing.
type Answers struct{ Reload, Rotate, Reset func() }

// Answer calls the functions when they are asked for, one at a time, until ctx ends.
func (a *Asked) Answer(ctx context.Context, do Answers) {
	for {
		var f func()
		select {
		case <-a.Reload:
			f = do.Reload
		case <-a.Rotate:
			f = do.Rotate
		case <-a.Reset:
			f = do.Reset
		case <-ctx.Done():
			return
		}
		if f != nil {
			f()
		}
	}
}

// listen cancels one after the other, a burst of signals each, until over is closed.
func listen(heard <-chan os.Signal, over <-chan struct{}, cancels ...context.CancelCauseFunc) {
	var last time.Time
	for {
		select {
		case s := <-heard:
			if len(cancels) > 0 && time.Since(last) >= signalBurst {
				cancels[0](&SignalError{s})
				cancels, last = cancels[1:], time.Now()
			}
		case <-over:
			return
		}
	}
}
