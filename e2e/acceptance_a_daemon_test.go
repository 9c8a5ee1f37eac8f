//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

func testTerminal(t *testing.T) {
	testkit.NeedRoot(t)
	p := startDuo(t, "user: nobody\n") // of a daemon
	for name, proc := range map[string]*testkit.Proc{"gws": p.gws, "gng": p.gng} {
		proc.WaitLine(`ready`)
		if ids := procStatus(t, proc.PID(), "Uid"); ids != "0 0 0 0" {
			t.Errorf("%s -T goes on as %s", name, ids)
		}
		inForeground(t, proc)
	}
}

// inForeground wants a module to be the process that was started, with its terminal.
func inForeground(t *testing.T, proc *testkit.Proc) {
	t.Helper()
	mine, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	if sid, err := unix.Getsid(proc.PID()); err != nil || sid != mine {
		t.Errorf("the module is in session %d (%v), want %d", sid, err, mine)
	}
	for fd := 1; fd <= 2; fd++ {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", proc.PID(), fd)); err != nil || !strings.HasPrefix(to, "pipe:") {
			t.Errorf("descriptor %d of the module is %s (%v), want what it was started with", fd, to, err)
		}
	}
}

// modulesConf is the configuration of a gws and an engine on a machine, at their usual places.
func modulesConf(p *product, more string) string {
	return fmt.Sprintf("listen: %q\nadmin: %q\nreconnect: {attempts: 1000, delay: 20ms}\n%s", p.user, p.admin, more)
}

// onMachine is what is reached of the modules of a machine.
func onMachine(t *testing.T) *product {
	t.Helper()
	return &product{t: t, user: freePort(t), admin: freePort(t), web: http.DefaultClient, engines: 1}
}

func oneEngine(st report.Status) error {
	if len(st.Engines) != 1 {
		return fmt.Errorf("engines %+v, want one", st.Engines)
	}
	return nil
}

func testForeground(t *testing.T) {
	m := newMachine(t)
	testkit.NeedUsers(t)
	p := onMachine(t)
	m.put("/etc/sluice.yaml", modulesConf(p, "run_dir: /run/own/sluice\n"))
	m.sh(`mkdir -m 700 /run/own; chown 65534:65534 /run/own`)
	for _, module := range []string{"gws", "gng"} {
		proc := m.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", module)
		proc.WaitLine(`ready`)
		if ids := procStatus(t, proc.PID(), "Uid"); ids != "65534 65534 65534 65534" {
			t.Errorf("%s runs as %s", module, ids)
		}
		inForeground(t, proc)
	}
	p.eventually(oneEngine)
	p.wants(200, "/udp/"+source(t))
}

