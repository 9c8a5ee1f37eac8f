package resolve

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPause(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		every    time.Duration
		failures int
		random   float64
		want     time.Duration
	}{
		{0, 0, 0, 27 * s},
		{0, 0, 0.5, 30 * s},
		{0, 0, 1, 33 * s},
		{10 * s, 0, 0.5, 10 * s},
		{0, 1, 0, s},
		{0, 1, 1, 1100 * time.Millisecond},
		{0, 2, 0, 2 * s},
		{0, 5, 0, 16 * s},
		{0, 6, 0, 30 * s},
		{0, 1 << 30, 1, 33 * s},
		{3 * s, 3, 0, 3 * s},
		{time.Millisecond, 0, 0.5, time.Millisecond},
		{time.Millisecond, 4, 0, s}, // not faster than a second
	} {
		if got := pause(Config{Every: c.every}, c.failures, c.random); got.Round(time.Microsecond) != c.want {
			t.Errorf("every %v, %d failures, chance %v: %v, want %v", c.every, c.failures, c.random, got, c.want)
		}
	}
}

// TestFollowTells: what is told, and when it is asked, for answers and failures in a row.
func TestFollowTells(t *testing.T) {
	one := []Answer{{Addr: netip.MustParseAddrPort("192.0.2.1:80")}}
	two := []Answer{{Addr: netip.MustParseAddrPort("192.0.2.2:80")}}
	failure := errors.New("failure")
	script := [][]Answer{nil, nil, one, one, nil, one, two}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var at []time.Duration
		var changes [][]Answer
		failures := 0
		begun := time.Now()
		ask := func(context.Context) ([]Answer, error) {
			at = append(at, time.Since(begun))
			if len(at) > len(script) {
				cancel()
				return one, nil // after the end: nobody is told
			}
			if a := script[len(at)-1]; a != nil {
				return a, nil
			}
			return nil, failure
		}
		follow(ctx, Config{}, ask, func(a []Answer) { changes = append(changes, a) }, func(err error) {
			if !errors.Is(err, failure) {
				t.Errorf("failed with %v", err)
			}
			failures++
		})
		if failures != 3 || !slices.EqualFunc(changes, [][]Answer{one, two}, slices.Equal) {
			t.Errorf("%d failures, changes %v", failures, changes)
		}
		for i, d := range []time.Duration{0, 1, 3, 33, 63, 64, 94, 124} {
			if off := at[i] - d*time.Second; off.Abs() > time.Duration(i)*3*time.Second {
				t.Errorf("question %d came after %v, want about %v", i, at[i], d*time.Second)
			}
		}
		if at[0] != 0 {
			t.Errorf("the first question came after %v", at[0])
		}
	})
}

func TestNamesAsText(t *testing.T) {
	for want, n := range map[string]Name{
		"web.test:80":       {Host: "web.test", Port: 80},
		"[2001:db8::1]:443": {Host: "2001:db8::1", Port: 443},
		"_imap._tcp.test":   {Host: "test", Service: "_imap._tcp"},
	} {
		if n.String() != want {
			t.Errorf("%#v is %s, want %s", n, n, want)
		}
	}
}
