package pool_test

import (
	"fmt"
	"testing"
	"time"

	"sluice/internal/pool"
)

// ejecting makes the time of ejections known but for the tenth that is by chance.
func ejecting(fails int) pool.Config {
	return pool.Config{Eject: pool.Eject{Fails: fails, For: 10 * time.Second, Max: 35 * time.Second}}
}

// leaves checks that a remote is ejected for a time from d to 1.1 d.
func (k *kit) leaves(name string, d time.Duration) {
	k.t.Helper()
	v := k.view(name)
	if left := v.Until.Sub(k.now); !v.Ejected || left < d || left > d+d/10 {
		k.t.Errorf("%s is ejected: %v, for %v, want %v and up to a tenth more", name, v.Ejected, left, d)
	}
}

// TestOneIsDown is line 34 of the acceptance list: the client is served by another, and who
// comes next does not even try.
func TestOneIsDown(t *testing.T) {
	k := newKit(t, ejecting(0), of(1, 1, 1)...)
	want(t, "first client", k.try("A"), "AB+")
	k.leaves("A", 10*time.Second)
	for range 5 {
		want(t, "client", k.try("A"), "B+")
	}
	want(t, "failures", k.view("A").Failures, 1)
	want(t, "error", k.view("A").LastError, "connection refused")
}

// TestEjectedIsTriedAgain is line 35: one session tries it when the time is over, failure
// ejects for longer, success brings it back.
func TestEjectedIsTriedAgain(t *testing.T) {
	k := newKit(t, ejecting(0), of(1, 1)...)
	k.try("A")
	for _, d := range []time.Duration{20, 35, 35} {
		k.wait(k.view("A").Until.Sub(k.now) - 1)
		want(t, "too early", k.try("A"), "B+")
		k.wait(1)
		want(t, "ejected until one was connected", k.view("A").Ejected, true)
		trial := k.enter(1)
		want(t, "trial", trial.next(), "A")
		want(t, "a client meanwhile", k.try("A"), "B+")
		trial.fail()
		want(t, "trial goes on", trial.next(), "B")
		trial.leave()
		k.leaves("A", d*time.Second)
	}
	k.wait(time.Minute)
	want(t, "trial", k.try(""), "A+")
	want(t, "ejected", k.view("A").Ejected, false)
	k.try("A")
	k.leaves("A", 10*time.Second) // from the beginning
}

func TestTrialWithoutOutcome(t *testing.T) {
	k := newKit(t, ejecting(0), of(1, 1)...)
	k.try("A")
	k.wait(time.Minute)
	trial := k.enter(1)
	want(t, "trial", trial.next(), "A")
	trial.leave()
	want(t, "the next one tries", k.try(""), "A+")
}

func TestFailsInARow(t *testing.T) {
	k := newKit(t, ejecting(3), of(1, 1)...)
	want(t, "1st", k.try("A"), "AB+")
	want(t, "2nd", k.try("A"), "AB+")
	want(t, "success", k.try(""), "A+")
	for range 3 {
		want(t, "in a row", k.try("A"), "AB+")
	}
	want(t, "out", k.try("A"), "B+")

	k = newKit(t, ejecting(-1), of(1, 1)...)
	for range 20 {
		want(t, "never ejected", k.try("A"), "AB+")
	}
}

// TestWhatHadBegunCountsOnce: sessions that were on their way when a remote was ejected do not
// eject it for longer, and the success of one brings it back.
func TestWhatHadBegunCountsOnce(t *testing.T) {
	k := newKit(t, ejecting(0), of(1)...)
	a, b, c := k.enter(1), k.enter(2), k.enter(3)
	for _, g := range []*guest{a, b, c} {
		want(t, "remote", g.next(), "A")
	}
	a.fail()
	until := k.view("A").Until
	k.wait(time.Second)
	b.fail()
	want(t, "until", k.view("A").Until, until)
	c.connect()
	want(t, "ejected", k.view("A").Ejected, false)
}

// TestSingleRemote is line 35: a single remote that was down and comes back works without a
// restart, at once. Line 36: while all are down each is tried once for a client.
func TestSingleRemote(t *testing.T) {
	k := newKit(t, ejecting(0), of(1)...)
	for range 5 {
		want(t, "down", k.try("A"), "A")
	}
	k.leaves("A", 10*time.Second)
	want(t, "up", k.try(""), "A+")
	want(t, "ejected", k.view("A").Ejected, false)
}

