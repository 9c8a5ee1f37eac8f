//go:build e2e

package e2e

// acceptance_b is topology, requests of UDP and by name, and how clients are handled.
func acceptance_b() []line {
	return []line{
		// acceptance_b_engines_test.go
		{29, testNoEngineYet, false},
		{30, testTooFewEngines, false},
		{31, testEnoughEngines, false},
		{32, testManyEngines, true}, // 65 processes keep the machine busy
		{33, testRoundRobin, false},
		{34, testMinChannels, false},
		{35, testMinClients, false},
		{36, testChannelOnOneEngine, false},
		{37, testChannelOnAllEngines, false},
		// acceptance_b_deaths_test.go
		{38, testWithoutGWS, false},
		{39, testReconnecting, false},
		{40, testNextGWS, false},
		{41, testOtherEngine, false},
		{42, testDeadEngineGetsNobody, false},
		// acceptance_b_requests_test.go
		{43, testGroupRequest, false},
		{44, testSlashAtTheEnd, false},
		{45, testGroupRequest6, true}, // it changes the network
		{46, testSenderOfGroup, true}, // likewise
		{48, testRequestingConnection, false},
		{55, testNamedChannel, false},
		{56, testParamsOfName, false},
		{57, testUnknownName, false},
		{58, testUnknownParams, false},
		{59, testRTPForm, false},
		{60, testSeparators, false},
		{61, testBadRequests, false},
		// acceptance_b_head_test.go
		{62, testHeadAnswers, false},
		{63, testHeadUnavailable, false},
		{64, testStreamHeader, false},
		{127, testVersionsOfHTTP, false},
		{128, testStatusForUdpxy, false},
		{129, testLongAndGarbage, false},
		// acceptance_b_clients_test.go
		{65, testRTPIsStripped, false},
		{66, testFromHistory, false},
		{67, testOneSubscription, false},
		{68, testLastClientGone, false},
		{69, testSilentChannel, false},
		{70, testClientThatDoesNotRead, false},
		{71, testSlowloris, false},
		{131, testFlushBeforeClose, false},
	}
}
