//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// player is a program that decodes a stream and tells how far it is.
type player struct {
	t          *testing.T
	name       string
	proc       *testkit.Proc
	frames     func() (int, error)    // decoded so far
	complaints func() (string, error) // what it had to conceal
}

// playedClean checks that none of the players had to conceal anything.
func playedClean(all []*player) {
	for _, p := range all {
		p.t.Helper()
		if said, err := p.complaints(); err != nil || said != "" {
			p.t.Errorf("%s had to conceal something: %v\n%s", p.name, err, said)
		}
	}
}

// play starts ffmpeg and VLC on a stream and waits until both show pictures.
func play(t *testing.T, url string) []*player {
	t.Helper()
	all := []*player{playByFFmpeg(t, url), playByVLC(t, url)}
	moreFrames(25, all)
	return all
}

// moreFrames waits until each of the players has decoded n more pictures.
func moreFrames(n int, all []*player) {
	want := make([]int, len(all))
	for i, p := range all {
		want[i], _ = p.frames() // none before it has told any
	}
	for i, p := range all {
		p.t.Helper()
		testkit.Eventually(p.t, func() error {
			got, err := p.frames()
			if err == nil && got < want[i]+n {
				err = fmt.Errorf("%s has decoded %d pictures; waited for %d", p.name, got, want[i]+n)
			}
			return err
		})
	}
}

// stillPlay checks that none of the players has ended.
func stillPlay(all []*player) {
	for _, p := range all {
		p.t.Helper()
		select {
		case <-p.proc.Done():
			p.t.Errorf("%s has ended", p.name)
		default:
		}
	}
}

// What ffmpeg tells on the way are lines such as frame=123. What it conceals it calls by
// these words; that the sound overlaps by half a frame where a clip begins again is none.
var (
	frameCount = regexp.MustCompile(`(?m)^frame=(\d+)$`)
	progress   = regexp.MustCompile(`^\w+=`)
	concealed  = regexp.MustCompile(`(?i)corrupt|continuity|conceal|error`)
)

func playByFFmpeg(t *testing.T, url string) *player {
	t.Helper()
	testkit.Need(t, "ffmpeg")
	proc := testkit.Start(t, "ffmpeg", "-v", "warning", "-nostdin", "-nostats", "-stats_period", "0.2", "-progress", "pipe:1",
		"-i", url, "-f", "null", "-")
	return &player{
		t: t, name: "ffmpeg", proc: proc,
		frames: func() (int, error) {
			all := frameCount.FindAllStringSubmatch(proc.Output(), -1)
			if len(all) == 0 {
				return 0, errors.New("ffmpeg has not decoded anything")
			}
			return strconv.Atoi(all[len(all)-1][1])
		},
		complaints: func() (found string, err error) {
			for line := range strings.Lines(proc.Output()) {
				if concealed.MatchString(line) && !progress.MatchString(line) {
					found += line
				}
			}
			return found, nil
		},
	}
}

// playByVLC starts a VLC that answers questions on a socket: its remote control.
func playByVLC(t *testing.T, url string) *player {
	t.Helper()
	testkit.Need(t, "vlc")
	remote := filepath.Join(shortDir(t), "rc")
	if err := os.Chmod(filepath.Dir(remote), 0o777); err != nil {
		t.Fatal(err)
	}
	proc := vlc(t, url, "--extraintf=oldrc", "--rc-fake-tty", "--rc-unix="+remote)
	return &player{
		t: t, name: "VLC", proc: proc,
		frames: func() (int, error) {
			stats, err := vlcStats(remote)
			return stats["video decoded"], err
		},
		complaints: func() (string, error) {
			stats, err := vlcStats(remote)
			if stats["demux corrupted"]+stats["discontinuities"] == 0 {
				return "", err
			}
			return fmt.Sprint(stats), err
		},
	}
}

var vlcStat = regexp.MustCompile(`^\| (\w[\w ]*?) *: +(\d+)`)

// vlcStats asks a VLC for what it has counted.
func vlcStats(remote string) (map[string]int, error) {
	conn, err := net.Dial("unix", remote)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testkit.Patience))
	if _, err := fmt.Fprintln(conn, "stats"); err != nil {
		return nil, err
	}
	stats := map[string]int{}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if m := vlcStat.FindStringSubmatch(lines.Text()); m != nil {
			stats[m[1]], _ = strconv.Atoi(m[2])
		}
		if strings.Contains(lines.Text(), "end of statistical info") {
			return stats, nil
		}
	}
	return nil, errors.New("VLC tells no statistics")
}
