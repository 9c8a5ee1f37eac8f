//go:build e2e

package alias

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lineup"
	"sluice/internal/testkit"
)

// TestVLC: VLC has the titles of our playlist, whatever stands in the attributes, and asks for its
// URLs. (Of a title with a comma it takes what is before that for the artist.)
func TestVLC(t *testing.T) {
	testkit.Need(t, "cvlc", "setpriv")
	home, err := os.MkdirTemp("", "sluice-vlc-") // not below the test's own, which others may not read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	path := filepath.Join(home, "list.m3u")
	channels := []lineup.Channel{
		channelOf(t, "World", "udp://239.1.1.1:5000", lineup.Listing{Title: "News World HD", Group: "A, B", Guide: "n,1"}),
		channelOf(t, "Первый", "udp://239.1.1.2:5000", lineup.Listing{Title: "Первый канал", Group: "Кино"}),
	}
	text := written(t, channels, "http://127.0.0.1:1", "token=x")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o777); err != nil {
		t.Fatal(err)
	}
	out := vlcPlaylist(t, home, path, "World HD")
	for _, want := range []string{
		" - News World HD [", " - Первый канал [", "http://127.0.0.1:1/$World?token=x'", "http://127.0.0.1:1/$%D0%9F%D0%B5%D1%80%D0%B2%D1%8B%D0%B9?token=x'",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("VLC says no %q:\n%s", want, out)
		}
	}
}

// vlcPlaylist is what VLC says while it tries each entry, and that it has in its playlist
// then.
func vlcPlaylist(t *testing.T, home, path, last string) string {
	t.Helper()
	args := []string{"env", "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "cvlc", "-vv", "-I", "rc", "--rc-fake-tty", "--no-color", path}
	if os.Getuid() == 0 { // VLC refuses root
		args = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := testkit.StartCommand(t, cmd)
	answers := 0 // to our question
	testkit.Eventually(t, func() error {
		out := p.Output()
		_, playlist, _ := strings.Cut(out[max(0, strings.LastIndex(out, "+----[ Playlist")):], "\n")
		if strings.Contains(playlist, last) && strings.Contains(playlist, "End of playlist") && strings.Count(playlist, "[played") == 2 {
			return nil
		}
		if n := strings.Count(out, "End of playlist"); n == answers {
			answers++
			if _, err := fmt.Fprintln(in, "playlist"); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Errorf("VLC has not tried both entries yet")
	})
	return p.Output()
}
