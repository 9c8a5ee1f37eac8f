//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// testLLHLS is line 66 by its parts, on disk and in memory.
func testLLHLS(t *testing.T) {
	for name, dir := range map[string]string{"disk": t.TempDir(), "memory": "gmem"} {
		t.Run(name, func(t *testing.T) {
			o := startOrigin(t, "--maxp", "0", "--rdirs", dir, "--wdir", dir, "--max_cache_segs", "200")
			p := newLLHLS(t, o.url+"/live", 8)
			p.publish(2*segmentParts + 1)
			testHeldPlaylist(t, o, p)
			testHeldPart(t, o, p)
			testUnreasonable(t, o, p)
			testDelta(t, o, p)
			testFollowers(t, o, p)
		})
	}
	t.Run("another program writes", testPlaylistOfOthers)
	t.Run("in vain", testHeldInVain)
	t.Run("hls.js", testLLHLSPlayed)
}

// heldRequest is a request that is answered later.
type heldRequest struct {
	t    *testing.T
	over chan struct{} // closed when what follows holds
	got  reply
	err  error
}

// asks begins to ask for a path; the answer is had by answered.
func (o *originRun) asks(path string) *heldRequest {
	q := &heldRequest{t: o.t, over: make(chan struct{})}
	go func() {
		defer close(q.over)
		q.got, q.err = o.fetch(path)
	}()
	o.t.Cleanup(func() { <-q.over })
	return q
}

// fetch asks for a path; any goroutine may.
func (o *originRun) fetch(path string) (reply, error) {
	ctx, cancel := context.WithTimeout(o.t.Context(), testkit.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url+path, nil)
	if err != nil {
		return reply{}, err
	}
	resp, err := o.web.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp, string(body)}, err
}

// answered waits for the answer, which must have a status.
func (q *heldRequest) answered(status int) reply {
	q.t.Helper()
	<-q.over
	if q.err != nil {
		q.t.Fatal(q.err)
	}
	if q.got.StatusCode != status {
		q.t.Fatalf("GET %s: %s %q, want %d", q.got.Request.URL, q.got.Status, q.got.body, status)
	}
	return q.got
}

// testHeldPlaylist: segment 2 has one part. A request for its second part waits for that, one for the whole for all, over either version.
func testHeldPlaylist(t *testing.T, o *originRun, p *llhls) {
	h2 := *o
	h2.web = http2Client(t)
	for _, path := range []string{"", "?_HLS_msn=1", "?_HLS_msn=2&_HLS_part=0", "?_HLS_msn=1&_HLS_part=4", "?_HLS_skip=YES"} {
		a := o.get("/live/live.m3u8"+path, 200)
		a.has(t, "Content-Type", "application/vnd.apple.mpegurl")
		if a.body != p.playlist() {
			t.Errorf("%q: %q; want the playlist as it is", path, a.body)
		}
	}
	part, over := o.asks("/live/live.m3u8?_HLS_msn=2&_HLS_part=1"), h2.asks("/live/live.m3u8?_HLS_msn=2&_HLS_part=1&_HLS_skip=v2")
	whole, beyond := h2.asks("/live/live.m3u8?_HLS_msn=2"), o.asks("/live/live.m3u8?_HLS_msn=3&_HLS_part=0")
	o.waiting(4)
	p.publish(1)
	if a, b := part.answered(200), over.answered(200); a.body != p.playlist() || b.body != a.body {
		t.Errorf("who waits for part 1 of segment 2 gets\n%s\nand\n%s", a.body, b.body)
	}
	o.waiting(2)
	p.publish(segmentParts - 2)
	if a := whole.answered(200); !strings.Contains(a.body, "\n"+segmentName(2)+"\n") {
		t.Errorf("who waits for segment 2 gets\n%s", a.body)
	}
	o.waiting(1)
	p.publish(1)
	if a := beyond.answered(200); !strings.Contains(a.body, `URI="`+partName(3, 0)+`"`) {
		t.Errorf("who waits for part 0 of segment 3 gets\n%s", a.body)
	}
	o.waiting(0)
}

