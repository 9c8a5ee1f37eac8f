package main

import (
	"errors"
	"testing"
)

func TestClimb(t *testing.T) {
	tests := []struct {
		limit        int // the most that hold
		most, failed int
		tries        int
	}{
		{3400, 3400, 3900, 2},
		{3399, 2900, 3400, 2},
		{5000, 4900, 5400, 5},
		{1000, 900, 1400, 6},
		{300, 0, 400, 7},
		{1 << 30, 53400, 0, 101},
	}
	for _, test := range tests {
		tries := 0
		most, failed, err := climb(3400, 500, func(n int) (bool, error) { tries++; return n <= test.limit, nil })
		if err != nil || most != test.most || failed != test.failed || tries != test.tries {
			t.Errorf("limit %d: %d hold, %d do not, %d tries, %v; want %d, %d, %d", test.limit, most, failed, tries, err, test.most, test.failed, test.tries)
		}
	}
	broken := errors.New("broken")
	if _, _, err := climb(100, 50, func(int) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of a try", err)
	}
}

func TestWhoGivesUp(t *testing.T) {
	good := measured{gaps: 0, delivered: 99.5, ageP99: 120, pace: 100, crowdLag: 8}
	with := func(f figure, v float64) measured {
		m := measured{}
		for k, v := range good {
			m[k] = v
		}
		m[f] = v
		return m
	}
	tests := map[string]struct {
		m                 measured
		keeps, isStrained bool
	}{
		"good":               {good, true, false},
		"a gap":              {with(gaps, 1), false, false},
		"late":               {with(ageP99, 800), false, false},
		"less than was sent": {with(delivered, 90), false, false},
		"clients behind":     {with(crowdLag, 200), true, true},
		"sender behind":      {with(pace, 95), true, true},
		"not all play":       {measured{crowdLag: 300}, false, true},
		"nor is it the load": {measured{crowdLag: 3}, false, false},
	}
	for name, test := range tests {
		if keepsUp(test.m) != test.keeps || strained(test.m) != test.isStrained {
			t.Errorf("%s: keeps up %v, strained %v", name, keepsUp(test.m), strained(test.m))
		}
	}
}
