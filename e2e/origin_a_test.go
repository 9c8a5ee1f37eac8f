//go:build e2e && linux

package e2e

// origin_a is reading and what grows: lines 1 to 31.
func origin_a() []line {
	return []line{
		// origin_a_read_test.go
		{1, testGet, false},
		{2, testHeadOfFile, false},
		{3, testIfNoneMatch, false},
		{4, testDates, false},
		{13, testQuery, false},
		// origin_a_ranges_test.go
		{5, testRange, false},
		{6, testRangeToEnd, false},
		{7, testRangeOfAll, false},
		{8, testRangeBeyond, false},
		{9, testNoSuchRange, false},
		{10, testSeveralRanges, false},
		{11, testOtherUnit, false},
		{12, testNoRange, false},
		// origin_a_dirs_test.go
		{14, testDirectories, false},
		{15, testListing, false},
		{16, testOutside, false},
		{17, testTypes, false},
		// origin_a_forms_test.go
		{18, testCompression, false},
		{19, testDeflate, false},
		{20, testCacheControl, false},
		{21, testServerUTC, false},
		{22, testHeaders, false},
		// origin_a_growing_test.go
		{23, testGrows, false},
		{24, testEnd, false},
		{25, testHundredReaders, false},
		{29, testCompleted, false},
		// origin_a_waits_test.go
		{26, testRangeOfGrowing, false},
		{27, testOpenRange, false},
		{30, testWhole, false},
		// origin_a_broken_test.go, origin_a_manifest_test.go
		{28, testBrokenOff, false},
		{31, testManifest, false},
	}
}
