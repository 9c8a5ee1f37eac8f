//go:build e2e && linux

package e2e

import (
	"slices"
	"testing"
)

// TestRelay holds the acceptance list of the TCP relay. Each line runs its own program with its own
// remotes, all beside each other, but for those that keep the machine busy.
func TestRelay(t *testing.T) {
	lines := slices.Concat(relay_a(), relay_b(), relay_c(), relay_d())
	checkNumbers(t, lines, 64)
	runLines(t, lines)
}
