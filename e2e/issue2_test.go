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
		// issue2_legs_test.go
		{"players keep playing through the loss of either leg", testPlayersKeepPlayingThroughLossOfALeg, false},
		{"legs that carry different streams are not mixed", testDifferentLegs, false},
		// issue2_faults_test.go
		{"every fault is counted exactly", testEveryFaultIsCounted, false},
		// issue2_renewal_test.go
		{"memberships are renewed without a leave", testRenewal, true},
		// issue2_badinput_test.go
		{"a client that reads byte by byte disturbs nobody", testByteByByte, false},
		{"large datagrams are taken whole", testLargeDatagrams, false},
		{"an interface that vanishes and comes back is joined again", testInterfaceVanishes, true},
		// issue2_clients_test.go
		{"a slow client skips or is disconnected, as it is set", testSlow, false},
		{"waiting for a slow client is refused", testWaitIsRefused, false},
		{"stalled clients cost nothing but their window", testStalledCostNothing, false},
		{"a client begins where it is set", testStart, false},
		{"a client begins so many seconds back", testStartBack, false},
		{"a history has its depth", testHistoryDepth, false},
		{"all histories keep to one limit", testHistoryTotal, false},
		// issue2_climits_test.go
		{"above a limit the next viewer is refused", testLimits, false},
		// issue2_cengines_test.go
		{"channels are spread over engines", testSpread, false},
		{"the clients of one channel are spread over engines", testSplit, false},
		{"an engine stays on its CPU", testPin, false},
		{"a pinned channel is received by one engine whoever dies", testPinned, false},
		// issue2_cload_test.go
		{"healthy clients lose nothing beside stalled ones on busy cores", testHealthyBesideStalled, true},
		{"a fast channel is received whole", testHighRate, true},
		{"a hundred channels are received whole", testManyChannels, false},
		{"a channel that many watch is sent out of files", testHistoryInFiles, false},
		{"nothing is logged for a packet", testNothingPerPacket, false},
		{"a channel has a name and an address", testNames, false},
	} {
		t.Run(sentence.name, func(t *testing.T) {
			if !sentence.alone {
				t.Parallel()
			}
			sentence.test(t)
		})
	}
}