// lowPort is a loopback address with a port that only root may open.
func lowPort(t *testing.T) string {
	t.Helper()
	if first := strings.TrimSpace(readFile(t, "/proc/sys/net/ipv4/ip_unprivileged_port_start")); first != "1024" {
		t.Fatalf("ports from %s on are for everybody here", first)
	}
	for port := 1023; port > 0; port-- {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is left")
	return ""
}

// testDaemon starts both modules as root does without -T.
func testDaemon(t *testing.T) {
	m := newMachine(t)
	m.account()
	p := onMachine(t)
	p.user = lowPort(t)
	m.put("/etc/sluice.yaml", modulesConf(p, ""))
	account := strings.Fields(m.sh(`id -u sluice; id -g sluice`))
	for _, module := range []string{"gws", "gng"} {
		pidFile := "/run/sluice/" + module + ".pid"
		pid := m.daemon(pidFile, module, "-p", pidFile, "-l", "/var/log/sluice/"+module+".log")
		for field, id := range map[string]string{"Uid": account[0], "Gid": account[1]} {
			if got, want := procStatus(t, pid, field), strings.Repeat(id+" ", 3)+id; got != want {
				t.Errorf("%s has %s %s, want %s", module, field, got, want)
			}
		}
		if text := readFile(t, m.path(pidFile)); text != strconv.Itoa(pid)+"\n" {
			t.Errorf("pid file: %q", text)
		}
		if sid, err := unix.Getsid(pid); err != nil || sid != pid {
			t.Errorf("%s is in session %d (%v), want one of its own", module, sid, err)
		}
		for fd := range 3 {
			if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err != nil || to != m.dir+"/outer-dev/null" && to != "/dev/null" {
				t.Errorf("descriptor %d of %s is %s (%v)", fd, module, to, err)
			}
		}
	}
	p.eventually(func(st report.Status) error {
		if want := m.pid("/run/sluice/gng.pid"); len(st.Engines) != 1 || st.Engines[0].PID != want {
			return fmt.Errorf("engines %+v, want that with pid %d", st.Engines, want)
		}
		return nil
	})
	p.wants(200, "/udp/"+source(t)) // at a port that only root could open
	m.signal(m.pid("/run/sluice/gws.pid"), syscall.SIGTERM)
	m.idle()
	if left := m.sh(`find /run/sluice ! -type d`); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

// testLogNotWritable has logs where they cannot be, in the foreground and of daemons.
func testLogNotWritable(t *testing.T) {
	m := newMachine(t)
	m.account()
	p := onMachine(t)
	m.put("/etc/sluice.yaml", modulesConf(p, ""))
	m.sh(`mkdir -m 755 /var/log/of-root; ln -s /nowhere/x /var/log/of-root/leads-nowhere`)
	for _, c := range []struct{ args, want string }{
		{"-l /var/log/of-root/x.log", `permission denied \(user \d+ must be able to write to the file and to its directory\)`},
		{"-T -l /var/log/missing/x.log", `no such file or directory \(the directory does not exist\)`},
		{"-T -l /var/log", `is a directory`},
		{"-T -l /dev/null", `/dev/null`},
		{"-T -l /var/log/of-root/leads-nowhere", `no such file or directory`},
	} {
		for _, module := range []string{"gws", "gng"} {
			said, code := m.run(module, strings.Fields(c.args)...)
			if code != 1 || !regexp.MustCompile(`^sluice: log file: [^\n]*`+c.want+`[^\n]*\n$`).MatchString(said) {
				t.Errorf("%s %s: exit %d, %s\nwant %s", module, c.args, code, said, c.want)
			}
			m.idle()
		}
	}
}

// testVerbosity counts what is said of one client, with each number of -v.
func testVerbosity(t *testing.T) {
	group := source(t)
	for v, want := range []string{"NORM", "INFO", "DEBUG", "DEBUG", "DEBUG"} {
		t.Run(strings.Repeat("v", v), func(t *testing.T) {
			t.Parallel()
			p := newDuo(t, "log: {level: norm}\n")
			var args []string
			if v > 0 {
				args = append(args, "-"+strings.Repeat("v", v))
			}
			p.startGWS(args...)
			p.startGNG(args...)
			p.attached(p.gng.PID())
			p.wants(200, "/udp/"+group)
			p.eventually(func(st report.Status) error { return noClients(st) })
			stopNow(t, p.gng, syscall.SIGTERM)
			stopNow(t, p.gws, syscall.SIGTERM)
			gws, gng := outputLevels(p.gws), outputLevels(p.gng)
			if gws["NORM"] == 0 || gng["NORM"] == 0 {
				t.Errorf("no normal lines: %v, %v", gws, gng)
			}
			if informed := want != "NORM"; (gws["INFO"] > 0) != informed { // the client came and went
				t.Errorf("gws has said %v", gws)
			}
			if deep := want == "DEBUG"; (gng["DEBUG"] > 0) != deep {
				t.Errorf("gng has said %v", gng)
			}
		})
	}
}

func noClients(st report.Status) error {
	for _, e := range st.Engines {
		for _, c := range e.Channels {
			if len(c.Clients) > 0 {
				return fmt.Errorf("%s has clients: %+v", c.Tag, c.Clients)
			}
		}
	}
	return nil
}

// testPinOfEngine pins engines on the first and on the last CPU there is.
func testPinOfEngine(t *testing.T) {
	cpus := cpusOf(t, os.Getpid())[0]
	if len(cpus) < 2 {
		t.Fatal("one CPU is too few to see that an engine stays on it")
	}
	for _, cpu := range []int{cpus[0], cpus[len(cpus)-1]} {
		p := newDuo(t, "")
		p.startGWS()
		p.startGNG("-P", strconv.Itoa(cpu))
		p.attached(p.gng.PID())
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.gng.PID()))
		if err != nil || len(tasks) < 2 {
			t.Fatalf("threads %q, %v", tasks, err)
		}
		for _, task := range tasks {
			if text := readFile(t, task); !strings.Contains(text, fmt.Sprintf("\nCpus_allowed_list:\t%d\n", cpu)) {
				t.Errorf("-P %d: a thread is not on it:\n%s", cpu, text)
			}
		}
	}
	_, stderr, code := output(program(), "gng", "-T", "-P", "4095", "--run-dir", filepath.Join(shortDir(t), "run"))
	if code != 1 || !strings.Contains(stderr, "4095") {
		t.Errorf("a CPU that is not there: exit %d, %s", code, stderr)
	}
}
