//go:build e2e && linux

package e2e

// relay_a is cproxy mode and the core of the relay: lines 1 to 19.
func relay_a() []line {
	return []line{
		// relay_a_cproxy_test.go
		{1, testCproxyRelays, false},
		{2, testCproxyUsage, false},
		{3, testCproxyNumbers, false},
		{4, testCproxyAddresses, false},
		{5, testCproxyCannotStart, false},
		{6, testCproxyStart, false},
		{7, testCproxyTells, false},
		{8, testCproxyNoDelay, false},
		{9, testCproxyThreads, false},
		// relay_a_ways_test.go
		{11, testHalfClose, false},
		{12, testHalfCloseEnds, false},
		{13, testRelayedReset, false},
		{18, testExact, false},
		// relay_a_core_test.go
		{10, testSlowReader, false},
		{14, testEarlyWords, false},
		{15, testIdleCosts, false},
		{16, testNoDescriptors, false},
		{17, testConnectTime, false},
		{19, testSpliceAndBack, false},
	}
}
