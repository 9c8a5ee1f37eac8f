//go:build e2e && linux

package e2e

import "testing"

// TestIssue6 holds the sentences of issue 6 that are no line of the list of TestOrigin: players, the origin beside gws and
// engines, and bad input.
func TestIssue6(t *testing.T) {
	for _, sentence := range []struct {
		name string
		test func(*testing.T)
	}{
		// issue6_run_test.go
		{"several modes on one port", testModesOnOnePort},
		{"one address serves all", testOneAddress},
		{"sluice run reloads its origin", testRunReloadsOrigin},
		{"an origin that dies is started again and no viewer notices", testOriginDies},
		{"a record goes on when its engine dies", testRecordGoesOn},
		{"what a killed origin has recorded is kept", testRecordOfKilledOrigin},
		// issue6_uploads_test.go
		{"an upload is a channel for any client", testUploadIsChannel},
		{"an upload is a source that has a back-up", testUploadWithBackup},
		// issue6_players_test.go
		{"what ffmpeg uploads is read while it comes", testFFmpegUploads},
		{"hls.js plays what ffmpeg uploads", testHLS},
		// issue6_rights_test.go
		{"certificates are read again when they change", testOriginCertificates},
		{"a hook is asked by HTTP", testOriginHook},
		{"users of GPAC are taken over", testUsersOfGPAC},
		{"default ports", testDefaultPorts},
		// issue6_badinput_test.go
		{"no spelling leads out", testTraversal},
		{"no link leads out", testLinksOut},
		{"uploads that stop or lie or never end", testBadUploads},
		{"ranges of every broken kind", testBrokenRanges},
		{"two writers of one path", testTwoWriters},
		{"a full disk", testFullDisk},
		{"who reads a byte and no more is in nobody's way", testByteReader},
	} {
		t.Run(sentence.name, func(t *testing.T) {
			t.Parallel()
			sentence.test(t)
		})
	}
}
