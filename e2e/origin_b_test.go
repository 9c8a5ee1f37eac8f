//go:build e2e && linux

package e2e

// origin_b is uploads, sinks, retention and pushes: lines 32 to 50, and 72.
func origin_b() []line {
	return []line{
		// origin_b_uploads_test.go
		{32, testPut, false},
		{33, testPutChunked, false},
		{34, testNoWriteDirectory, false},
		{35, testParents, false},
		{36, testNoLength, false},
		{37, testTooLong, false},
		{38, testPatch, false},
		{39, testDelete, false},
		{40, testUploadOutside, false},
		// origin_b_ingest_test.go
		{41, testIngest, false},
		// origin_b_channels_test.go
		{42, testSource, false},
		{48, testICE, false},
		{72, testFileSink, false},
		// origin_b_sinks_test.go
		{43, testSinkBegins, false},
		{44, testSinkReply, false},
		{45, testSinkLate, false},
		{46, testSinkSlow, false},
		{47, testSinkEnds, false},
		// origin_b_keep_test.go
		{49, testRetention, false},
		// origin_b_push_test.go
		{50, testPush, false},
	}
}
