package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/process"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// asSluice makes the test binary be sluice, and so all its children.
const asSluice = "SLUICE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asSluice) != "" {
		os.Exit(Main(os.Args))
	}
	os.Exit(m.Run())
}

// program is a `sluice run` with two engines on ports of the system's choice.
type program struct {
	*testkit.Proc
	t     *testing.T
	dir   string
	user  string // URL
	admin string // URL
}

func runDirOf(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice") // short, for the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run")
}

func sluice(t *testing.T, args ...string) *testkit.Proc {
	t.Helper()
	return sluiceAt(t, os.Args[0], args...)
}

// sluiceAt is sluice for a copy of the program.
func sluiceAt(t *testing.T, path string, args ...string) *testkit.Proc {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), asSluice+"=1", "GORACE=atexit_sleep_ms=0")
	return testkit.StartCommand(t, cmd)
}

// start runs sluice in dir until the test is over, whatever becomes of it. What is in
// more beats what start says itself.
func start(t *testing.T, dir, user, admin string, more ...string) *program {
	t.Helper()
	args := append([]string{
		"run", "-C", "/dev/null", "--run-dir", dir,
		"--listen", user, "--admin", admin, "--engines", "2",
	}, more...)
	p := &program{t: t, dir: dir, Proc: sluice(t, args...)}
	t.Cleanup(p.killAll)
	open := p.WaitLine(`sluice runs.* listen=(\S+) admin=(\S+)`)
	p.user, p.admin = open[1], open[2]
	p.eventually(func(st report.Status) error {
		if len(st.Engines) != 2 {
			return fmt.Errorf("%d engines are attached, want 2", len(st.Engines))
		}
		return nil
	})
	return p
}

// killAll ends what a test has left behind.
func (p *program) killAll() {
	for _, pid := range p.pids() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// pids are the processes that hold a lock of the run directory, by the lock.
func (p *program) pids() map[string]int {
	files, _ := filepath.Glob(filepath.Join(p.dir, "*.lock"))
	pids := map[string]int{}
	for _, f := range files {
		if pid, err := process.Holder(f); err == nil && pid != 0 {
			pids[strings.TrimSuffix(filepath.Base(f), ".lock")] = pid
		}
	}
	return pids
}

func (p *program) status() (st report.Status, err error) {
	resp, err := http.Get(p.admin + "/status?format=json")
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

func (p *program) eventually(want func(report.Status) error) {
	p.t.Helper()
	testkit.Eventually(p.t, func() error {
		st, err := p.status()
		if err != nil {
			return err
		}
		return want(st)
	})
}

// engines says by id which process an engine is.
func engines(st report.Status) map[string]int {
	pids := map[string]int{}
	for _, e := range st.Engines {
		pids[e.ID] = e.PID
	}
	return pids
}

// kill ends a process, and waits until it has let its lock go.
func (p *program) kill(module string) int {
	p.t.Helper()
	pid := p.pids()[module]
	if pid == 0 {
		p.t.Fatalf("no %s runs", module)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	return pid
}

// stop ends the program in good order and wants nothing to be left.
func (p *program) stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		p.t.Errorf("after TERM: %v", err)
	}
	p.nothingLeft()
}

func (p *program) nothingLeft() {
	p.t.Helper()
	left, err := os.ReadDir(p.dir)
	if err != nil || len(left) != 0 {
		p.t.Errorf("left in the run directory: %v, %v", left, err)
	}
	if _, err := http.Get(p.admin + "/ping"); err == nil {
		p.t.Error("the admin port still answers")
	}
}

func TestIssue1RunServesAndTermEndsEverything(t *testing.T) {
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0")
	before := p.pids()
	if len(before) != 4 {
		t.Errorf("locks are held by %v, want supervisor, gws and two engines", before)
	}
	resp, err := http.Get(p.user + "/udp/10.1.2.3:5000")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("what is no multicast group got %s, want 403", resp.Status)
	}
	p.stop()
	for name, pid := range before {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("%s (%d) is left", name, pid)
		}
	}
}

func TestIssue1KilledModulesAreStartedAgain(t *testing.T) {
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0")
	st, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	was := engines(st)

	gws := p.kill("gws")
	p.WaitLine(`process ended, starting it again.* process=gws pid=` + strconv.Itoa(gws))
	p.eventually(func(st report.Status) error {
		if st.PID == gws || len(st.Engines) != 2 {
			return fmt.Errorf("gws %d (was %d) with %d engines", st.PID, gws, len(st.Engines))
		}
		return nil
	})
	if st, _ := p.status(); engines(st)["1"] != was["1"] || engines(st)["2"] != was["2"] {
		t.Errorf("engines %v, were %v: gws took them along", engines(st), was)
	}

	p.kill("engine-2")
	p.WaitLine(`process ended, starting it again.* process="gng 2"`)
	p.eventually(func(st report.Status) error {
		if now := engines(st); len(now) != 2 || now["2"] == was["2"] {
			return fmt.Errorf("engines %v, were %v", now, was)
		}
		return nil
	})
	if st, _ := p.status(); engines(st)["1"] != was["1"] {
		t.Errorf("engine 1 is %d, was %d", engines(st)["1"], was["1"])
	}
	p.stop()
}

