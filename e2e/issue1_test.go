//go:build e2e

package e2e

import "testing"

// TestIssue1 holds the sentences of issue 1: a stream relay for multicast, with its web
// service and engines, its tools and its command. Every subtest runs its own program
// and its own channels: all beside each other, but for those that keep the machine busy
// or change its network.
func TestIssue1(t *testing.T) {
	for _, sentence := range []struct {
		name  string
		test  func(*testing.T)
		alone bool
	}{
		// players_test.go
		{"players read every codec from UDP and RTP", testPlayersReadEveryCodec, false},
		{"players read live encoders", testPlayersReadLiveEncoders, false},
		{"a client that joins in the middle decodes its first picture", testJoinInTheMiddle, false},
		// http_test.go
		{"a stream is answered with its head", testHead, false},
		{"HEAD joins nothing", testHeadJoinsNothing, false},
		{"errors have their codes", testErrors, false},
		{"a client waits for the first data", testWaitForData, false},
		{"long and slow requests end", testHostileRequests, false},
		{"HTTP/1.0 is answered in HTTP/1.0", testHTTP10, false},
		{"who may watch is configured", testAllow, false},
		{"a web service without engines answers 503", testNoEngine, false},
		// multicast_test.go
		{"one receive a channel however many clients", testOneReceive, false},
		{"groups that share a port never mix", testGroupsShareAPort, false},
		{"a source is joined alone", testSourceSpecific, true},
		{"IPv6 groups are served", testIPv6, true},
		{"a channel lingers and then leaves its group", testLinger, false},
		{"the log says which receive buffer was granted", testReceiveBuffer, false},
		// start_test.go
		{"a new client starts at once from history", testStartFromHistory, false},
		// crash_test.go
		{"gws is killed and no stream is interrupted", testKillWebService, true},
		{"one engine is killed and the others see nothing", testKillEngine, true},
		{"the supervisor is killed and the next run takes over", testKillSupervisor, true},
		{"a client gets one answer whoever is killed", testKillDuringRequest, true},
		{"TERM ends everything", testTerm, true},
		{"two runs side by side, never in one directory", testSideBySide, false},
		// badinput_test.go
		{"datagrams that are no stream are served whole", testNoTransportStream, false},
		{"a source that stops ends its clients only", testSourceStops, false},
		{"nonsense on the hand-over socket disturbs nobody", testHandoffNonsense, false},
		// admin_test.go
		{"status tells what runs", testStatus, false},
		// commands_test.go
		{"the demo plays", testDemo, false},
		{"wrong words get one line and exit 2", testWrongWords, false},
		{"links to the program are its modules", testLinks, false},
		{"probe finds what send breaks", testProbeFindsFaults, false},
	} {
		t.Run(sentence.name, func(t *testing.T) {
			if !sentence.alone {
				t.Parallel()
			}
			sentence.test(t)
		})
	}
}
