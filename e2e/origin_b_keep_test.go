//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// testRetention: of each representation so many segments are kept as the rules say (1.3 of the specification), and all of the rest.
func testRetention(t *testing.T) {
	for _, r := range []struct {
		place    string
		segments string
		shift    string
		manifest string // says the time shift
		kept     int    // of eight
	}{
		{"gmem", "3", "0", "", 3},
		{"gmem", "-3", "0", "", 3},
		{"gmem", "0", "0", "", 1},
		{"gmem", "5", "2", "", 2}, // the time shift, if that is less
		{"gmem", "2", "5", "", 2},
		{"gmem", "5", "0", "mpd", 3},
		{"disk", "-3", "0", "", 3},
		{"disk", "-3", "5", "", 3},
		{"disk", "3", "5", "", 5}, // the time shift at least
		{"disk", "5", "3", "", 5},
		{"disk", "3", "0", "m3u8", 5},
		{"disk", "3", "0", "", 8}, // it is not known
		{"disk", "0", "0", "", 8},
	} {
		t.Run(fmt.Sprintf("%s %s of %s%s", r.place, r.segments, r.shift, r.manifest), func(t *testing.T) {
			t.Parallel()
			dir := r.place
			if dir == "disk" {
				dir = t.TempDir()
			}
			o := startOrigin(t, "--rdirs", dir, "--wdir", dir, "--max-cache-segs", r.segments, "--timeshift", r.shift)
			o.keeps(r.manifest, r.kept)
		})
	}
	t.Run("in use", func(t *testing.T) {
		t.Parallel()
		testSegmentInUse(t)
	})
}

// manifests that say a time shift: two segments of a second, and four segments. One more is kept, since a manifest comes after its newest.
var shiftManifests = map[string]string{
	"":    "",
	"mpd": `<MPD type="dynamic" timeShiftBufferDepth="PT2S"><Period><AdaptationSet><SegmentTemplate timescale="10" duration="10"/></AdaptationSet></Period></MPD>`,
	"m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nv-1.m4s\n#EXTINF:2,\nv-2.m4s\n" +
		"#EXTINF:2,\nv-3.m4s\n#EXTINF:2,\nv-4.m4s\n",
}

// keeps uploads two representations of eight segments, and wants the newest ones of each, and what is no segment.
func (o *originRun) keeps(manifest string, kept int) {
	o.t.Helper()
	others := []string{"/live/v-init.mp4", "/live/init-0.m4s", "/live/other.mpd", "/live/other.m3u8"}
	for _, path := range others {
		o.put(path, letters, 201)
	}
	if manifest != "" {
		path := "/live/out." + manifest
		o.put(path, shiftManifests[manifest], 201)
		others = append(others, path)
	}
	const segments = 8
	for n := 1; n <= segments; n++ {
		o.put(fmt.Sprintf("/live/v-%d.m4s", n), letters, 201)
		o.put(fmt.Sprintf("/live/sound/%05d.ts", n), letters, 201)
	}
	for n := 1; n <= segments; n++ {
		status := 404
		if n > segments-kept {
			status = 200
		}
		o.get(fmt.Sprintf("/live/v-%d.m4s", n), status)
		o.get(fmt.Sprintf("/live/sound/%05d.ts", n), status)
	}
	for _, path := range others {
		o.get(path, 200)
	}
}

// testSegmentInUse: who has begun to read a segment has all of it, though its time is over and others come in its place.
func testSegmentInUse(t *testing.T) {
	o := startOrigin(t, "gmem", "--wdir", "gmem", "--max-cache-segs", "2")
	text := strings.Repeat(letters, 1_000_000) // no socket has room for it
	o.put("/v-1.m4s", text, 201)
	f := o.follow("/v-1.m4s")
	f.hears(letters)
	for n := 2; n <= 6; n++ {
		o.put(fmt.Sprintf("/v-%d.m4s", n), letters, 201)
	}
	o.put("/v-1.m4s", letters, 200) // replaced under its reader
	if rest, err := io.ReadAll(f.Body); err != nil || string(rest) != text[len(letters):] {
		t.Errorf("%d more bytes, %v, or others; want %d", len(rest), err, len(text)-len(letters))
	}
	f.Body.Close()
	o.active(0)
	o.put("/v-7.m4s", letters, 201)
	for n, status := range map[int]int{2: 404, 5: 404, 6: 404, 1: 200, 7: 200} { // 1 came again behind 6
		o.get(fmt.Sprintf("/v-%d.m4s", n), status)
	}
}
