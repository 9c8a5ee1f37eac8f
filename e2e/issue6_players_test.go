//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/testkit"
)

// pushHLS starts an encoder that uploads HLS to base/index.m3u8: transport streams of two seconds, of which the last
// three are kept.
func pushHLS(t *testing.T, base string) *testkit.Proc {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	args := append([]string{"-v", "warning", "-nostdin", "-re"}, h264.input()...)
	args = append(args, strings.Fields("-g 50 -f hls -method PUT -http_persistent 1 -hls_time 2 -hls_list_size 3 -hls_delete_threshold 1 -hls_flags delete_segments")...)
	return testkit.Start(t, "ffmpeg", append(args, base+"/index.m3u8")...)
}

// testFFmpegUploads: a segment is read while ffmpeg uploads it, and is then what was read; playlists are good for
// ffmpeg, which plays them; what is too old ffmpeg removes. Its reader of DASH goes on asking for ever where a segment is not there yet: dash.js
// plays that, in TestOrigin/68.
func testFFmpegUploads(t *testing.T) {
	o, dir := startOriginDir(t, "--maxp", "50")
	pushDASH(t, o.url+"/dash")
	pushHLS(t, o.url+"/hls")
	old := []string{"hls/index0.ts", "dash/chunk-stream0-00001.m4s"}
	for _, name := range old { // before anything waits for its turn: ffmpeg does not
		seen(t, filepath.Join(dir, name), true)
	}
	t.Run("while it comes", func(t *testing.T) {
		one := *o
		one.t = t
		one.readWhileUploaded(dir)
	})
	for _, manifest := range []string{"/dash/master.m3u8", "/hls/index.m3u8"} {
		t.Run(manifest, func(t *testing.T) {
			t.Parallel()
			one := *o
			one.t = t
			one.hasSegments(manifest)
			plays(t, o.url+manifest)
		})
	}
	t.Run("removes", func(t *testing.T) {
		t.Parallel()
		for _, name := range old {
			seen(t, filepath.Join(dir, name), false)
		}
	})
}

// readWhileUploaded reads the first segment of which it sees that it grows.
func (o *originRun) readWhileUploaded(dir string) {
	o.t.Helper()
	var f *follower
	for n := 1; f == nil; n++ {
		name := fmt.Sprintf("/dash/chunk-stream0-%05d.m4s", n)
		o.appears(name)
		one := o.follow(name)
		if slices.Equal(one.TransferEncoding, []string{"chunked"}) {
			f = one
		}
	}
	got, err := io.ReadAll(f.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	name := f.Request.URL.Path
	seen(o.t, filepath.Join(dir, name), true) // readers have all of it a little before the disk has
	if want, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
		o.t.Errorf("%s: %d bytes were read, %d are there (%v)", name, len(got), len(want), err)
	}
	if n := bytes.Count(got, []byte("moof")); n < 5 {
		o.t.Errorf("%s has %d fragments, want those of a fifth of a second", name, n)
	}
	o.get(name, http.StatusOK).has(o.t, "Content-Type", "video/iso.segment")
}

// plays decodes two seconds with ffmpeg.
func plays(t *testing.T, url string) {
	t.Helper()
	cut(t, "-i", url, "-t", "2", filepath.Join(t.TempDir(), "out.ts"))
}

// playHLS plays url with hls.js; what it mends itself is no complaint.
func playHLS(t *testing.T, url, options string) *page {
	t.Helper()
	return showPlayer(t, hlsScript, fmt.Sprintf(`
		const h = new Hls(%s);
		h.on(Hls.Events.ERROR, (_, e) => { if (e.fatal) fail("hls.js: " + e.type + " " + e.details); });
		h.loadSource(%q);
		h.attachMedia(video);
		return () => h.latency;`, options, url))
}

// testHLS: hls.js plays transport streams, and the fragments that are made for DASH, out of memory.
func testHLS(t *testing.T) {
	o := startOrigin(t, "gmem", "--wdir", "gmem", "--max-cache-segs", "10", "--maxp", "50")
	pushHLS(t, o.url+"/hls")
	pushDASH(t, o.url+"/dash")
	for _, playlist := range []string{"/hls/index.m3u8", "/dash/master.m3u8"} {
		t.Run(playlist, func(t *testing.T) {
			t.Parallel()
			one := *o
			one.t = t
			one.hasSegments(playlist)
			playHLS(t, o.url+playlist, `{}`).playsOn(10)
		})
	}
}

// hasSegments waits until a playlist, and each that it names, has segments in it.
func (o *originRun) hasSegments(playlist string) {
	o.t.Helper()
	var text string
	testkit.Eventually(o.t, func() error {
		a := o.ask(http.MethodGet, playlist, "")
		if text = a.body; !strings.Contains(text, "#EXTINF") && !strings.Contains(text, ".m3u8") {
			return fmt.Errorf("%s reads %s %q", playlist, a.Status, a.body)
		}
		return nil
	})
	for _, name := range regexp.MustCompile(`\w+\.m3u8`).FindAllString(text, -1) {
		o.hasSegments(path.Join(path.Dir(playlist), name))
	}
}
