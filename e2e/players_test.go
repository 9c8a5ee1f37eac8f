//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/media/ts"
	"sluice/internal/testkit"
)

// copySeconds is how long ffmpeg and curl take a channel: longer than the clip, so
// that a seam of the loop is in it.
const copySeconds = 30

func testPlayersReadEveryCodec(t *testing.T) {
	testkit.Need(t, "ffmpeg", "ffprobe", "curl", "wget", "busybox", "cvlc")
	p := run(t, settings{engines: 2})
	for _, c := range clips {
		for _, scheme := range []string{"udp", "rtp"} {
			t.Run(c.name+" over "+scheme, func(t *testing.T) {
				t.Parallel()
				group := newGroup()
				send(t, c, scheme, group)
				url := p.url("/" + scheme + "/" + group)
				warm := watch(t, url)
				warm.untilStart()
				t.Run("by", func(t *testing.T) { readByAll(t, c, url) })
				warm.unbroken()
			})
		}
	}
}

// readByAll reads one channel with every player, all at the same time.
func readByAll(t *testing.T, c clip, url string) {
	for _, player := range []struct {
		name string
		read func(t *testing.T, c clip, url string)
	}{
		{"curl", readByCurl},
		{"wget", readByWget},
		{"busybox wget", readByBusybox},
		{"ffprobe", readByFFprobe},
		{"ffmpeg copies", readByFFmpeg},
		{"VLC", readByVLC},
	} {
		t.Run(player.name, func(t *testing.T) {
			t.Parallel()
			player.read(t, c, url)
		})
	}
}

// readByCurl takes the bytes as they come and judges every one of them.
func readByCurl(t *testing.T, c clip, url string) {
	out := filepath.Join(t.TempDir(), "bytes.ts")
	cmd := exec.Command("curl", "-sS", "--max-time", fmt.Sprint(copySeconds), "-o", out, url)
	msg, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 28 { // 28: the time is over, which ends it
		t.Fatalf("curl: %v\n%s", err, msg)
	}
	judge(t, c, out, 0)
}

// readByWget and readByBusybox take a part of the stream: neither can be told to stop.
func readByWget(t *testing.T, c clip, url string) { readByPipe(t, c, url, "wget -q -O -") }

func readByBusybox(t *testing.T, c clip, url string) { readByPipe(t, c, url, "busybox wget -q -O -") }

func readByPipe(t *testing.T, c clip, url, command string) {
	const packets = 300
	out := filepath.Join(t.TempDir(), "bytes.ts")
	script := fmt.Sprintf("%s '%s' | head -c %d > '%s'", command, url, packets*ts.PacketSize, out)
	if msg, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, msg)
	}
	judge(t, c, out, packets)
}

// judge checks a recording byte by byte: whole packets only, no gap, the clip's streams.
// packets is how many there must be; 0 = any number.
func judge(t *testing.T, c clip, path string, packets int) {
	t.Helper()
	b := []byte(readFile(t, path))
	if packets != 0 && len(b) != packets*ts.PacketSize {
		t.Errorf("%d bytes, want %d packets", len(b), packets)
	}
	b = b[:len(b)/ts.PacketSize*ts.PacketSize] // curl stops anywhere
	if !ts.Aligned(b) {
		t.Fatal("not all of it is whole packets, beginning at the first byte")
	}
	var tracker ts.Tracker
	tracker.Scan(b, 0)
	if n := tracker.Stats().Continuity; n != 0 {
		t.Errorf("%d continuity errors in %d bytes", n, len(b))
	}
	if got := len(tracker.Streams()); got != len(c.codecs) {
		t.Errorf("streams %v, want %v", tracker.Streams(), c.codecs)
	}
}

func readByFFprobe(t *testing.T, c clip, url string) {
	cmd := exec.Command("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "json", url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() != 0 {
		t.Fatalf("ffprobe: %v\n%s", err, &stderr)
	}
	var found struct {
		Streams []struct {
			Name string `json:"codec_name"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range found.Streams {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, c.codecs) {
		t.Errorf("ffprobe sees %v, want %v", names, c.codecs)
	}
}

var broken = regexp.MustCompile(`(?i)continuity|corrupt|discontinu|invalid|error`)

func readByFFmpeg(t *testing.T, _ clip, url string) {
	out := filepath.Join(t.TempDir(), "copy.ts")
	cmd := exec.Command("ffmpeg", "-v", "warning", "-nostdin", "-i", url,
		"-map", "0", "-c", "copy", "-t", fmt.Sprint(copySeconds), "-f", "mpegts", out)
	msg, err := cmd.CombinedOutput()
	if err != nil || broken.Match(msg) {
		t.Fatalf("ffmpeg: %v\n%s", err, msg)
	}
}

func readByVLC(t *testing.T, c clip, url string) {
	line := `Received first picture`
	if c.video == "" {
		line = `audio output debug: output '` // the decoder has told the format of the sound
	}
	vlc(t, url).WaitLine(line)
}

// vlc starts VLC without a screen; it says a great deal. It refuses to run as root.
func vlc(t *testing.T, url string, more ...string) *testkit.Proc {
	t.Helper()
	home, err := os.MkdirTemp("", "sluice-vlc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if err := os.Chmod(home, 0o777); err != nil {
		t.Fatal(err)
	}
	args := append(nobody(t), "env", "HOME="+home, "XDG_RUNTIME_DIR="+home,
		"cvlc", "-vv", "--no-color", "--vout=dummy", "--aout=dummy", url)
	args = append(args, more...)
	return testkit.Start(t, args[0], args[1:]...)
}

// nobody is the prefix of a command that is to run without root's rights. In a user
// namespace there is nobody else to become, only another name for oneself.
func nobody(t *testing.T) []string {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	if f := strings.Fields(readFile(t, "/proc/self/uid_map")); len(f) >= 3 && f[2] == "4294967295" {
		return []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	}
	return []string{"unshare", "--user", "--map-user=65534", "--map-group=65534"}
}

func testPlayersReadLiveEncoders(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	p := run(t, settings{})
	for _, scheme := range []string{"udp", "rtp"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			group := newGroup()
			sendLive(t, h264, scheme, group)
			v := watch(t, p.url("/"+scheme+"/"+group))
			v.untilStart()
			firstPicture(t, p.url("/"+scheme+"/"+group))
			v.more(256 << 10)
			v.unbroken()
		})
	}
}

func testJoinInTheMiddle(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	p := run(t, settings{})
	for _, c := range clips {
		for _, scheme := range []string{"udp", "rtp"} {
			t.Run(c.name+" over "+scheme, func(t *testing.T) {
				t.Parallel()
				group := newGroup()
				send(t, c, scheme, group)
				v := watch(t, p.url("/"+scheme+"/"+group))
				v.untilStart()
				for range 5 { // at five places of the stream
					v.more(17_000)
					firstPicture(t, p.url("/"+scheme+"/"+group))
				}
				v.unbroken()
			})
		}
	}
}

// firstPicture decodes the first picture (of a radio channel the first sound) and wants
// no complaint: the stream begins where a decoder can.
func firstPicture(t *testing.T, url string) {
	t.Helper()
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", url, "-frames", "1", "-f", "null", "-")
	if msg, err := cmd.CombinedOutput(); err != nil || len(msg) != 0 {
		t.Errorf("ffmpeg: %v\n%s", err, msg)
	}
}
