package app

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

const controlScript = "../../dist/sluice.sh"

func TestControlScriptIsClean(t *testing.T) {
	testkit.Need(t, "shellcheck")
	if out, err := exec.Command("shellcheck", controlScript).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Acceptance 116: the control script, with a gws and two engines as daemons.
func TestAcceptance116ControlScript(t *testing.T) {
	testkit.NeedRoot(t)
	dir, file := moduleDir(t, "user: nobody\n")
	run, logDir := filepath.Join(dir, "run"), filepath.Join(dir, "log")
	env := append(os.Environ(), asSluice+"=1", "GORACE=atexit_sleep_ms=0", "SLUICE_DEFAULTS=/dev/null", "SLUICE_PROGRAM="+os.Args[0],
		"SLUICE_CONFIG="+file, "SLUICE_ENGINES=2", "SLUICE_RUN_DIR="+run, "SLUICE_LOG_DIR="+logDir)
	control := func(words ...string) (code int, said string) {
		t.Helper()
		cmd := exec.Command(controlScript, words...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	want := func(code int, expr string, words ...string) []string {
		t.Helper()
		got, said := control(words...)
		m := regexp.MustCompile(expr).FindStringSubmatch(said)
		if got != code || m == nil {
			t.Fatalf("%q: exit %d, %s\nwant %d, %s", words, got, said, code, expr)
		}
		return m
	}
	t.Cleanup(func() {
		files, _ := filepath.Glob(run + "/*.pid")
		for _, f := range files {
			text, _ := os.ReadFile(f)
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})

	want(2, `^sluice.sh: usage: `, "begin")
	want(3, `^gws does not run\ngng-1 does not run\ngng-2 does not run\n$`, "status")
	want(1, `nothing runs`, "reload")
	m := want(0, `^gws started \(pid (\d+)\)\ngng-1 started \(pid (\d+)\)\ngng-2 started \(pid \d+\)\n$`, "start")
	want(0, `^gws runs already \(pid `+m[1]+`\)\ngng-1 runs already`, "start")
	gws := testLog(t, filepath.Join(logDir, "gws.log"))
	gws.wait(`engine attached engine=1 pid=` + m[2])
	gws.wait(`engine attached engine=2`)
	want(0, `^$`, "reload")
	want(0, `^$`, "rotate")
	for _, name := range []string{"gws", "gng-1", "gng-2"} {
		path := filepath.Join(logDir, name+".log.1")
		testkit.Eventually(t, func() error {
			_, err := os.Stat(path)
			return err
		})
	}

	// An engine that has died leaves a pid file; a process that took its number is no engine.
	pid, _ := strconv.Atoi(m[2])
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gws.wait(`engine lost engine=1`)
	if err := os.WriteFile(filepath.Join(run, "gng-1.pid"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(3, `^gws runs \(pid `+m[1]+`\)\ngng-1 does not run\ngng-2 runs`, "status")
	want(0, `gws started .*\ngng-1 started .*\ngng-2 started`, "restart")
	want(0, `^stopped\n$`, "stop")
	want(3, `^gws does not run\ngng-1 does not run\ngng-2 does not run\n$`, "status")
}
