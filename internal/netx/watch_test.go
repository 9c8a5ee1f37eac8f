package netx

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestCallAfterPauses: a storm of events is ten calls a second, and the last event is
// followed by a call.
func TestCallAfterPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		events := make(chan struct{}, 1)
		calls, done := 0, make(chan error)
		wait := func() error {
			select {
			case <-events:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		go func() { done <- callAfter(ctx, wait, func() { calls++ }) }()
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d calls when it listens, want 1", calls)
		}
		event := func() {
			select {
			case events <- struct{}{}:
			default:
			}
		}
		for range 999 { // an event a millisecond, the last one before the last pause ends
			time.Sleep(time.Millisecond)
			event()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if calls != 11 {
			t.Errorf("%d calls in a second of events, want 11", calls)
		}
		event()
		synctest.Wait()
		if calls != 12 {
			t.Errorf("%d calls after a late event, want 12", calls)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestCallAfterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		if err := callAfter(t.Context(), func() error { return broken }, func() {}); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	})
}
