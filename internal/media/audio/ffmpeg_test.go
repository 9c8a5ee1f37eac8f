//go:build e2e

package audio

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// TestRealStreams: what ffmpeg codes lasts as long as it was asked for, but for what its coders put before and behind.
func TestRealStreams(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	for _, c := range []struct {
		name string // of the file
		args string
		rate int
		aac  bool
	}{
		{"a.mp3", "-c:a libmp3lame -b:a 128k -ar 44100 -metadata title=Tone", 44100, false},
		{"vbr.mp3", "-c:a libmp3lame -q:a 4 -ar 48000", 48000, false},
		{"low.mp3", "-c:a libmp3lame -b:a 32k -ar 22050", 22050, false},
		{"lowest.mp3", "-c:a libmp3lame -b:a 16k -ar 8000", 8000, false},
		{"a.mp2", "-c:a mp2 -b:a 192k -ar 48000", 48000, false},
		{"low.mp2", "-c:a mp2 -b:a 64k -ar 24000", 24000, false},
		{"a.aac", "-c:a aac -b:a 96k -ar 48000", 48000, true},
		{"mono.aac", "-c:a aac -b:a 64k -ar 44100 -ac 1", 44100, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), c.name)
			args := "-nostdin -v error -f lavfi -i sine=frequency=1000:sample_rate=48000 -t 6 " + c.args + " " + file
			if out, err := exec.Command("ffmpeg", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Fatalf("ffmpeg %s: %v\n%s", args, err, out)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s Scanner
			if got := s.Write(b); (got - 6*time.Second).Abs() > 250*time.Millisecond {
				t.Errorf("%v in a file of 6 s", got)
			}
			if last, ok := s.Last(); !ok || last.SampleRate != c.rate || last.AAC != c.aac {
				t.Errorf("%+v", last)
			}
		})
	}
}