// testHeldPart: segment 3 has one part, the next one is announced. A request for that is held and gets it while it comes; any other is 404.
func testHeldPart(t *testing.T, o *originRun, p *llhls) {
	o.get("/live/"+partName(3, 2), 404)
	o.get("/live/"+segmentName(3), 404)
	if a := o.ask(http.MethodHead, "/live/"+partName(3, 1), ""); a.StatusCode != 404 {
		t.Errorf("HEAD of what is announced: %s", a.Status)
	}
	held := o.asks("/live/" + partName(3, 1))
	o.waiting(1)
	bytes := string(p.all[p.next])
	u := o.begin("/live/"+partName(3, 1), bytes[:100])
	o.waiting(0)
	f := o.follow("/live/" + partName(3, 1))
	f.hears(bytes[:100])
	u.says(bytes[100:])
	f.hears(bytes[100:])
	u.ends(201)
	if a := held.answered(200); a.body != bytes {
		t.Errorf("who waited for a part gets %d bytes of %d", len(a.body), len(bytes))
	}
	p.publish(1)
}

// testUnreasonable: what is too far ahead or no number is 400. Segment 3 has two parts.
func testUnreasonable(t *testing.T, o *originRun, p *llhls) {
	for _, query := range []string{
		"_HLS_msn=5", "_HLS_msn=99", "_HLS_part=1", "_HLS_msn=5&_HLS_part=0", "_HLS_msn=3&_HLS_part=99",
		"_HLS_msn=-1", "_HLS_msn=x", "_HLS_msn=", "_HLS_msn=3&_HLS_msn=4", "_HLS_msn=3&_HLS_part=x", "_HLS_msn=99999999999999999999",
	} {
		if a := o.get("/live/live.m3u8?"+query, 400); strings.Count(a.body, "\n") != 1 {
			t.Errorf("%s: %q; want one line that says why", query, a.body)
		}
	}
	if a := o.get("/live/live.m3u8?_HLS_msn=2&_HLS_part=99", 200); a.body != p.playlist() {
		t.Errorf("a part beyond those of a segment that is complete is not the next segment's: %q", a.body)
	}
	o.get("/live/no.m3u8?_HLS_msn=1", 404)
}

// testDelta: a playlist that leaves out segments is passed on as it is, and its skipped segments count.
func testDelta(t *testing.T, o *originRun, p *llhls) {
	p.skip = true
	defer func() { p.skip = false }()
	p.publish(2*segmentParts - 2)
	if a := o.get("/live/live.m3u8?_HLS_msn=4&_HLS_skip=YES", 200); a.body != p.playlist() || !strings.Contains(a.body, "\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n") {
		t.Errorf("a delta update is passed on as %q, want %q", a.body, p.playlist())
	}
	held := o.asks("/live/live.m3u8?_HLS_msn=5&_HLS_part=0&_HLS_skip=YES")
	o.waiting(1)
	o.get("/live/live.m3u8?_HLS_msn=7&_HLS_skip=YES", 400)
	p.publish(1)
	if a := held.answered(200); a.body != p.playlist() {
		t.Errorf("who waits for a part of a delta update gets %q", a.body)
	}
}

// testFollowers: players follow the rest of the film, each part announced before it is there, and see each playlist once. What they
// get is the film.
func testFollowers(t *testing.T, o *originRun, p *llhls) {
	p.publish(1)
	at, end := p.next, len(p.all)
	films := make([]bytes.Buffer, 4)
	errs := make([]error, len(films))
	var group sync.WaitGroup
	for i := range films {
		player := *o
		if i%2 == 1 {
			player.web = http2Client(t)
		}
		group.Go(func() { errs[i] = player.plays(at, end, &films[i]) })
	}
	for p.next < end {
		o.waiting(2 * len(films)) // each has asked for the playlist and for the part
		p.publish(1)
	}
	group.Wait()
	want := bytes.Join(p.all[at:], nil)
	for i := range films {
		if errs[i] != nil || !bytes.Equal(films[i].Bytes(), want) {
			t.Errorf("player %d has got %d bytes of %d: %v", i, films[i].Len(), len(want), errs[i])
		}
	}
	if a := o.get("/live/live.m3u8?_HLS_msn=99", 200); !strings.Contains(a.body, "#EXT-X-ENDLIST") {
		t.Errorf("of a film that is over nothing is to be waited for: %q", a.body)
	}
	var film bytes.Buffer
	film.WriteString(o.get("/live/init.mp4", 200).body)
	for n := range window { // the memory keeps no more than the playlist has
		film.WriteString(o.get("/live/"+segmentName(end/segmentParts-window+n), 200).body)
	}
	decodes(t, film.Bytes(), 25*int(window*segmentTime/time.Second))
}

