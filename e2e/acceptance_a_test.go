//go:build e2e

package e2e

// acceptance_a is start, options, configuration, logs, signals, processes, installation.
func acceptance_a() []line {
	return []line{
		// acceptance_a_start_test.go
		{1, testLinksAreModules, false},
		{2, testGuide, false},
		{3, testNoOptions, false},
		{4, testVersionLine, false},
		{5, testOnlyThatFile, false},
		{6, testWhichFile, false},
		{7, testOptionsBeatTheFile, false},
		{8, testOneFileForBoth, false},
		// acceptance_a_config_test.go
		{9, testMandatory, false},
		{10, testLibconfig, false},
		{11, testUnknownSetting, false},
		{12, testLargeNumbers, false},
		// acceptance_a_daemon_test.go
		{13, testTerminal, false},
		{14, testForeground, false},
		{15, testDaemon, false},
		{16, testLogNotWritable, false},
		{17, testVerbosity, false},
		{18, testPinOfEngine, false},
		{118, testSystemLog, false},
		{130, testPIDFile, false},
		// acceptance_a_logs_test.go
		{19, testLogIsRotatedBySize, false},
		{20, testLogsAreRemoved, false},
		{21, testLogIsRotatedAtOnce, false},
		{22, testTimeFormats, false},
		{23, testLevels, false},
		{117, testSharedLog, false},
		// acceptance_a_signals_test.go
		{24, testReload, false},
		{25, testBrokenReload, false},
		{26, testOrderlyEnd, false},
		{27, testForceShutdown, false},
		{28, testEngineReset, false},
		{119, testEngineBeforeGWS, false},
		// acceptance_a_install_test.go
		{111, testInstall, false},
		{112, testSampleConfiguration, false},
		{116, testControlScript, false},
		{120, testTwoGWS, false},
		{121, testListeners, false},
	}
}
