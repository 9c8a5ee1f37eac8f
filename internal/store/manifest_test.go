package store

import "testing"

func TestManifest(t *testing.T) {
	for name, want := range map[string]bool{
		"live.mpd": true, "a.b/live.M3U8": true, "radio.m3u": true,
		"seg-1.m4s": false, "mpd": false, "live.mpd/init.mp4": false, "live.mpd.tmp": false,
	} {
		if got := Manifest(name); got != want {
			t.Errorf("Manifest(%q) = %v", name, got)
		}
	}
}
