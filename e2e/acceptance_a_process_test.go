//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// rsyslogConf writes what comes to /dev/log with its facility and its level.
const rsyslogConf = `
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/dev/log" CreatePath="off")
template(name="line" type="string" string="%syslogfacility-text%.%syslogseverity-text% %programname%: %msg%\n")
action(type="omfile" file="/var/log/syslog" template="line")
`

// syslogd starts the system's log of a machine, which writes to /var/log/syslog.
func (m *machine) syslogd() *testkit.Proc {
	m.t.Helper()
	testkit.Need(m.t, "rsyslogd")
	m.put("/etc/rsyslog.conf", rsyslogConf)
	proc := m.start("rsyslogd", "-n", "-i", "/run/rsyslogd.pid", "-f", "/etc/rsyslog.conf")
	testkit.Eventually(m.t, func() error {
		c, err := net.Dial("unixgram", m.path("/dev/log"))
		if err != nil {
			return err
		}
		c.Close()
		// It is bound first and opened to all users then.
		if info, err := os.Stat(m.path("/dev/log")); err != nil || info.Mode().Perm()&0o006 != 0o006 {
			return fmt.Errorf("/dev/log: %v, %w", info, err)
		}
		return nil
	})
	return proc
}

// testSystemLog has rsyslogd hear of a daemon's start, of an error before and after a restart of
// rsyslogd, and of the daemon's end.
func testSystemLog(t *testing.T) {
	m := newMachine(t)
	m.account()
	heard := func(expr string) { t.Helper(); awaitLog(t, m.path("/var/log/syslog"), expr) }
	first := m.syslogd()
	p := onMachine(t)
	for _, module := range []string{"gws", "gng"} {
		good := modulesConf(p, "")
		m.put("/etc/sluice.yaml", good)
		pid := m.daemon("/run/sluice/pid", module, "-p", "/run/sluice/pid", "-l", "/var/log/sluice/"+module+".log")
		heard(`^daemon\.notice ` + module + `: +started, version \S+`)
		m.put("/etc/sluice.yaml", good+"colour: red\n")
		m.signal(pid, syscall.SIGHUP)
		heard(`^daemon\.err ` + module + `: .*configuration not read again.*sluice\.yaml:4:1: .*colour`)

		// The next one, of the same module, comes to the syslogd that is there then.
		stopNow(t, first, syscall.SIGTERM)
		if err := os.Rename(m.path("/var/log/syslog"), m.path("/var/log/syslog-before")); err != nil {
			t.Fatal(err)
		}
		first = m.syslogd()
		m.signal(pid, syscall.SIGHUP)
		heard(`^daemon\.err ` + module + `: .*configuration not read again`)
		m.put("/etc/sluice.yaml", good)
		m.signal(pid, syscall.SIGTERM)
		heard(`^daemon\.notice ` + module + `: +stopped: signal: terminated`)
		awaitGone(t, pid)
		if text := readFile(t, m.path("/var/log/syslog")); strings.Contains(text, "daemon.info") || strings.Contains(text, "ready") {
			t.Errorf("more than start, end and errors:\n%s", text)
		}
	}
}

// testPIDFile is the pid file and the socket of a gws, from its start to its end and after a
// crash.
func testPIDFile(t *testing.T) {
	p := newDuo(t, "")
	pidFile, socket := p.path("gws.pid"), p.path("gws.socket")
	begin := func() {
		t.Helper()
		p.startGWS("-p", pidFile, "-w", socket)
		p.gws.WaitLine(`ready`)
		if text := readFile(t, pidFile); text != fmt.Sprintf("%d\n", p.gws.PID()) {
			t.Errorf("pid file: %q, want that of %d", text, p.gws.PID())
		}
	}
	// refused starts a second one, in another directory and at other ports, with the same
	// pid file or the same socket.
	refused := func(want string, args ...string) {
		t.Helper()
		other := newDuo(t, "")
		proc := startModule(t, "gws", append([]string{"-C", other.config}, args...)...)
		if err := proc.Wait(); err == nil || !regexp.MustCompile(want).MatchString(proc.Output()) {
			t.Errorf("%q: %v, %s\nwant %s", args, err, proc.Output(), want)
		}
	}
	begin()
	before := p.gws
	refused(fmt.Sprintf(`pid file: %s is locked by process %d\n`, pidFile, before.PID()), "-p", pidFile)
	refused(`sluice: socket for engines: .*`+socket+`: address already in use: another process answers there\n`, "-w", socket)
	if text := readFile(t, pidFile); text != fmt.Sprintf("%d\n", before.PID()) {
		t.Errorf("the one that was refused has written %q", text)
	}

	before.Signal(syscall.SIGKILL)
	_ = before.Wait()
	for _, path := range []string{pidFile, socket} {
		if _, err := os.Lstat(path); err != nil {
			t.Fatalf("what is to be stale is not there: %v", err)
		}
	}
	begin() // in the place of both
	p.startGNG("-w", socket)
	p.attached(p.gng.PID())
	stopNow(t, p.gws, syscall.SIGTERM)
	for _, path := range []string{pidFile, socket} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s after TERM: %v", path, err)
		}
	}

	file := put(t, p.path("no.socket"), "mine\n")
	refused(`socket for engines: .*`+file, "-w", file)
	refused(`pid file: .*`+file+`.* is no pid file`, "-p", file)
	if text := readFile(t, file); text != "mine\n" {
		t.Errorf("a file that is no socket was made %q", text)
	}
}
