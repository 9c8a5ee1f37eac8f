//go:build e2e && linux

package e2e

import "testing"

// TestIssue5 holds the sentences of issue 5 that are no line of the list of TestRelay: how the relay gets on with
// other programs, with bad input, and beside gws.
func TestIssue5(t *testing.T) {
	for _, sentence := range []struct {
		name  string
		test  func(*testing.T)
		alone bool
	}{
		// issue5_peers_test.go
		{"haproxy stands in front and behind, nginx behind", testProxyHeaders, false},
		{"a header of version 2 says what is known of TLS", testHeaderOfTLS, false},
		{"UNIX sockets are listened at and relayed to", testUnixSockets, false},
		{"systemd opens the socket", testSocketOfSystemd, false},
		// issue5_tls_test.go
		{"what is decrypted, passed and plain shares a port", testMixedPort, false},
		{"certificates are read again when they change", testRelayCertificates, false},
		{"clients show certificates", testClientCertificates, false},
		{"remotes are spoken to by TLS", testTLSToRemotes, false},
		{"old versions of TLS are refused", testMinimumVersion, false},
		// issue5_run_test.go
		{"sluice run reloads its relay", testRunReloadsRelay, false},
		{"a relay that dies is started again and no viewer notices", testRelayDies, false},
		{"idle sessions are drained first, the others until the deadline", testDrainInOrder, false},
		// issue5_badinput_test.go
		{"broken PROXY headers end their clients only", testBrokenHeaders, false},
		{"a remote that never answers is given up", testSilentRemote, false},
		{"a flood of one source leaves the others alone", testFlood, false},
		{"ten thousand half-open clients", testHalfOpen, true},
	} {
		t.Run(sentence.name, func(t *testing.T) {
			if !sentence.alone {
				t.Parallel()
			}
			sentence.test(t)
		})
	}
}
