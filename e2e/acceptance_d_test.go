//go:build e2e

package e2e

// acceptance_d is authorization, the admin port and the access log.
func acceptance_d() []line {
	return []line{
		// acceptance_d_auth_test.go
		{76, testNoHelperUnasked, false},
		{77, testQuestion, false},
		{78, testQuestionOfDestination, false},
		{79, testQuestionOfListener, false},
		{80, testAnswers, false},
		{81, testAnswerOfAnother, false},
		{82, testLineEnds, false},
		{83, testSlowHelper, false},
		{84, testDeadHelper, false},
		{85, testHelpersInParallel, false},
		{86, testDenialIsRemembered, false},
		{87, testDenialsAreBounded, false},
		{88, testNothingReachesHelpers, false},
		{89, testB2P, false},
		// acceptance_d_admin_test.go
		{90, testPortsApart, false},
		{91, testPing, false},
		{92, testReportForms, false},
		{93, testReportedTags, false},
		{94, testTags, false},
		{95, testReportIsCached, false},
		{96, testNoStatistics, false},
		{97, testThroughput, false},
		{98, testReportJSON, false},
		{109, testAdminOnLoopback, true}, // on the default admin port
		// acceptance_d_orders_test.go
		{99, testDropClient, false},
		{100, testDropChannel, false},
		{101, testDropNobody, false},
		{102, testDropNoChannel, false},
		{103, testDropsAreLogged, false},
		{104, testReset, false},
		{105, testAccessLog, false},
		{106, testQueriesAreMasked, false},
	}
}
