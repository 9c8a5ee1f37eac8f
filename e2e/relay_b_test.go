//go:build e2e && linux

package e2e

// relay_b is tcprelay's files and its process: lines 20 to 31, 48 and 61.
func relay_b() []line {
	return []line{
		// relay_b_files_test.go
		{20, testTcprelaySamples, false},
		{21, testTcprelayParse, false},
		{22, testTcprelayParseFinds, false},
		{23, testTcprelayLanguage, false},
		{24, testTcprelayPlaces, false},
		{31, testTcprelayIgnored, false},
		// relay_b_listen_test.go
		{25, testTcprelayRules, false},
		{26, testTcprelayListen, false},
		{28, testTcprelayUsers, false},
		// relay_b_process_test.go
		{27, testTcprelayBackground, false},
		{29, testTcprelayUser, false},
		{48, testTcprelayInherits, false},
		{61, testTcprelayOptions, false},
		// relay_b_log_test.go
		{30, testTcprelaySyslog, false},
	}
}
