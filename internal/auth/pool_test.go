package auth

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// idlePool is a pool without helpers: the test receives the calls.
func idlePool(helpers int) *pool {
	return &pool{
		keepers: helpers, timeout: time.Second, log: slog.New(slog.DiscardHandler),
		calls: make(chan *call), again: make(chan *call), ended: make(chan struct{}),
	}
}

func forget(Answer) {}

func testOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := idlePool(1)
		for i := range 100 {
			go p.ask(t.Context(), &Question{Source: fmt.Sprint(i)}, forget)
			synctest.Wait()
		}
		for i := range 100 {
			c := <-p.calls
			if want := fmt.Sprintf("- %d -", i); c.fields != want {
				t.Fatalf("call %d is %q, want %q", i, c.fields, want)
			}
			c.outcome <- outcome{}
		}
		synctest.Wait()
	})
}

// TestFullQueue: who finds no room is told at once, who waits is told in time.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := idlePool(2)
		answers := make(chan Answer, maxWaiting+2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range maxWaiting + 2 {
			go func() {
				a, _ := p.ask(ctx, &Question{Source: "a"}, forget)
				answers <- a
			}()
		}
		synctest.Wait()
		began := time.Now()
		if a, busy := p.ask(ctx, &Question{Source: "a"}, forget); !busy || a.Code != timeout {
			t.Errorf("one too many: %+v, busy %t", a, busy)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("was told after %v", waited)
		}
		for range maxWaiting + 2 {
			if a := <-answers; a.Code != timeout || a.Reason != "no helper was vacant in time" {
				t.Errorf("%+v", a)
			}
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("those who wait were told after %v", waited)
		}
		if _, busy := p.ask(ctx, &Question{Source: "a"}, forget); busy {
			t.Error("the queue stays full")
		}
	})
}

// TestLateWaiterLeavesNothing: who stops waiting is in nobody's way.
func TestLateWaiterLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := idlePool(1)
		ctx, cancel := context.WithCancel(t.Context())
		go p.ask(ctx, &Question{Source: "gone"}, forget)
		synctest.Wait()
		go p.ask(t.Context(), &Question{Source: "waits"}, forget)
		synctest.Wait()
		cancel()
		synctest.Wait()
		c := <-p.calls
		if c.fields != "- waits -" {
			t.Errorf("got %q", c.fields)
		}
		c.outcome <- outcome{}
		synctest.Wait()
	})
}

// TestDrain: the end waits for who is asking, and not for ever.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := idlePool(0)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan time.Time, 1)
		ask := func() { go p.ask(t.Context(), &Question{Source: "a"}, forget); synctest.Wait() }
		end := func() { p.run(ctx); ended <- time.Now() }

		ask()
		cancel()
		began := time.Now()
		go end()
		synctest.Wait()
		c := <-p.calls
		time.Sleep(time.Second)
		c.outcome <- outcome{}
		if at := <-ended; at.Sub(began) != time.Second {
			t.Errorf("ended after %v, want 1s", at.Sub(began))
		}

		p = idlePool(0)
		ask()
		began = time.Now()
		go end()
		if at := <-ended; at.Sub(began) != drainTime {
			t.Errorf("ended after %v, want %v", at.Sub(began), drainTime)
		}
		synctest.Wait()
		if a, _ := p.ask(t.Context(), &Question{Source: "a"}, forget); a.Code != timeout {
			t.Errorf("after the end: %+v", a)
		}
	})
}
