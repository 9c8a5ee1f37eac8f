//go:build e2e && linux

package e2e

// origin_c is limits, CORS, rights, hooks and low latency: lines 51 to 67, 71, 73 and 75.
func origin_c() []line {
	return []line{
		// origin_c_limits_test.go
		{51, testConnectionLimits, false},
		{52, testClientErrors, false},
		{53, testIdleClose, false},
		{54, testCloseEach, false},
		// origin_c_cors_test.go
		{55, testOriginCORS, false},
		{56, testPreflight, false},
		{57, testOptionsAllow, false},
		{58, testUnknownMethods, false},
		{71, testWriteOnly, false},
		// origin_c_rights_test.go
		{59, testOriginRules, false},
		{60, testReloadRights, false},
		// origin_c_secure_test.go
		{61, testOriginTLS, false},
		{62, testH2C, false},
		{63, testTwoRoutes, false},
		// origin_c_log_test.go
		{64, testRequestLog, false},
		// origin_c_script_test.go
		{65, testScript, false},
		// origin_c_hls_test.go
		{66, testLLHLS, false},
		// origin_c_next_test.go
		{67, testWaitNext, false},
		// origin_c_options_test.go
		{73, testSeedOptions, false},
		{75, testTextCompressed, false},
	}
}
