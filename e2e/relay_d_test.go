//go:build e2e && linux

package e2e

// relay_d is the balancing of load, and what a relay costs: lines 49 to 60 and 62 to 64. The figures of
// lines 56 to 60 and 64 are those of make bench-relay: here stands what they depend on.
func relay_d() []line {
	return []line{
		// relay_d_balance_test.go
		{49, testBalances, false},
		{50, testChecks, false},
		{51, testEjection, false},
		// relay_d_routes_test.go
		{52, testNamesAndProtocols, false},
		{53, testDNS, false},
		// relay_d_admin_test.go
		{54, testMetricsAndOrders, false},
		{55, testSourceLimits, false},
		// relay_d_cost_test.go
		{56, testBulkIsSpliced, false},
		{57, testConnections, false},
		{58, testRoundTrips, false},
		{59, testSecureBulk, false},
		{60, testIdle, false},
		{64, testTwoThreads, false},
		// relay_d_admin_test.go
		{62, testRemoteDown, false},
		{63, testSessionLog, false},
	}
}
