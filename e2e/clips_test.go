//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/internal/testkit"
)

// clip is a kind of channel, made once by ffmpeg as a file and sent by `sluice send`.
type clip struct {
	name   string
	codecs []string // as ffprobe names them
	video  string   // ffmpeg's options; empty is a radio channel
	audio  string
}

var (
	h264  = clip{"h264", []string{"h264", "aac"}, "-c:v libx264 -preset ultrafast -g 25 -b:v 250k", "-c:a aac -b:a 64k"}
	h265  = clip{"h265", []string{"hevc", "aac"}, "-c:v libx265 -preset ultrafast -x265-params keyint=25:log-level=error -b:v 250k", "-c:a aac -b:a 64k"}
	mpeg2 = clip{"mpeg2", []string{"mpeg2video", "mp2"}, "-c:v mpeg2video -g 25 -b:v 400k", "-c:a mp2 -b:a 128k"}
	radio = clip{"radio", []string{"aac"}, "", "-c:a aac -b:a 96k"}
	clips = []clip{h264, h265, mpeg2, radio}
)

// clipSeconds is the length of a clip; each second of it begins with a key frame.
const clipSeconds = 20

// input is what ffmpeg makes a clip of.
func (c clip) input() []string {
	args := []string{"-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000"}
	if c.video != "" {
		args = append([]string{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"}, args...)
		args = append(args, strings.Fields(c.video)...)
	}
	return append(args, strings.Fields(c.audio)...)
}

var clipMu sync.Mutex // one clip is made at a time

// file is the path of the clip as a transport stream.
func (c clip) file(t *testing.T) string {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	clipMu.Lock()
	defer clipMu.Unlock()
	path := filepath.Join(os.Getenv(clipsEnv), c.name+".ts")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	args := append([]string{"-v", "error", "-nostdin", "-y"}, c.input()...)
	args = append(args, "-t", fmt.Sprint(clipSeconds), "-f", "mpegts", path+".part")
	if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("make clip %s: %v\n%s", c.name, err, out)
	}
	if err := os.Rename(path+".part", path); err != nil {
		t.Fatal(err)
	}
	return path
}

var groups atomic.Uint32

// newGroup is a multicast group and port that no other test uses.
func newGroup() string {
	n := groups.Add(1)
	return fmt.Sprintf("239.77.%d.%d:5000", n>>8, n&0xff)
}

// send starts an endless, seamless channel: `sluice send FILE --loop --to SCHEME://GROUP`.
func send(t *testing.T, c clip, scheme, group string, more ...string) *testkit.Proc {
	t.Helper()
	args := append([]string{"send", c.file(t), "--loop", "--to", scheme + "://" + group}, more...)
	return testkit.Start(t, program(), args...)
}

// sendLive starts an encoder that sends by itself, in real time.
func sendLive(t *testing.T, c clip, scheme, group string) *testkit.Proc {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	args := append([]string{"-v", "error", "-nostdin", "-re"}, c.input()...)
	switch scheme {
	case "rtp":
		args = append(args, "-f", "rtp_mpegts", "rtp://"+group+"?pkt_size=1328&ttl=1")
	default:
		args = append(args, "-f", "mpegts", "udp://"+group+"?pkt_size=1316&ttl=1")
	}
	return testkit.Start(t, "ffmpeg", args...)
}
