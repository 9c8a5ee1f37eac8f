package app

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/testkit"
)

// Acceptance 2 and 4: what prints and ends.
func TestAcceptance2ModulesTellWhatTheyTake(t *testing.T) {
	for _, role := range []string{roleGWS, roleGNG} {
		_, guide, _ := call(role, "-h")
		for _, option := range []string{"-?", "--help", "--options"} {
			code, stdout, stderr := call(role, option)
			if code != 0 || stderr != "" || stdout != guide {
				t.Errorf("%s %s: exit %d, %s%s", role, option, code, stdout, stderr)
			}
		}
		for _, want := range []string{"-C, --config", "-l, --logfile", "-p, --pidfile", "-T, --term", "-v, --verbose", "-V, --version", "-q, --quiet", "-?, --options", "-w, --"} {
			if !strings.Contains(guide, want) {
				t.Errorf("%s -h does not tell of %s:\n%s", role, want, guide)
			}
		}
		code, stdout, stderr := call(role, "-V")
		if code != 0 || stderr != "" || stdout != versionLine() || strings.Count(stdout, "\n") != 1 {
			t.Errorf("%s -V: exit %d, %q, %q", role, code, stdout, stderr)
		}
	}
}

// Acceptance 13 to 15: who becomes a daemon.
func TestAcceptance14Detached(t *testing.T) {
	for _, c := range []struct {
		euid           int
		terminal, want bool
	}{{0, false, true}, {0, true, false}, {1000, false, false}, {1000, true, false}} {
		if got := detached(c.euid, c.terminal); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// moduleDir is a directory that every user may enter, with a configuration in it.
func moduleDir(t *testing.T, config string) (dir, file string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"+config), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// once runs sluice and returns what it has said when it was through.
func once(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asSluice+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// daemon is one that was started by root; it is killed at the end.
func daemon(t *testing.T, pidFile string, args ...string) (pid int) {
	t.Helper()
	if code, said := once(t, args...); code != 0 || said != "" {
		t.Fatalf("exit %d: %s", code, said)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(strings.TrimSuffix(string(text), "\n")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	return pid
}

// Acceptance 15, 26 and 27: daemons, from their start to their end.
func TestAcceptance15Daemons(t *testing.T) {
	testkit.NeedRoot(t)
	dir, file := moduleDir(t, "user: nobody\n")
	own := func(name string) string { return filepath.Join(dir, "own", name) }
	common := func(role string) []string {
		return []string{role, "-C", file, "--run-dir", own("run"), "-l", own("log/" + role + ".log"), "-p", own(role + ".pid")}
	}
	gws := daemon(t, own("gws.pid"), common(roleGWS)...)
	log := testLog(t, own("log/gws.log"))
	admin := log.wait(`NORM  gws: ready .*admin=(\S+)`)[1]
	if resp, err := http.Get(admin + "/ping"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v", err)
	}
	gng := daemon(t, own("gng.pid"), append(common(roleGNG), "--id", "d1")...)
	log.wait(`NORM  gws: engine attached engine=d1 pid=` + strconv.Itoa(gng))
	for _, pid := range []int{gws, gng} {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil || !strings.Contains(string(status), "\nUid:\t65534\t65534\t65534\t65534\n") {
			t.Errorf("not nobody: %s, %v", status, err)
		}
	}
	if code, said := once(t, append(common(roleGWS), "--run-dir", own("other"))...); code != 1 || !strings.Contains(said, "gws.pid is locked by process "+strconv.Itoa(gws)) {
		t.Errorf("a pid file that is held: exit %d, %s", code, said)
	}
	if err := syscall.Kill(gws, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	log.wait(`NORM  gws: engine is asked to end engine=d1 pid=` + strconv.Itoa(gng))
	log.wait(`NORM  gws: stopped reason="signal: quit"`)
	testLog(t, own("log/gng.log")).wait(`NORM  gng: stopped engine=d1 reason="signal: terminated"`)
	testkit.Eventually(t, func() error {
		left, err := filepath.Glob(own("*.pid"))
		more, _ := filepath.Glob(own("run/*"))
		if len(left)+len(more) > 0 {
			err = fmt.Errorf("left: %v %v", left, more)
		}
		return err
	})
}

// Acceptance 9, 16: a daemon that cannot log does not start, and says why where it was
// started.
func TestAcceptance16DaemonsThatDoNotStart(t *testing.T) {
	testkit.NeedRoot(t)
	dir, file := moduleDir(t, "user: nobody\n")
	run := filepath.Join(dir, "run")
	stranger := filepath.Join(dir, "stranger.yaml")
	if err := os.WriteFile(stranger, []byte("user: no-such-user\nlog: {file: "+dir+"/x.log}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-C", file}, file + `:.*log.file is not set: a daemon needs a log file`},
		{[]string{"-C", file, "-l", filepath.Join(dir, "x.log")}, `log file: open .*x.log: permission denied \(user 65534 must be able to write`},
		{[]string{"-C", stranger}, `unknown user.* no-such-user.*useradd`},
		{[]string{"-C", file, "-l", filepath.Join(dir, "log", "x"), "-p", filepath.Join(dir, "x.pid")}, `pid file: .*permission denied \(user 65534 needs a directory`},
	} {
		for _, role := range []string{roleGWS, roleGNG} {
			code, said := once(t, append([]string{role, "--run-dir", run}, c.args...)...)
			if code != 1 || !regexp.MustCompile(`^sluice: .*`+c.want).MatchString(said) {
				t.Errorf("%s %q: exit %d, %s, want %s", role, c.args, code, said, c.want)
			}
		}
	}
}

// Acceptance 13: -T as root stays, with its rights.
func TestAcceptance13TerminalStaysRoot(t *testing.T) {
	testkit.NeedRoot(t)
	dir, file := moduleDir(t, "user: nobody\n")
	p := sluice(t, "gws", "-T", "-C", file, "--run-dir", filepath.Join(dir, "run"))
	p.WaitLine(`ready`)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil || !strings.Contains(string(status), "\nUid:\t0\t0\t0\t0\n") {
		t.Errorf("%s, %v", status, err)
	}
}

// Acceptance 27 and 119: what becomes of an engine without its gws.
func TestAcceptance27Engines(t *testing.T) {
	for _, c := range []struct {
		config string
		want   string // of the engine
	}{
		{"", `stopped .*reason="signal: terminated"`},
		{"force_shutdown: false\n", `gws ends: the streams go on`},
	} {
		dir, file := moduleDir(t, c.config+"reconnect: {attempts: 2, delay: 10ms}\n")
		args := []string{"-T", "-C", file, "--run-dir", filepath.Join(dir, "run")}
		gws := sluice(t, append([]string{"gws"}, args...)...)
		gws.WaitLine(`ready`)
		gng := sluice(t, append([]string{"gng"}, args...)...)
		gws.WaitLine(`engine attached`)
		gws.Signal(syscall.SIGTERM)
		if err := gws.Wait(); err != nil {
			t.Error(err)
		}
		gng.WaitLine(c.want)
		if err := gng.Wait(); (err == nil) != (c.config == "") {
			t.Errorf("%q: the engine has ended with %v", c.config, err)
		}
		if c.config != "" {
			gng.WaitLine(`^sluice: gws was not reached in 2 attempts`)
		}
	}
}

// A gws that its supervisor starts anew leaves the engines alone.
func TestSupervisedGWSKeepsEngines(t *testing.T) {
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0")
	before := p.pids()
	if err := syscall.Kill(before["gws"], syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.WaitLine(`process ended, starting it again.* process=gws`)
	testkit.Eventually(t, func() error {
		now := p.pids()
		if now["gws"] == 0 || now["gws"] == before["gws"] {
			return errors.New("there is no new gws")
		}
		if now["engine-1"] != before["engine-1"] || now["engine-2"] != before["engine-2"] {
			t.Fatalf("engines %v became %v", before, now)
		}
		return nil
	})
	p.stop()
}

// Acceptance 21: USR1 rotates, in all processes of sluice run as well; none loses a line.
func TestAcceptance21Rotation(t *testing.T) {
	dir := runDirOf(t)
	path := filepath.Join(filepath.Dir(dir), "log")
	pidFile := filepath.Join(filepath.Dir(dir), "pid")
	p := sluice(t, "run", "-C", "/dev/null", "--run-dir", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--engines", "1", "-l", path, "-p", pidFile)
	log := testLog(t, path)
	log.wait(`NORM  gng: attached to gws`)
	if text, err := os.ReadFile(pidFile); err != nil || string(text) != fmt.Sprintf("%d\n", p.PID()) {
		t.Errorf("%q, %v", text, err)
	}
	p.Signal(syscall.SIGUSR1)
	testkit.Eventually(t, func() error {
		_, err := os.Stat(path + ".1")
		return err
	})
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	for _, role := range []string{roleRun, roleGWS, roleGNG} {
		log.wait(`NORM  ` + role + `: stopped`)
	}
	if aside, err := filepath.Glob(path + ".*"); err != nil || len(aside) != 1 {
		t.Errorf("one request has made %v, %v", aside, err)
	}
	old, err := os.ReadFile(path + ".1")
	if err != nil || !strings.Contains(string(old), "sluice runs") {
		t.Errorf("%s, %v", old, err)
	}
	if p.Output() != "" {
		t.Errorf("beside the log: %s", p.Output())
	}
}

// Acceptance 17: how much is logged.
func TestAcceptance17Verbosity(t *testing.T) {
	for line, want := range map[string]string{
		"": "info", "-v": "info", "-vv": "debug", "-vvvv": "debug", "-q": "warn",
		"norm": "norm", "norm -v": "info", "norm -vv": "debug", "norm -q": "warn", "debug -v": "debug", "crit -q": "crit",
	} {
		word, option, _ := strings.Cut(line, " ")
		text := ""
		if strings.HasPrefix(line, "-") {
			option = line
		} else if word != "" {
			text = "log: {level: " + word + "}\n"
		}
		_, file := moduleDir(t, text)
		cmd := &cobra.Command{Use: "test"}
		s := addSettings(cmd, config.GWS)
		if err := cmd.ParseFlags(append(strings.Fields(option), "-C", file)); err != nil {
			t.Fatal(err)
		}
		c, err := s.load()
		if err != nil || c.Get("log.level") != want {
			t.Errorf("%q: %s, %v, want %s", line, c.Get("log.level"), err, want)
		}
	}
}

// Options of gigapxy whose meaning is not known are taken, and told of.
func TestUselessOptions(t *testing.T) {
	dir, file := moduleDir(t, "")
	p := sluice(t, "gws", "-TkU", "-C", file, "--run-dir", filepath.Join(dir, "run"))
	p.WaitLine(`ready`)
	for _, option := range []string{"-k", "-U"} {
		p.WaitLine(`option without effect.* option=` + option)
	}
}

// logTail waits for lines of a log file and those that were put aside.
type logTail struct {
	t    *testing.T
	path string
}

func testLog(t *testing.T, path string) logTail { return logTail{t, path} }

func (l logTail) wait(expr string) (match []string) {
	l.t.Helper()
	re := regexp.MustCompile(expr)
	testkit.Eventually(l.t, func() error {
		var all []byte
		files, err := filepath.Glob(l.path + "*")
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			all = append(all, text...)
		}
		if match = re.FindStringSubmatch(string(all)); match == nil && err == nil {
			err = fmt.Errorf("no %s in\n%s", expr, all)
		}
		return err
	})
	return match
}