func TestAllAreDown(t *testing.T) {
	k := newKit(t, ejecting(0), of(1, 1, 1)...)
	want(t, "well before", k.try("ABC"), "ABC")
	k.wait(time.Second)
	want(t, "ejected", len(k.try("ABC")), 3)
	k.wait(time.Minute)
	want(t, "time is over", k.try("ABC"), "ABC")
	first := "A"
	for _, name := range []string{"B", "C"} {
		if k.view(name).Until.Before(k.view(first).Until) {
			first = name
		}
	}
	want(t, "whose time is over first", k.try(""), first+"+")
}

func TestNextEndsWithoutRemotes(t *testing.T) {
	k := newKit(t, pool.Config{})
	want(t, "no remotes", k.pick(1), "!no remote is up")
}

func TestShareOfEjected(t *testing.T) {
	for _, c := range []struct{ remotes, share, out int }{
		{4, 0, 4}, {4, 100, 4}, {4, 50, 2}, {4, 49, 1}, {4, 1, 1}, {1, 1, 1}, {10, 35, 3},
	} {
		config := ejecting(1)
		config.Eject.Share = c.share
		k := newKit(t, config, of(make([]int, c.remotes)...)...)
		k.try("ABCDEFGHIJ")
		out := 0
		all, _ := k.pool.Views(k.now)
		for _, v := range all {
			if v.Ejected {
				out++
			}
		}
		want(t, fmt.Sprintf("%d %% of %d", c.share, c.remotes), out, c.out)
	}
}

// TestRebalance is line 35: after n choices the ejected are tried again.
func TestRebalance(t *testing.T) {
	config := ejecting(1)
	config.Rebalance = 5
	k := newKit(t, config, of(1, 1)...)
	want(t, "choices 1 and 2", k.try("A"), "AB+")
	want(t, "3", k.try("A"), "B+")
	want(t, "4", k.try("A"), "B+")
	want(t, "5", k.try("A"), "B+")
	want(t, "forgotten", k.try("A"), "AB+")
	k.leaves("A", 20*time.Second) // it was no success
}

// TestSlowStart is a part of line 50: a remote that comes back has a tenth of its weight at first.
func TestSlowStart(t *testing.T) {
	share := func(k *kit) float64 {
		n := 0
		for i := range 10_000 {
			if k.pick(i+1) == "A" {
				n++
			}
		}
		return float64(n) / 10_000
	}
	for _, b := range []pool.Balance{pool.RoundRobin, pool.Random, pool.TwoChoices, pool.Source, pool.Maglev} {
		config := ejecting(1)
		config.Balance, config.SlowStart = b, 100*time.Second
		near := func(what string, got, weight float64) {
			t.Helper()
			right := weight / (weight + 1)
			if got < right-0.02 || got > right+0.02 {
				t.Errorf("%v, %s: A has %.3f of the sessions, want %.3f", b, what, got, right)
			}
		}
		k := newKit(t, config, of(3, 3)...)
		near("new", share(k), 1)
		k.setUp("A", false)
		near("down", share(k), 0)
		k.setUp("A", true)
		near("back", share(k), 0.1)
		k.wait(50 * time.Second)
		near("half way", share(k), 0.55)
		k.wait(50 * time.Second)
		near("in the end", share(k), 1)
	}
}

// TestSlowStartAfterEjection: and so it is after an ejection, and when an operator enables a
// remote that was disabled.
func TestSlowStartAfterEjection(t *testing.T) {
	config := ejecting(1)
	config.Balance, config.SlowStart = pool.RoundRobin, 100*time.Second
	k := newKit(t, config, of(1, 1)...)
	tenth := func(what string) {
		t.Helper()
		n := 0
		for range 110 {
			if k.pick(1) == "A" {
				n++
			}
		}
		if n < 9 || n > 11 {
			t.Errorf("%s: A has %d of 110 sessions, want 10", what, n)
		}
	}
	want(t, "fails", k.try("A"), "AB+")
	k.wait(time.Minute)
	for k.view("A").Total == 0 {
		k.pick(1) // until the turn of A comes
	}
	tenth("ejection is over")
	k.wait(time.Hour)
	k.order("A", pool.Disabled)
	k.order("A", pool.Enabled)
	tenth("enabled")
}
