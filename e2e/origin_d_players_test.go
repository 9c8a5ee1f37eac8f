//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// playerFiles are the players for a browser, where scripts/setup.sh puts them.
const playerFiles = "../bin/players/node_modules"

// The scripts of players that a page can have.
const (
	dashScript = "dashjs/dist/modern/umd/dash.all.min.js"
	hlsScript  = "hls.js/dist/hls.min.js"
)

// playerPage plays something with a script of a player, and posts to /said how it goes, as long as it goes. The script
// begins in begin(video), which returns what tells the latency, in seconds; fail(text) is for what it complains of.
// Who waits once it has played stalls: of the media element, which is what is seen.
const playerPage = `<!doctype html><title>player</title>
<video id="video" muted autoplay playsinline width="640" height="360"></video>
<script src="/%s"></script>
<script>
const video = document.getElementById("video"), errors = [];
let stalls = 0, begun = false;
const fail = text => errors.push(text);
const sum = ranges => { let n = 0; for (let i = 0; i < ranges.length; i++) n += ranges.end(i) - ranges.start(i); return n; };
video.addEventListener("playing", () => { begun = true; });
video.addEventListener("waiting", () => { if (begun) stalls++; });
video.addEventListener("error", () => fail("media element: " + video.error.message));
addEventListener("error", e => fail("script: " + e.message));
let latency = () => 0;
const begin = video => { %s };
(async () => {
	try { latency = begin(video); } catch (e) { fail("begin: " + e); }
	for (;;) {
		const body = JSON.stringify({
			Played: sum(video.played), Parts: video.played.length, Pictures: video.getVideoPlaybackQuality().totalVideoFrames,
			Stalls: stalls, Latency: begun ? latency() : 0, Errors: errors,
		});
		await fetch("/said", { method: "POST", body });
		await new Promise(done => setTimeout(done, 250));
	}
})();
</script>`

// playing is how it goes in a page.
type playing struct {
	Played   float64 // seconds of media
	Parts    int     // that lie apart from each other
	Pictures int
	Stalls   int
	Latency  float64 // seconds
	Errors   []string
}

// page is a page of Chromium that plays something.
type page struct {
	t       *testing.T
	browser *testkit.Proc
	said    chan playing
}

// showPlayer shows a page with a player; begin is what playerPage says.
func showPlayer(t *testing.T, script, begin string) *page {
	t.Helper()
	if _, err := os.Stat(filepath.Join(playerFiles, script)); err != nil {
		t.Fatalf("%v: run `make setup`, which installs the players of scripts/players", err)
	}
	p := &page{t: t, said: make(chan playing)}
	scripts := http.FileServer(http.Dir(playerFiles))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			p.hear(r)
		case r.URL.Path == "/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, playerPage, script, begin)
		default:
			scripts.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(web.Close)
	p.browser = startChromium(t, web.URL, "--autoplay-policy=no-user-gesture-required", "--disable-background-networking", "--mute-audio")
	return p
}

// hear passes on what a page says, once somebody listens.
func (p *page) hear(r *http.Request) {
	var now playing
	if err := json.NewDecoder(r.Body).Decode(&now); err != nil {
		p.t.Errorf("a page of Chromium has posted what is no report: %v", err)
		return
	}
	select {
	case p.said <- now:
	case <-r.Context().Done():
	}
}

// until waits until it is as wanted; see sees each report. What the player complains of fails the test.
func (p *page) until(what string, itIs func(playing) bool, see func(playing)) playing {
	p.t.Helper()
	var last playing
	patience := time.NewTimer(3 * testkit.Patience) // a minute is played, and before it the browser begins
	defer patience.Stop()
	for {
		select {
		case last = <-p.said:
			if len(last.Errors) > 0 {
				p.t.Fatalf("the player complains: %s", strings.Join(last.Errors, "; "))
			}
			see(last)
			if itIs(last) {
				return last
			}
		case <-p.browser.Done():
			p.t.Fatal("Chromium has ended")
		case <-patience.C:
			p.t.Fatalf("the player has not come to %s: %+v", what, last)
		}
	}
}

// playsOn wants so many more seconds of media without a stall, and tells the latency meanwhile.
func (p *page) playsOn(seconds float64) {
	p.t.Helper()
	begun := p.until("the first two seconds", func(now playing) bool { return now.Played >= 2 }, func(playing) {})
	var worst, total float64
	n := 0
	end := p.until(fmt.Sprintf("%.0f seconds more", seconds), func(now playing) bool { return now.Played >= begun.Played+seconds }, func(now playing) {
		worst, total, n = max(worst, now.Latency), total+now.Latency, n+1
	})
	p.t.Logf("%.1f s played, %d pictures, %d stalls; latency %.2f s, %.2f s at most", end.Played-begun.Played, end.Pictures, end.Stalls-begun.Stalls, total/float64(n), worst)
	if end.Stalls != begun.Stalls || end.Parts != begun.Parts {
		p.t.Errorf("the player has stalled %d times and jumped %d times", end.Stalls-begun.Stalls, end.Parts-begun.Parts)
	}
	if end.Pictures <= begun.Pictures {
		p.t.Error("the player has shown no pictures")
	}
}

// pushDASH starts an encoder that uploads low-latency DASH to base/live.mpd, and beside it playlists of HLS: segments of
// two seconds in fragments of a fifth, pieces of which are sent as they are made.
func pushDASH(t *testing.T, base string) *testkit.Proc {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	args := append([]string{"-v", "warning", "-nostdin"}, "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000")
	args = append(args, strings.Fields("-c:v libx264 -preset ultrafast -tune zerolatency -g 50 -b:v 250k -c:a aac -b:a 64k")...)
	args = append(args, strings.Fields("-f dash -method PUT -http_persistent 1 -streaming 1 -ldash 1 -hls_playlist 1 -use_timeline 0 -seg_duration 2 -frag_type duration -frag_duration 0.2 -write_prft 1")...)
	args = append(args, "-window_size", "5", "-extra_window_size", "5", "-utc_timing_url", base+"/time", base+"/live.mpd")
	return testkit.Start(t, "ffmpeg", args...)
}

// appears waits until there is something by a path.
func (o *originRun) appears(path string) {
	o.t.Helper()
	testkit.Eventually(o.t, func() error {
		if a := o.ask(http.MethodHead, path, ""); a.StatusCode != http.StatusOK {
			return fmt.Errorf("HEAD %s: %s", path, a.Status)
		}
		return nil
	})
}

// playDASH plays url with dash.js, two seconds behind.
func playDASH(t *testing.T, url string) *page {
	t.Helper()
	return showPlayer(t, dashScript, fmt.Sprintf(`
		const p = dashjs.MediaPlayer().create();
		p.updateSettings({ streaming: { delay: { liveDelay: 2 }, liveCatchup: { enabled: true } } });
		p.on(dashjs.MediaPlayer.events.ERROR, e => fail("dash.js: " + e.error.message));
		p.initialize(video, %q, true);
		return () => p.getCurrentLiveLatency();`, url))
}

// testLowLatency: what ffmpeg uploads is played a segment behind, without a stall. The latency is told, and bounded where
// it could not be met were segments seen only as a whole: bench-origin has the figure.
func testLowLatency(t *testing.T) {
	o, _ := startOriginDir(t, "--maxp", "50")
	pushDASH(t, o.url)
	o.appears("/live.mpd")
	playDASH(t, o.url+"/live.mpd").playsOn(60)
}
