//go:build e2e && linux

package e2e

import (
	"fmt"
	"testing"

	"sluice/internal/testkit"
)

// uploader uploads the made-up channel to an origin, group by group.
type uploader struct {
	*upload
	sent []byte
}

// newUploader begins to upload; nothing is sent yet.
func newUploader(t *testing.T, o *originRun, path string) *uploader {
	t.Helper()
	one := *o
	one.t = t
	return &uploader{upload: one.begin(path, "")}
}

// more sends so many groups.
func (u *uploader) more(groups int) {
	u.t.Helper()
	for range groups {
		var b []byte
		for n := range groupPackets {
			b = appendNumbered(b, len(u.sent)/groupBytes*groupPackets+n)
		}
		u.says(string(b))
		u.sent = append(u.sent, b...)
	}
}

// pushStream uploads a clip without end, at its speed, as an encoder does.
func pushStream(t *testing.T, c clip, url string) *testkit.Proc {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	return testkit.Start(t, "ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", c.file(t), "-c", "copy", "-f", "mpegts", "-method", "PUT", url)
}

// testUploadIsChannel: ffmpeg uploads a stream to `sluice origin --hmode source`; ffprobe, ffmpeg and curl watch it at gws, by its
// path and as a source, beside each other.
func testUploadIsChannel(t *testing.T) {
	viewers := freePort(t)
	o := startOrigin(t, "--hmode", "source", "--viewers", viewers)
	o.proc.WaitLine(`engine attached`)
	pushStream(t, h264, o.url+"/live/cam.ts")
	url := "http://" + viewers + "/upload/live/cam.ts"
	v := watch(t, url)
	v.untilStart()
	t.Run("by", func(t *testing.T) {
		for name, read := range map[string]func(*testing.T){
			"ffprobe":     func(t *testing.T) { readByFFprobe(t, h264, url) },
			"ffmpeg":      func(t *testing.T) { firstPicture(t, url) },
			"curl":        func(t *testing.T) { readByPipe(t, h264, url, "curl -sS") },
			"as a source": func(t *testing.T) { watch(t, "http://"+viewers+"/src/upload:///live/cam.ts/dst/").more(50_000) },
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); read(t) })
		}
	})
	v.unbroken()
	o.get("/live/cam.ts", 404)
}

// testUploadWithBackup: when an upload that is the source of a channel breaks off a group takes its place, until there is an upload
// again; who watches sees whole packets, and goes on.
func testUploadWithBackup(t *testing.T) {
	addr, backup := freePort(t), newGroup()
	p := run(t, settings{config: fmt.Sprintf(`
origin: {listen: %s, sources: [/ingest/]}
channels:
  news: {source: 'upload:///ingest/cam.ts', backup: ['udp://%s'], no_data: 3s}
`, addr, backup)})
	send(t, h264, "udp", backup, "--pcr-wrap", "20m")
	flows(t, backup)
	url := "http://" + addr + "/ingest/cam.ts"
	cam := pushStream(t, h264, url)
	v := watch(t, p.url("/$news"))
	p.onAir("news", 0, "live")
	v.untilStart()
	v.more(50_000)
	kill(t, cam.PID())
	p.onAir("news", 1, "backup")
	v.more(50_000)
	pushStream(t, h264, url)
	p.onAir("news", 0, "live")
	v.more(50_000)
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := v.framer.Skipped(); n != 0 {
		t.Errorf("%d bytes outside the packets", n)
	}
}