// plays asks for parts from one on, and at the same time for the playlist that has it, as players do.
func (o *originRun) plays(at, end int, film *bytes.Buffer) error {
	for ; at < end; at++ {
		n, part := at/segmentParts, at%segmentParts
		list := o.asks(fmt.Sprintf("/live/live.m3u8?_HLS_msn=%d&_HLS_part=%d", n, part))
		got, err := o.fetch("/live/" + partName(n, part))
		<-list.over
		switch list := list.got; {
		case err != nil || list.Response == nil:
			return fmt.Errorf("part %d of segment %d, or its playlist: %w", part, n, err)
		case got.StatusCode != 200 || list.StatusCode != 200:
			return fmt.Errorf("part %d of segment %d: %s, its playlist %s", part, n, got.Status, list.Status)
		case !strings.Contains(list.body, `URI="`+partName(n, part)+`"`) || strings.Count(list.body, fmt.Sprintf(`#EXT-X-PART:DURATION=0.200,URI="seg%d.`, n)) != part+1:
			return fmt.Errorf("the playlist of part %d of segment %d is\n%s", part, n, list.body)
		}
		film.WriteString(got.body)
	}
	return nil
}

// decodes wants ffprobe to find so many frames in a film.
func decodes(t *testing.T, film []byte, frames int) {
	t.Helper()
	testkit.Need(t, "ffprobe")
	file := filepath.Join(t.TempDir(), "film.mp4")
	if err := os.WriteFile(file, film, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-select_streams", "v",
		"-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file).CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != fmt.Sprint(frames) {
		t.Errorf("ffprobe finds %q frames, %v; want %d", got, err, frames)
	}
}

// testPlaylistOfOthers: what another program writes into the directory is noticed as well.
func testPlaylistOfOthers(t *testing.T) {
	o, dir := startOriginDir(t)
	p := newLLHLS(t, o.url, 2)
	p.publish(1)
	held := o.asks("/live.m3u8?_HLS_msn=0&_HLS_part=1")
	o.waiting(1)
	p.next++
	if err := os.Rename(put(t, filepath.Join(t.TempDir(), "new"), p.playlist()), filepath.Join(dir, "live.m3u8")); err != nil {
		t.Fatal(err)
	}
	if a := held.answered(200); a.body != p.playlist() {
		t.Errorf("who waits for it gets %q", a.body)
	}
}

// testHeldInVain: what does not come in three target durations is 503, and 503 it is when the origin ends. A playlist that goes is 404.
func testHeldInVain(t *testing.T) {
	o, _ := startOriginDir(t, "--maxp", "0")
	p := newLLHLS(t, o.url, 2)
	p.publish(1)
	playlist, part := o.asks("/live.m3u8?_HLS_msn=0&_HLS_part=1"), o.asks("/"+partName(0, 1))
	o.waiting(2)
	playlist.answered(503).has(t, "Retry-After", "1")
	part.answered(404)

	gone := o.asks("/live.m3u8?_HLS_msn=0&_HLS_part=1")
	o.waiting(1)
	o.ask(http.MethodDelete, "/live.m3u8", "")
	gone.answered(404)
	p.publish(1)
	playlist, part = o.asks("/live.m3u8?_HLS_msn=0&_HLS_part=2"), o.asks("/"+partName(0, 2))
	o.waiting(2)
	o.proc.Signal(syscall.SIGTERM)
	playlist.answered(503)
	part.answered(503)
}