func TestIssue1TheNextRunTakesEnginesOver(t *testing.T) {
	dir := runDirOf(t)
	p := start(t, dir, "127.0.0.1:0", "127.0.0.1:0")
	was := p.pids()
	p.kill("supervisor")
	_ = p.Wait()
	p.kill("engine-2") // one is missing

	user, admin := strings.TrimPrefix(p.user, "http://"), strings.TrimPrefix(p.admin, "http://")
	next := start(t, dir, user, admin) // at once, on the same ports
	next.WaitLine(`found running and taken over.* process="gng 1" pid=` + strconv.Itoa(was["engine-1"]))
	st, err := next.status()
	if err != nil {
		t.Fatal(err)
	}
	if now := engines(st); now["1"] != was["engine-1"] || now["2"] == was["engine-2"] || st.PID == was["gws"] {
		t.Errorf("engines %v, gws %d; were %v", now, st.PID, was)
	}
	next.stop()
	if err := syscall.Kill(was["engine-1"], 0); err == nil && !isZombie(was["engine-1"]) {
		t.Error("the engine that was taken over is left")
	}
}

// What the file says of channels reaches gws, and each engine has its CPU.
func TestIssue2ChildrenGetTheSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	text := "pin: true\nchannels:\n  news:\n    source: udp://239.1.1.1:5000\n    backup: [udp://239.2.1.1:5000]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cpus, err := process.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0", "-C", file)
	for path, want := range map[string]int{"/$news": http.StatusOK, "/$newss": http.StatusNotFound} {
		resp, err := http.Head(p.user + path) // joins nothing
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
	pids := p.pids()
	for i := range 2 {
		engine := fmt.Sprint("engine-", i+1)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[engine]))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("Cpus_allowed_list:\t%d\n", cpus[i%len(cpus)]); !strings.Contains(string(status), want) {
			t.Errorf("%s is not on its CPU: want %s in\n%s", engine, want, status)
		}
	}
	p.stop()
}

// isZombie: an orphan's remains belong to the system's first process.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestIssue1TwoRunsNeedTwoDirectories(t *testing.T) {
	dir := runDirOf(t)
	p := start(t, dir, "127.0.0.1:0", "127.0.0.1:0")
	second := sluice(t, "run", "-C", "/dev/null", "--run-dir", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	if err := second.Wait(); err == nil {
		t.Error("the second run in one directory ended well")
	}
	second.WaitLine(fmt.Sprintf(`^sluice: another sluice run is active in %s \(pid %d\); stop it or give --run-dir$`, dir, p.PID()))

	other := start(t, runDirOf(t), "127.0.0.1:0", "127.0.0.1:0")
	other.stop()
	p.stop()
}

func TestModulesAlone(t *testing.T) {
	dir := runDirOf(t)
	socket := filepath.Join(filepath.Dir(dir), "s")
	gws := sluice(t, "gws", "-T", "-C", "/dev/null", "--run-dir", dir, "-w", socket, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	gws.WaitLine(`ready`)
	gng := sluice(t, "gng", "-T", "-C", "/dev/null", "--run-dir", dir, "-w", socket, "--id", "a7")
	gws.WaitLine(`engine attached.* engine=a7 pid=` + strconv.Itoa(gng.PID()))

	second := sluice(t, "gng", "-T", "-C", "/dev/null", "--run-dir", dir, "-w", socket, "--id", "a7")
	second.WaitLine(`^sluice: another engine a7 is active`)

	gng.Signal(syscall.SIGHUP) // does not concern it
	gng.Signal(syscall.SIGTERM)
	if err := gng.Wait(); err != nil {
		t.Errorf("gng after TERM: %v", err)
	}
	gws.Signal(syscall.SIGHUP)
	gws.Signal(syscall.SIGTERM)
	if err := gws.Wait(); err != nil {
		t.Errorf("gws after TERM: %v", err)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left")
	}
}

// An engine whose log nobody reads any more lives on.
func TestEngineSurvivesItsLog(t *testing.T) {
	dir := runDirOf(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "gng", "-T", "-C", "/dev/null", "--run-dir", dir)
	cmd.Env = append(os.Environ(), asSluice+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	w.Close()
	lock := engineLock(dir, "1")
	testkit.Eventually(t, func() error {
		pid, err := process.Holder(lock)
		if err == nil && pid != cmd.Process.Pid {
			err = fmt.Errorf("the lock is held by %d", pid)
		}
		return err
	})
	r.Close() // what it writes from now on is a broken pipe

	gws := sluice(t, "gws", "-T", "-C", "/dev/null", "--run-dir", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	gws.WaitLine(`engine attached.* engine=1 pid=` + strconv.Itoa(cmd.Process.Pid)) // and it logs that
	gws.Signal(syscall.SIGTERM)
	_ = gws.Wait()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the engine ended with %v", err)
	}
}
