//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// duo is one gws and its engine as a user starts them by hand, in the foreground.
type duo struct {
	*product // its ports, directory and configuration; nothing runs by itself
	gws, gng *testkit.Proc
}

// newDuo has a place for a gws and an engine; config is the rest of what they read.
func newDuo(t *testing.T, config string) *duo {
	t.Helper()
	dir := shortDir(t)
	p := &duo{product: &product{
		t: t, dir: filepath.Join(dir, "run"), user: freePort(t), admin: freePort(t), web: http.DefaultClient,
		engines: 1, config: filepath.Join(dir, "sluice.yaml"),
	}}
	p.write(config)
	return p
}

// path is a place beside the duo's configuration.
func (p *duo) path(name string) string { return filepath.Join(filepath.Dir(p.config), name) }

// write makes config, with what the duo needs besides, the configuration.
func (p *duo) write(config string) {
	p.t.Helper()
	common := fmt.Sprintf("listen: %q\nadmin: %q\nrun_dir: %s\n", p.user, p.admin, p.dir)
	if err := os.WriteFile(p.config, []byte(common+config), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *duo) startGWS(args ...string) {
	p.t.Helper()
	p.gws = startModule(p.t, "gws", append([]string{"-C", p.config}, args...)...)
}

func (p *duo) startGNG(args ...string) {
	p.t.Helper()
	p.gng = startModule(p.t, "gng", append([]string{"-C", p.config}, args...)...)
}

// startDuo starts both and waits until the engine is attached.
func startDuo(t *testing.T, config string) *duo {
	t.Helper()
	p := newDuo(t, config)
	p.startGWS()
	p.startGNG()
	p.attached(p.gng.PID())
	return p
}

// attached waits until the gws has one engine, of that process.
func (p *duo) attached(pid int) {
	p.t.Helper()
	p.eventually(func(st report.Status) error {
		if len(st.Engines) != 1 || st.Engines[0].PID != pid {
			return fmt.Errorf("engines %+v, want one with pid %d", st.Engines, pid)
		}
		return nil
	})
}

// startModule starts `sluice NAME -T`; at the end of the test it is stopped.
func startModule(t *testing.T, name string, args ...string) *testkit.Proc {
	t.Helper()
	return startStopped(t, program(), append([]string{name, "-T"}, args...)...)
}

// startStopped starts a command that is stopped at the end of the test, if it has not ended,
// and must not have said what no module may say.
func startStopped(t *testing.T, name string, args ...string) *testkit.Proc {
	t.Helper()
	p := testkit.Start(t, name, args...)
	t.Cleanup(func() {
		if alive(p.PID()) {
			_ = syscall.Kill(p.PID(), syscall.SIGTERM) // it may end in this moment
		}
		_ = p.Wait()
		if line := alarming.FindString(p.Output()); line != "" {
			t.Errorf("%s said %q:\n%s", name, line, p.Output())
		}
	})
	return p
}

// stopNow sends a signal that ends a process in good order.
func stopNow(t *testing.T, p *testkit.Proc, sig os.Signal) {
	t.Helper()
	p.Signal(sig)
	if err := p.Wait(); err != nil {
		t.Errorf("after %v: %v\n%s", sig, err, p.Output())
	}
}

// logLines are the lines of a log file and of those that were put aside, the oldest first.
func logLines(t *testing.T, path string) (all []string) {
	t.Helper()
	for _, file := range slices.Backward(logFiles(t, path)) {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all = slices.AppendSeq(all, strings.Lines(string(text)))
	}
	return all
}

// logFiles are a log file and those that were put aside, the newest first.
func logFiles(t *testing.T, path string) (all []string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		aside, err := filepath.Glob(path + ".*")
		all = []string{path}
		for i := range aside {
			name := fmt.Sprintf("%s.%d", path, i+1)
			if !slices.Contains(aside, name) { // for a moment, while one more is put aside
				return fmt.Errorf("%s was put aside as %q", path, aside)
			}
			all = append(all, name)
		}
		return err
	})
	return all
}

// awaitLog waits for a line of a log file, or of one that was put aside, and returns the
// match with its groups.
func awaitLog(t *testing.T, path, expr string) (match []string) {
	t.Helper()
	re := regexp.MustCompile(expr)
	testkit.Eventually(t, func() error {
		lines := logLines(t, path)
		for _, line := range lines {
			if match = re.FindStringSubmatch(line); match != nil {
				return nil
			}
		}
		return fmt.Errorf("no line like %s in %s:\n%s", expr, path, strings.Join(lines, ""))
	})
	return match
}

// logLine is a line of a log file whose time is local: time, level, role, text.
var logLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ (DEBUG|INFO|NORM|WARN|ERROR|CRIT) +(run|gws|gng|log): (\S.*)\n$`)

// wholeLines wants each line of a log to be one.
func wholeLines(t *testing.T, path string) (lines []string) {
	t.Helper()
	lines = logLines(t, path)
	for _, line := range lines {
		if !logLine.MatchString(line) {
			t.Errorf("%s: not a line: %q", path, line)
		}
	}
	return lines
}

// outputLevels are the levels of the lines of a module that logs to standard error.
func outputLevels(p *testkit.Proc) map[string]int {
	levels := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^time=\S+ level=(\w+) msg=`).FindAllStringSubmatch(p.Output(), -1) {
		levels[m[1]]++
	}
	return levels
}

// put writes a file and returns its path.
func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitGone waits until a process has ended.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if alive(pid) {
			return fmt.Errorf("process %d lives", pid)
		}
		return nil
	})
}

// procStatus is a field of /proc/PID/status.
func procStatus(t *testing.T, pid int, field string) string {
	t.Helper()
	for line := range strings.Lines(readFile(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("process %d has no %s", pid, field)
	return ""
}
