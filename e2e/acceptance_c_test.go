//go:build e2e

package e2e

// acceptance_c is ends of every kind, sessions and redirection.
func acceptance_c() []line {
	return []line{
		// acceptance_c_ends_test.go
		{47, testPairIsGroup, false},
		{49, testFileSource, false},
		{50, testFileTarget, false},
		{54, testEveryEndIntoEvery, false},
		// acceptance_c_chain_test.go
		{51, testInnerURL, false},
		{52, testNestedPairs, false},
		{53, testDaisyChain, false},
		// acceptance_c_redirect_test.go
		{72, testRedirect, false},
		{73, testRedirectToItself, false},
		{74, testRedirectOfNames, false},
		{75, testUnavailable, false},
		// acceptance_c_safety_test.go
		{107, testFilesAreKept, false},
		{108, testNetworksAreKept, false},
		{110, testLimitsOfSessions, false},
		// acceptance_c_session_test.go
		{122, testSessions, false},
		{123, testFileThatIsThere, false},
		{124, testGroupsNeverMix, true},
		// acceptance_c_secure_test.go
		{125, testSecureDoors, false},
		// acceptance_c_proxy_test.go
		{126, testTrustedProxies, false},
	}
}
