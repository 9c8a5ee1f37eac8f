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
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

func testDemo(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	dir := shortDir(t)
	demo := testkit.Start(t, program(), "demo", "--run-dir", filepath.Join(dir, "run"),
		"--listen", freePort(t), "--admin", freePort(t))
	stream := demo.WaitLine(`(http://\S+/udp/[^\s"]+)`)[1]
	admin := demo.WaitLine(`(http://\S+/status)`)[1]

	testkit.Eventually(t, func() error {
		v, err := tryWatch(t, stream)
		if err != nil {
			return err
		}
		v.more(200_000) // some key frames: from then on clients start at one
		v.unbroken()
		return nil
	})
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", stream, "-t", "3", "-f", "null", "-")
	if msg, err := cmd.CombinedOutput(); err != nil || len(msg) != 0 {
		t.Errorf("ffmpeg: %v\n%s", err, msg)
	}
	if a := request(t, "GET", admin); a.code != 200 {
		t.Errorf("%s: %d", admin, a.code)
	}

	demo.Signal(syscall.SIGTERM)
	if err := demo.Wait(); err != nil {
		t.Errorf("demo after TERM: %v", err)
	}
	if line := alarming.FindString(demo.Output()); line != "" {
		t.Errorf("the demo said %q", line)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "run")); len(left) != 0 {
		t.Errorf("left in the run directory: %v", left)
	}
}

// output runs the program to its end.
func output(name string, args ...string) (stdout, stderr string, code int) {
	var out, msg strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &msg
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		code = -1
	}
	return out.String(), msg.String(), code
}

func testWrongWords(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("listen: :4046\nlingr: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		say  string // a regular expression
	}{
		{[]string{"serve"}, 2, `serve`},
		{[]string{"run", "--port", "1"}, 2, `--port`},
		{[]string{"run", "--engines", "many"}, 2, `engines`},
		{[]string{"send"}, 2, `FILE|file`},
		{[]string{"send", "/nowhere.ts", "--to", "udp://239.1.1.1:5000"}, 1, `/nowhere.ts`},
		{[]string{"send", bad, "--to", "http://x"}, 2, `udp`},
		{[]string{"probe", "ftp://x"}, 2, `http|udp`},
		{[]string{"run", "-C", "/nowhere.yaml"}, 1, `/nowhere.yaml`},
		{[]string{"run", "-C", bad}, 1, `bad\.yaml:2:1.*lingr`},
	} {
		_, msg, code := output(program(), c.args...)
		if code != c.code || !regexp.MustCompile(c.say).MatchString(msg) || !strings.HasPrefix(msg, "sluice") {
			t.Errorf("sluice %s: exit %d, %q; want exit %d and %s", strings.Join(c.args, " "), code, msg, c.code, c.say)
		}
		if lines := strings.Count(msg, "\n"); c.code == 2 && lines != 1 {
			t.Errorf("sluice %s: %d lines on stderr, want one:\n%s", strings.Join(c.args, " "), lines, msg)
		}
	}
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}, {"run", "-h"}, {"send", "-h"}, {"probe", "-h"}, {"demo", "-h"}, {"gws", "-h"}, {"gng", "-h"}} {
		if out, msg, code := output(program(), args...); code != 0 || msg != "" || !strings.Contains(out, "sluice") {
			t.Errorf("sluice %s: exit %d, stdout %.80q, stderr %q", strings.Join(args, " "), code, out, msg)
		}
	}
	if out, _, code := output(program(), "version"); code != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("sluice version: exit %d, %q", code, out)
	}
}

// testLinks runs the two modules alone, by links to the program, as separate processes.
func testLinks(t *testing.T) {
	dir := shortDir(t)
	link := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.Symlink(program(), path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	user, admin := freePort(t), freePort(t)
	gws := testkit.Start(t, link("gws"), "-T", "--listen", user, "--admin", admin, "--run-dir", filepath.Join(dir, "run"))
	gng := testkit.Start(t, link("gng"), "-T", "--run-dir", filepath.Join(dir, "run"))
	group := newGroup()
	send(t, h264, "udp", group)
	var v *viewer
	testkit.Eventually(t, func() (err error) {
		v, err = tryWatch(t, fmt.Sprintf("http://%s/udp/%s", user, group))
		return err
	})
	v.more(50_000)
	v.unbroken()
	for _, proc := range []*testkit.Proc{gng, gws} { // gws would end gng
		proc.Signal(syscall.SIGTERM)
		if err := proc.Wait(); err != nil {
			t.Errorf("after TERM: %v", err)
		}
		if line := alarming.FindString(proc.Output()); line != "" {
			t.Errorf("said %q", line)
		}
	}
	v.unbroken()
}

// testProbeFindsFaults probes what send has broken, through the relay: what a source
// has lost is lost, and the relay adds nothing to it.
func testProbeFindsFaults(t *testing.T) {
	p := run(t, settings{})
	for _, c := range []struct {
		name  string
		fault []string
		valid bool
	}{
		{"nothing broken", nil, true},
		{"datagrams dropped", []string{"--drop", "20"}, false},
		{"datagrams swapped", []string{"--swap", "20"}, false},
		{"no PAT", []string{"--no-pat"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			group := newGroup()
			send(t, h264, "udp", group, c.fault...)
			for _, url := range []string{p.url("/udp/" + group), "udp://" + group} {
				out, msg, code := output(program(), "probe", url, "--duration", "3s", "--json")
				var result struct {
					Valid    bool     `json:"valid"`
					Problems []string `json:"problems"`
				}
				if err := json.Unmarshal([]byte(out), &result); err != nil {
					t.Fatalf("probe %s: %v\n%s%s", url, err, out, msg)
				}
				if result.Valid != c.valid || (code == 0) != c.valid || (len(result.Problems) == 0) != c.valid {
					t.Errorf("probe %s: exit %d, %+v; want valid %v", url, code, result, c.valid)
				}
			}
		})
	}
}
