//go:build e2e && linux

package e2e

import (
	"slices"
	"testing"
)

// TestOrigin holds the acceptance list of the HTTP live origin; 69 is of a program that is not to be had here.
func TestOrigin(t *testing.T) {
	lines := slices.Concat(origin_a(), origin_b(), origin_c(), origin_d())
	checkNumbers(t, lines, 75, 69)
	runLines(t, lines)
}
