package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Signals returns two contexts: stop ends at the first INT, TERM or HUP, kill at
// the second. A HUP that was
// ignored when the program started (nohup) stays ignored. end gives the signals
// back and ends both contexts.
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

// listen cancels one after the other, a signal each, until heard is closed.
func listen(heard <-chan os.Signal, cancels ...context.CancelCauseFunc) {
	n := 0
	for s := range heard {
		if n < len(cancels) {
			cancels[n](fmt.Errorf("signal: %s", s))
		}
		n++
	}
}
