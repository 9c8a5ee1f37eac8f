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
		{"players keep playing through a switch to the back-up and back", testPlayersKeepPlayingThroughSwitches, false},
		{"a switch is the same for everybody", testSwitchIsTheSameForAll, false},
		{"a source that flaps is not taken back", testFlappingSource, false},
		{"a source that flaps alone keeps its clients", testFlappingAlone, false},
		{"a back-up that is worse is passed over", testWorseBackup, false},
		{"every state is shown", testStates, false},
		{"a channel that is over shows it while somebody reads", testClosedState, false},
		// issue2_badinput_test.go
		{"a client that reads byte by byte disturbs nobody", testByteByByte, false},
		{"large datagrams are taken whole", testLargeDatagrams, false},
		{"an interface that vanishes and comes back is joined again", testInterfaceVanishes, true},
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
