package duplex

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/testkit"
)

// TestRest: sessions that rest go on as if they had not, again and again.
func TestRest(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := pair(t, in, out, flow.Listener{})
		x := p.group.all()[0]
		for range 20 {
			x.mu.Lock()
			x.restLocked()
			x.mu.Unlock()
			send(t, p.client, "question")
			expect(t, p.remote, "question")
			send(t, p.remote, "answer")
			expect(t, p.client, "answer")
		}
		x.mu.Lock()
		x.restLocked()
		x.mu.Unlock()
		closeWrite(t, p.client)
		expectEnd(t, p.remote)
		closeWrite(t, p.remote)
		expectEnd(t, p.client)
		expectOutcome(t, p.desk.end(t), flow.CauseClient, 160, 120)
	})
}

// disturb has a session rest at any moment, until stop.
func disturb(x *session) (stop func()) {
	ended, disturbed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(disturbed)
		for {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Microsecond):
			}
			x.mu.Lock()
			if !x.over {
				x.restLocked()
			}
			x.mu.Unlock()
		}
	}()
	return func() { close(ended); <-disturbed }
}

func TestRestUnderLoad(t *testing.T) {
	each(t, func(t *testing.T, in, out bool) {
		p := pair(t, in, out, flow.Listener{})
		defer disturb(p.group.all()[0])()
		p.expectBytes(t, 4<<20)
	})
}

// TestRestWithinRecord: what was read of a record already does not wait for the next one.
func TestRestWithinRecord(t *testing.T) {
	testkit.NoLeaks(t)
	p := pair(t, true, true, flow.Listener{Buffer: 100})
	defer disturb(p.group.all()[0])()
	record := strings.Repeat("0123456789", 1000)
	for range 50 {
		send(t, p.client, record)
		expect(t, p.remote, record)
	}
}

// TestComesToRest: it does so by itself, and after bytes once more.
func TestComesToRest(t *testing.T) {
	testkit.NoLeaks(t)
	p := pair(t, true, false, flow.Listener{Idle: time.Hour})
	x := p.group.all()[0]
	for range 2 {
		testkit.Eventually(t, func() error {
			if !x.resting.Load() {
				return errors.New("it does not rest")
			}
			return nil
		})
		send(t, p.client, "word")
		expect(t, p.remote, "word")
	}
}

// TestHalfCloseTimeOfBlocked: a client that takes nothing, not even the end of the remote, has no more time than
// others, also when the session has rested.
func TestHalfCloseTimeOfBlocked(t *testing.T) {
	testkit.NoLeaks(t)
	p := pair(t, true, false, flow.Listener{HalfClose: 20 * time.Millisecond})
	x := p.group.all()[0]
	testkit.Eventually(t, func() error {
		if !x.resting.Load() {
			return errors.New("it does not rest")
		}
		return nil
	})
	full := &x.legs[client].mu // who writes waits
	full.Lock()
	closeWrite(t, p.remote)
	testkit.Eventually(t, func() error {
		if !x.isOver() {
			return errors.New("it goes on")
		}
		return nil
	})
	full.Unlock()
	expectOutcome(t, p.desk.end(t), flow.CauseHalfClosed, 0, 0)
}
