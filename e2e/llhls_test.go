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
	"testing"
	"time"

	"sluice/internal/media/mp4"
	"sluice/internal/testkit"
)

// The shape of what a producer makes: parts of 5 frames, segments of 5 parts, the first of which begins with a key frame.
const (
	partTime     = 200 * time.Millisecond
	segmentParts = 5
	segmentTime  = segmentParts * partTime
	window       = 6 // segments of a playlist
)

// llhls is a producer of low-latency HLS (RFC 8216bis): it cuts fragmented MP4 into parts, and uploads these, segments of them, and a
// playlist after each part.
type llhls struct {
	t    *testing.T
	url  string // of the directory that it uploads to, with a slash at its end
	web  *http.Client
	init []byte
	all  [][]byte // its parts, each one moof and its mdat
	next int      // of all
	skip bool     // its playlists are delta updates: they leave out what is older than the last three segments
}

// newLLHLS makes so many seconds of video and uploads what comes before its first part; url is that of a directory.
func newLLHLS(t *testing.T, url string, seconds int) *llhls {
	t.Helper()
	p := &llhls{t: t, url: strings.TrimSuffix(url, "/") + "/", web: &http.Client{Transport: &http.Transport{DisableCompression: true}}}
	t.Cleanup(p.web.CloseIdleConnections)
	p.init, p.all = fragments(t, seconds)
	p.upload("init.mp4", p.init)
	return p
}

// fragments is a film of so many seconds: its initialization, and its parts.
func fragments(t *testing.T, seconds int) (begin []byte, parts [][]byte) {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	frames := int(partTime * 25 / time.Second)
	file := filepath.Join(t.TempDir(), "film.mp4")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
		"-t", fmt.Sprint(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", fmt.Sprint(frames*segmentParts), "-sc_threshold", "0",
		"-movflags", "cmaf+empty_moov+default_base_moof+skip_trailer", "-frag_duration", fmt.Sprint(partTime.Microseconds()), "-f", "mp4", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	film, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cuts []int64
	var boxes mp4.Scanner
	if err := boxes.Write(film, func(at int64, b mp4.Box) error {
		switch {
		case b.Type == "moof":
			cuts = append(cuts, at)
		case len(cuts) > 0 && b.Type != "mdat":
			return fmt.Errorf("a %q box among the fragments", b.Type)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := seconds * int(time.Second/partTime); len(cuts) != want {
		t.Fatalf("ffmpeg has made %d fragments of %d s, want %d", len(cuts), seconds, want)
	}
	cuts = append(cuts, int64(len(film)))
	for i := range len(cuts) - 1 {
		parts = append(parts, film[cuts[i]:cuts[i+1]])
	}
	return film[:cuts[0]], parts
}

// names of what is uploaded; segments are counted from 0, and so are the parts of each.
func segmentName(n int) string    { return fmt.Sprintf("seg%d.m4s", n) }
func partName(n, part int) string { return fmt.Sprintf("seg%d.%d.m4s", n, part) }

// upload uploads an object.
func (p *llhls) upload(name string, body []byte) {
	p.t.Helper()
	if err := p.tryUpload(p.t.Context(), name, body); err != nil {
		p.t.Fatal(err)
	}
}

func (p *llhls) tryUpload(ctx context.Context, name string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, p.url+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := p.web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("PUT %s: %s %s", name, resp.Status, text)
	}
	return err
}

// publish uploads the next so many parts, each with what it completes and the playlist that has it.
func (p *llhls) publish(parts int) {
	p.t.Helper()
	for range parts {
		if err := p.tryPublish(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *llhls) tryPublish(ctx context.Context) error {
	if p.next == len(p.all) {
		return io.EOF
	}
	n, part := p.next/segmentParts, p.next%segmentParts
	if err := p.tryUpload(ctx, partName(n, part), p.all[p.next]); err != nil {
		return err
	}
	p.next++
	if part == segmentParts-1 {
		if err := p.tryUpload(ctx, segmentName(n), bytes.Join(p.all[n*segmentParts:p.next], nil)); err != nil {
			return err
		}
	}
	return p.tryUpload(ctx, "live.m3u8", []byte(p.playlist()))
}

// live publishes a part each time the clock says so, from the first on, until ctx ends or there are no more; io.EOF then.
func (p *llhls) live(ctx context.Context) error {
	clock := time.NewTicker(partTime)
	defer clock.Stop()
	for {
		if err := p.tryPublish(ctx); err != nil {
			return err
		}
		select {
		case <-clock.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// playlist is the playlist of what has been published.
func (p *llhls) playlist() string {
	complete := p.next / segmentParts
	first := max(complete-window, 0)
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:%d\n", int(segmentTime/time.Second))
	fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%.3f,CAN-SKIP-UNTIL=%.1f\n", 3*partTime.Seconds(), 6*segmentTime.Seconds())
	fmt.Fprintf(&b, "#EXT-X-PART-INF:PART-TARGET=%.3f\n#EXT-X-MEDIA-SEQUENCE:%d\n", partTime.Seconds(), first)
	if old := complete - 3 - first; p.skip && old > 0 {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", old)
		first += old
	} else {
		b.WriteString("#EXT-X-MAP:URI=\"init.mp4\"\n")
	}
	for n := first; n <= complete; n++ {
		parts := min(p.next-n*segmentParts, segmentParts)
		for i := range parts {
			if n < complete-1 {
				break // parts are listed of the last segments only
			}
			independent := ""
			if i == 0 {
				independent = ",INDEPENDENT=YES"
			}
			fmt.Fprintf(&b, "#EXT-X-PART:DURATION=%.3f,URI=\"%s\"%s\n", partTime.Seconds(), partName(n, i), independent)
		}
		if n < complete {
			fmt.Fprintf(&b, "#EXTINF:%.3f,\n%s\n", segmentTime.Seconds(), segmentName(n))
		}
	}
	if p.next < len(p.all) {
		fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s\"\n", partName(complete, p.next%segmentParts))
	} else {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.String()
}
