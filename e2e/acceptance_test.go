//go:build e2e

package e2e

import (
	"slices"
	"strconv"
	"testing"
)

// line is a line of the acceptance list of gigapxy.
type line struct {
	n     int // its number
	test  func(*testing.T)
	alone bool // no other test runs beside it: it changes the network or keeps the machine busy
}

// TestAcceptance holds that list: each line is a subtest that is called by its number.
func TestAcceptance(t *testing.T) {
	lines := slices.Concat(acceptance_a(), acceptance_b(), acceptance_c(), acceptance_d())
	checkNumbers(t, lines)
	for _, l := range lines {
		t.Run(strconv.Itoa(l.n), func(t *testing.T) {
			if !l.alone {
				t.Parallel()
			}
			l.test(t)
		})
	}
}

// checkNumbers wants every line once. 113 to 115 are of a later issue.
func checkNumbers(t *testing.T, lines []line) {
	t.Helper()
	const last = 131
	times := map[int]int{}
	for _, l := range lines {
		times[l.n]++
	}
	for n := 1; n <= last; n++ {
		later := n >= 113 && n <= 115
		switch {
		case times[n] > 1, later && times[n] > 0:
			t.Errorf("line %d is there %d times", n, times[n])
		case times[n] == 0 && !later:
			t.Errorf("line %d has no test", n)
		}
		delete(times, n)
	}
	for n := range times {
		t.Errorf("the list has no line %d", n)
	}
}
