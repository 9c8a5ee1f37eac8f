//go:build e2e

package e2e

import "testing"

// TestIssue4 holds the sentences of issue 4 that are no line of the acceptance list: who
// may watch, channels from lists, and a configuration that is read again. As in TestIssue1
// every subtest runs its own program.
func TestIssue4(t *testing.T) {
	for _, sentence := range []struct {
		name string
		test func(*testing.T)
	}{
		// issue4_auth_test.go
		{"a token of the file lets in", testTokens},
		{"a URL that sluice sign made lets in for its time", testSignedURLs},
		{"an HTTP service decides", testHook},
		{"lists of addresses hold at once", testAddressLists},
		{"tokens are in no log and no report", testTokensNowhere},
		// issue4_lists_test.go
		{"a channels file is read again when it changes", testChannelsFile},
		{"playlists of files and of URLs are read again", testPlaylists},
		{"players play our playlist", testOurPlaylist},
		{"the channels of the manual are served", testChannelsOfTheManual},
		// issue4_config_test.go
		{"a broken configuration changes nothing", testBrokenConfigurations},
		{"check tells what is wrong and what holds", testCheck},
		{"every key stands in the manual", testEveryKeyIsTold},
		{"routes run from the start and again", testRoutes},
		{"a gigapxy.conf starts gws and gng", testGigapxyConf},
	} {
		t.Run(sentence.name, func(t *testing.T) {
			t.Parallel()
			sentence.test(t)
		})
	}
}
