//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/internal/testkit"
)

// testPaces: files are sent as fast as they are taken, by the clock in them (PCR), frame by frame, or at a bit rate: those that
// take longer end later, and each is whole. The exact times the room file holds to, on a clock of its own.
func testPaces(t *testing.T) {
	const seconds = 3
	dir := t.TempDir()
	film, mp3, aac := filepath.Join(dir, "film.ts"), filepath.Join(dir, "song.mp3"), filepath.Join(dir, "song.aac")
	cut(t, "-i", h264.file(t), "-c", "copy", "-t", fmt.Sprint(seconds), film)
	cut(t, "-f", "lavfi", "-i", "sine", "-t", fmt.Sprint(seconds), "-b:a", "128k", mp3)
	cut(t, "-f", "lavfi", "-i", "sine", "-t", fmt.Sprint(seconds), "-b:a", "128k", aac)
	rate := len(readFile(t, film)) * 8 / seconds

	sources := []struct{ name, file, pace string }{
		{"none", film, "none"},
		{"fast", film, fmt.Sprint(rate * 2)},
		{"pcr", film, "pcr"},
		{"mp3", mp3, "frame"},
		{"aac", aac, "frame"},
		{"slow", film, fmt.Sprint(rate / 2)},
	}
	var channels, sinks strings.Builder
	for i, s := range sources {
		own := filepath.Join(dir, fmt.Sprint(i)) // no two channels have one source
		if err := os.Link(s.file, own); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&channels, "  %s: {source: 'file://%s', pace: '%s', repeat: false, growth: 0s}\n", s.name, own, s.pace)
		fmt.Fprintf(&sinks, "    %s: {channel: $%s, hold: true}\n", s.name, s.name)
	}
	addr := freePort(t)
	run(t, settings{config: "channels:\n" + channels.String() + "origin:\n  listen: " + addr + "\n  sinks:\n" + sinks.String()})

	var all sync.WaitGroup
	ended := make(chan string, len(sources))
	for _, s := range sources {
		all.Go(func() {
			if got := request(t, "GET", "http://"+addr+"/"+s.name); got.code != 200 || got.body != readFile(t, s.file) {
				t.Errorf("%s: %d, %d bytes, want those of the file", s.name, got.code, len(got.body))
			}
			ended <- s.name
		})
	}
	all.Wait()
	close(ended)
	order := slices.Collect(func(yield func(string) bool) {
		for name := range ended {
			if !yield(name) {
				return
			}
		}
	})
	slices.Sort(order[2:5]) // these take the same time
	if want := []string{"none", "fast", "aac", "mp3", "pcr", "slow"}; !slices.Equal(order, want) {
		t.Errorf("they end in the order %v, want %v", order, want)
	}
}

// cut makes a file with ffmpeg.
func cut(t *testing.T, args ...string) {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin"}, args...)...)
	if msg, err := cmd.CombinedOutput(); err != nil || len(msg) > 0 {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, msg)
	}
	if _, err := os.Stat(args[len(args)-1]); err != nil {
		t.Fatal(err)
	}
}
