//go:build e2e

package e2e

import "testing"

// TestIssue2 holds the sentences of issue 2: the engine at the limit, with sturdy
// sources, clients of every speed, and limits. As in TestIssue1 every subtest runs its
// own program, and those that change the network or keep the machine busy run alone.
func TestIssue2(t *testing.T) {
	for _, sentence := range []struct {
		name  string
		test  func(*testing.T)
		alone bool
	}{
		// issue2_sources_test.go
		// issue2_clients_test.go
	} {
		t.Run(sentence.name, func(t *testing.T) {
			if !sentence.alone {
				t.Parallel()
			}
			sentence.test(t)
		})
	}
}
