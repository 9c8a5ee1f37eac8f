//go:build e2e

package e2e

import (
	"slices"
	"strconv"
	"testing"
)

// line is a line of an acceptance list.
type line struct {
	n     int // its number
	test  func(*testing.T)
	alone bool // no other test runs beside it: it changes the network or keeps the machine busy
}

// TestAcceptance holds the list of gigapxy.
func TestAcceptance(t *testing.T) {
	lines := slices.Concat(acceptance_a(), acceptance_b(), acceptance_c(), acceptance_d())
	checkNumbers(t, lines, 131, 113, 114, 115)
	runLines(t, lines)
}

// runLines runs each line as a subtest that is called by its number.
func runLines(t *testing.T, lines []line) {
	t.Helper()
	for _, l := range lines {
		t.Run(strconv.Itoa(l.n), func(t *testing.T) {
			if !l.alone {
				t.Parallel()
			}
			l.test(t)
		})
	}
}

// checkNumbers wants every line of a list once, those that are of a later issue not at all.
func checkNumbers(t *testing.T, lines []line, last int, later ...int) {
	t.Helper()
	checkTwice(t, lines, last)
	for n := 1; n <= last; n++ {
		there, isLater := slices.ContainsFunc(lines, func(l line) bool { return l.n == n }), slices.Contains(later, n)
		if there == isLater {
			t.Errorf("line %d: there is a test: %v, is of a later issue: %v", n, there, isLater)
		}
	}
}

// checkTwice wants no line more than once, and none that the list does not have.
func checkTwice(t *testing.T, lines []line, last int) {
	t.Helper()
	times := map[int]int{}
	for _, l := range lines {
		times[l.n]++
		switch {
		case l.n < 1 || l.n > last:
			t.Errorf("the list has no line %d", l.n)
		case times[l.n] == 2:
			t.Errorf("line %d is there more than once", l.n)
		}
	}
}
