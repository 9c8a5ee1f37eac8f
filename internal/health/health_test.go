package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestJudge is a part of line 50 of the acceptance list: rise and fall. A remote that is down for
// another reason is told again.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		rise, fall int
		checks     string // + good, - bad, ~ bad for another reason
		told       string // u or d where the judgement or its reason turns
	}{
		{2, 3, "+++", "u.."},
		{2, 3, "---", "d.."},
		{2, 3, "+--+--+---", "u........d"},
		{2, 3, "-+-+-++-++", "d.....u..."},
		{2, 3, "+---++", "u..d.u"},
		{1, 1, "+-+-", "udud"},
		{3, 1, "-++-+++-", "d.....ud"},
		{2, 3, "---~~-~+~", "d..d.dd.."},
		{2, 3, "+-~~-", "u..dd"},
	} {
		j := judge{rise: c.rise, fall: c.fall}
		got := ""
		for _, check := range c.checks {
			var err error
			if check != '+' {
				err = errors.New(string(check))
			}
			switch turns := j.turns(err); {
			case !turns:
				got += "."
			case j.up:
				got += "u"
			default:
				got += "d"
			}
		}
		if got != c.told {
			t.Errorf("rise %d, fall %d, %s: told %s, want %s", c.rise, c.fall, c.checks, got, c.told)
		}
	}
}

func TestPause(t *testing.T) {
	for _, c := range []struct {
		every  time.Duration
		random float64
		want   time.Duration
	}{{0, 0, 1800 * time.Millisecond}, {0, 0.5, 2 * time.Second}, {0, 1, 2200 * time.Millisecond}, {time.Minute, 0.5, time.Minute}} {
		if got := pause(Check{Every: c.every}, c.random).Round(time.Microsecond); got != c.want {
			t.Errorf("every %v, chance %v: %v, want %v", c.every, c.random, got, c.want)
		}
	}
}

// TestRunTells: the first check comes at once and decides alone, then Rise and Fall do; what
// fails here does not count, and what comes after the end is not told.
func TestRunTells(t *testing.T) {
	bad := errors.New("status 503")
	full := fmt.Errorf("connect: %w", syscall.EMFILE)
	script := []error{full, nil, bad, full, bad, bad, nil, bad, nil, nil}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var told []string
		checks := 0
		begun := time.Now()
		run(ctx, Check{}, func(context.Context) error {
			checks++
			if after, want := time.Since(begun), time.Duration(checks-1)*2*time.Second; (after - want).Abs() > want/10 {
				t.Errorf("check %d comes after %v, want about %v", checks, after, want)
			}
			if checks > len(script) {
				cancel()
				return bad
			}
			return script[checks-1]
		}, func(err error) { told = append(told, fmt.Sprintf("%d %v", checks, err)) })
		if got, want := strings.Join(told, ", "), "2 <nil>, 6 status 503, 10 <nil>"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}

// TestSlowChecks: a check that takes longer than the time between two delays the next one.
func TestSlowChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 95*time.Second)
		defer cancel()
		running, checks := 0, 0
		run(ctx, Check{Every: time.Second}, func(context.Context) error {
			running++
			checks++
			if running > 1 {
				t.Error("two checks at once")
			}
			time.Sleep(10 * time.Second)
			running--
			return nil
		}, func(error) {})
		if checks != 10 {
			t.Errorf("%d checks in 95 s that take 10 s each, want 10", checks)
		}
	})
}

func TestOffIsNoCheck(t *testing.T) {
	Run(t.Context(), Check{}, someAddr, func(err error) { t.Errorf("told %v", err) })
	if err := Once(t.Context(), Check{}, someAddr); err != nil {
		t.Error(err)
	}
}
