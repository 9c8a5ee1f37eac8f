//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// machine is a system to install on: a mount namespace in which /etc, /dev, /run, /var/log
// and /usr/local are its own, as they are after the installation of an operating system.
// The network is that of all tests.
type machine struct {
	t    *testing.T
	dir  string // where its directories stand, under their names: dir/etc is its /etc
	hold *testkit.Proc
}

// makeMachine mounts what belongs to a machine. $1 is its dir; $2 is the program, which it
// has as /usr/local/bin/sluice.
const makeMachine = `
set -e
for d in dev run usr-local var-log; do mkdir -m 755 "$1/$d"; done
cp -a /etc "$1/etc" 2>/dev/null || : # what only root may read, some cannot
rm -f "$1"/etc/gws.conf "$1"/etc/gng.conf "$1"/etc/sluice.* "$1"/etc/gigapxy.conf
mkdir -m 755 "$1/outer-dev" "$1/usr-local/bin"
mount --rbind /dev "$1/outer-dev"
ln -s "$1"/outer-dev/* "$1/dev"
rm -f "$1/dev/log"
: >"$1/usr-local/bin/sluice"
mount --bind "$2" "$1/usr-local/bin/sluice"
ln -s sluice "$1/usr-local/bin/gws"
ln -s sluice "$1/usr-local/bin/gng"
for d in dev etc run usr/local var/log; do mount --rbind "$1/$(echo "$d" | tr / -)" "/$d"; done
echo made
exec sleep infinity
`

func newMachine(t *testing.T) *machine {
	t.Helper()
	testkit.NeedRoot(t)
	testkit.Need(t, "unshare", "nsenter")
	m := &machine{t: t, dir: shortDir(t)}
	races := filepath.Join(m.dir, "races") // what the detector says of a daemon, whoever that has become
	if err := errors.Join(os.Chmod(m.dir, 0o755), os.Mkdir(races, 0o700), os.Chmod(races, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	m.hold = testkit.Start(t, "unshare", "--mount", "sh", "-c", makeMachine, "sh", m.dir, program())
	t.Cleanup(m.shutDown)
	m.hold.WaitLine(`^made$`)
	return m
}

// path is where a file of the machine stands for the test.
func (m *machine) path(inside string) string {
	for from, to := range map[string]string{"/usr/local": "/usr-local", "/var/log": "/var-log"} {
		if rest, ok := strings.CutPrefix(inside, from); ok {
			return m.dir + to + rest
		}
	}
	return m.dir + inside
}

// account makes the account of the daemons, as a package does.
func (m *machine) account() {
	m.t.Helper()
	testkit.NeedUsers(m.t)
	m.sh("useradd --system --home-dir /run/sluice --no-create-home --shell /usr/sbin/nologin sluice")
}

// command is exec.Command on the machine.
func (m *machine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{fmt.Sprintf("--mount=/proc/%d/ns/mnt", m.hold.PID()), "--", name}, args...)...)
	cmd.Env = []string{
		"PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
		"HOME=/", "LC_ALL=C", "GORACE=log_path=" + m.dir + "/races/race",
	}
	return cmd
}

// start starts a program on the machine that stays.
func (m *machine) start(name string, args ...string) *testkit.Proc {
	m.t.Helper()
	return testkit.StartCommand(m.t, m.command(name, args...))
}

// run runs a program on the machine to its end.
func (m *machine) run(name string, args ...string) (said string, code int) {
	m.t.Helper()
	p := m.start(name, args...)
	err := p.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		m.t.Fatalf("%s: %v", name, err)
	}
	return p.Output(), code
}

// sh runs a script on the machine that must do its work.
func (m *machine) sh(script string, args ...string) (said string) {
	m.t.Helper()
	said, code := m.run("sh", append([]string{"-ec", script, "sh"}, args...)...)
	if code != 0 {
		m.t.Fatalf("%s: exit %d, %s", script, code, said)
	}
	return said
}

// put writes a file of the machine.
func (m *machine) put(inside, text string) {
	m.t.Helper()
	put(m.t, m.path(inside), text)
}

// daemon starts one that must come up, and returns what its pid file says.
func (m *machine) daemon(pidFile string, command ...string) (pid int) {
	m.t.Helper()
	if said, code := m.run(command[0], command[1:]...); code != 0 || said != "" {
		m.t.Fatalf("%q: exit %d, %s", command, code, said)
	}
	return m.pid(pidFile)
}

// pid reads a pid file.
func (m *machine) pid(pidFile string) int {
	m.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSuffix(readFile(m.t, m.path(pidFile)), "\n"))
	if err != nil {
		m.t.Fatal(err)
	}
	return pid
}

// signal sends a signal to a daemon.
func (m *machine) signal(pid int, sig syscall.Signal) {
	m.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		m.t.Fatalf("%v to %d: %v", sig, pid, err)
	}
}

// processes are those that run on the machine, beside the one that holds it.
func (m *machine) processes() (pids []int) {
	mine, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", m.hold.PID()))
	if err != nil {
		m.t.Fatal(err)
	}
	all, _ := filepath.Glob("/proc/[0-9]*/ns/mnt")
	for _, path := range all {
		pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
		if ns, err := os.Readlink(path); err == nil && ns == mine && pid != m.hold.PID() && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// idle waits until nothing runs on the machine any more.
func (m *machine) idle() {
	m.t.Helper()
	testkit.Eventually(m.t, func() error {
		if pids := m.processes(); len(pids) > 0 {
			return fmt.Errorf("processes %v run", pids)
		}
		return nil
	})
}

// shutDown ends what a test has left on the machine and reads what no daemon may say.
func (m *machine) shutDown() {
	for _, pid := range m.processes() {
		_ = syscall.Kill(pid, syscall.SIGTERM) // gone already is fine
	}
	if m.t.Failed() {
		for _, pid := range m.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		m.t.Log(m.sh("tail -n 40 /var/log/*.log /var/log/*/* 2>/dev/null || :"))
	}
	m.idle()
	races, _ := filepath.Glob(filepath.Join(m.dir, "races", "*"))
	logFiles, _ := filepath.Glob(m.path("/var/log") + "/sluice/*.log*")
	for _, path := range append(races, logFiles...) {
		if line := alarming.FindString(readFile(m.t, path)); line != "" {
			m.t.Errorf("%s says %q", path, line)
		}
	}
}
