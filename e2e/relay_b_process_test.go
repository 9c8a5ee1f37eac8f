//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// relayMachine is a machine on which the program has the names of those whose place it takes.
func relayMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.sh(`for name in cproxy tcprelay spawnd; do ln -s sluice /usr/local/bin/$name; done`)
	return m
}

// absent wants that a file of the machine is not there.
func (m *machine) absent(inside string) {
	m.t.Helper()
	if _, err := os.Lstat(m.path(inside)); !errors.Is(err, fs.ErrNotExist) {
		m.t.Errorf("%s is there (%v)", inside, err)
	}
}

// testTcprelayBackground has daemons and others, as the file and the options say.
func testTcprelayBackground(t *testing.T) {
	m, to, door := relayMachine(t), newRemote(t, echoes), freePort(t)
	m.syslogd() // else a daemon says that there is none
	write := func(background string) {
		m.put("/etc/t.cfg", tcprelayFile(tcprelayListen(door)+"background = "+background+"\npidfile = /run/file.pid", tcprelayRemote(to.addr)))
	}
	settings := func() string {
		t.Helper()
		return m.sh(`find /run -path '/run/tcprelay-*' -printf '%m %u %f\n' | sort`)
	}
	daemon := func(pidFile string, args ...string) {
		t.Helper()
		pid := m.daemon(pidFile, append(append([]string{"tcprelay"}, args...), "/etc/t.cfg")...)
		if sid, err := unix.Getsid(pid); err != nil || sid != pid {
			t.Errorf("%q: session %d (%v), want one of its own, %d", args, sid, err, pid)
		}
		for fd := range 3 {
			if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err != nil || !strings.HasSuffix(to, "/null") {
				t.Errorf("%q: descriptor %d is %s (%v)", args, fd, to, err)
			}
		}
		talk(t, door)
		if here := settings(); !regexp.MustCompile(`^600 root master\.lock\n600 root settings\.yaml\n700 root tcprelay-\d+\n$`).MatchString(here) {
			t.Errorf("%q: settings of the worker: %q", args, here)
		}
		m.signal(pid, syscall.SIGTERM)
		awaitGone(t, pid)
		m.absent(pidFile)
		m.absent("/run/file.pid")
		if left := settings(); left != "" {
			t.Errorf("%q leave %s", args, left)
		}
	}
	foreground := func(pidFile string, args ...string) {
		t.Helper()
		p := m.start("tcprelay", append(args, "/etc/t.cfg")...)
		testkit.Eventually(t, func() error { // it is written when the sockets are open
			text, err := os.ReadFile(m.path(pidFile))
			if err == nil && string(text) != fmt.Sprintf("%d\n", p.PID()) {
				err = fmt.Errorf("%q: pid file %q, want that of %d", args, text, p.PID())
			}
			return err
		})
		inForeground(t, p)
		talk(t, door)
		stopNow(t, p, syscall.SIGTERM)
		m.absent(pidFile)
	}
	write("yes")
	daemon("/run/file.pid")
	daemon("/run/option.pid", "-p", "/run/option.pid")
	foreground("/run/file.pid", "-f")
	foreground("/run/option.pid", "-bfp/run/option.pid") // of both the last one counts
	write("no")
	daemon("/run/file.pid", "-b")
	foreground("/run/file.pid")

	holder, err := net.Listen("tcp", door)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	for _, how := range []string{"-f", "-b"} {
		said, code := m.run("tcprelay", how, "/etc/t.cfg")
		if code != 75 || !strings.Contains(said, "\nFailed to bind to any address or port. Exiting.\n") || !strings.Contains(said, door) {
			t.Errorf("%s, when the address is taken: exit %d, %q", how, code, said)
		}
		m.absent("/run/file.pid")
	}
}

// testTcprelayUser has ports that only root may open, for a worker who is somebody else.
func testTcprelayUser(t *testing.T) {
	testkit.Need(t, "setpriv", "useradd")
	m, to := relayMachine(t), newRemote(t, echoes)
	m.account()
	own := strings.Fields(m.sh(`id -u sluice; id -g sluice; id -g nobody`))
	for _, c := range []struct{ said, uid, gid string }{
		{"userid = sluice", own[0], own[1]},
		{"userid = sluice groupid = nogroup", own[0], "65534"},
		{"userid = 4711 groupid = 4712", "4711", "4712"},
	} {
		for _, single := range []bool{false, true} {
			door := lowPort(t)
			m.put("/etc/t.cfg", tcprelayFile(tcprelayListen(door)+"pidfile = /run/t.pid\nspawn { "+c.said+" }", tcprelayRemote(to.addr)))
			args := []string{"-f", "/etc/t.cfg"}
			if single {
				args = append(args, "-1")
			}
			p := m.start("tcprelay", args...)
			p.WaitLine(`listener up`)
			worker := p.PID()
			if !single {
				worker = workerOf(t, p.PID())
				if ids := procStatus(t, p.PID(), "Uid"); ids != "0 0 0 0" {
					t.Errorf("the master is %s", ids)
				}
			}
			for field, id := range map[string]string{"Uid": c.uid, "Gid": c.gid} {
				if got, want := procStatus(t, worker, field), strings.Repeat(id+" ", 3)+id; got != want {
					t.Errorf("%s, single %v: %s %s, want %s", c.said, single, field, got, want)
				}
			}
			if groups := strings.Fields(procStatus(t, worker, "Groups")); len(groups) > 0 && groups[0] == "0" {
				t.Errorf("%s, single %v: it is still in the groups %s", c.said, single, groups)
			}
			talk(t, door)
			stopNow(t, p, syscall.SIGTERM)
			if !single { // who is not root any more may not remove it
				m.absent("/run/t.pid")
			}
			m.sh(`rm -f /run/t.pid`)
		}
	}

	// One whose master is killed ends in good order.
	door := freePort(t)
	m.put("/etc/t.cfg", tcprelayFile(tcprelayListen(door)+"spawn { userid = sluice }", tcprelayRemote(to.addr)))
	orphan := m.start("tcprelay", "-f", "/etc/t.cfg")
	orphan.WaitLine(`listener up`)
	worker := workerOf(t, orphan.PID())
	orphan.Signal(syscall.SIGKILL)
	orphan.WaitLine(`^tcprelay\[` + strconv.Itoa(worker) + `\]: stopped reason=`)
	awaitGone(t, worker)
	if left := m.sh(`find /run -name settings.yaml -size +0`); left != "" {
		t.Errorf("a worker without a master leaves %s", left)
	}

	// Who is not root goes on as who he is.
	door = freePort(t)
	m.put("/etc/t.cfg", tcprelayFile(tcprelayListen(door)+"spawn { userid = sluice }", tcprelayRemote(to.addr)))
	p := m.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "tcprelay", "-f", "/etc/t.cfg")
	p.WaitLine(`listener up`)
	if ids := procStatus(t, workerOf(t, p.PID()), "Uid"); ids != "65534 65534 65534 65534" {
		t.Errorf("of one that is not root, the worker is %s", ids)
	}
	talk(t, door)
	stopNow(t, p, syscall.SIGTERM)

	// A key that the worker may not read is told of, in the foreground and in the log.
	ca := newAuthority(t)
	m.put("/etc/t.cfg", tcprelayFile(`listen = { address = "`+lowPort(t)+`" tls = yes } spawn { userid = sluice }`,
		tcprelayRemote(to.addr)+"tls cert-file = "+ca.path("server.pem")+" tls key-file = "+ca.path("server.key")))
	const want = `certificate .* with key \S+: open .*: permission denied \(user \d+ of userid in spawn needs to read it\)`
	p = m.start("tcprelay", "-f", "/etc/t.cfg")
	p.WaitLine(want)
	p.WaitLine(`process ended, starting it again.* reason="exit status 69"`)
	stopNow(t, p, syscall.SIGTERM)
	if said, code := m.run("tcprelay", "-1", "-f", "/etc/t.cfg"); code != 69 || !regexp.MustCompile(want).MatchString(said) {
		t.Errorf("-1: exit %d, %s", code, said)
	}
}

// testTcprelayInherits has listening sockets of systemd, and one at the standard input as inetd leaves it.
func testTcprelayInherits(t *testing.T) {
	testkit.Need(t, "systemd-socket-activate")
	to, other := newRemote(t, echoes), newRemote(t, echoesAs("other"))
	one, two, own := freePort(t), freePort(t), freePort(t)
	dir := shortDir(t)
	inFile, named := filepath.Join(dir, "x.sock"), filepath.Join(dir, "y.sock")
	write := func(spawnd string) string {
		return put(t, filepath.Join(t.TempDir(), "t.cfg"), tcprelayFile(spawnd, tcprelayRemote(to.addr)))
	}
	for _, c := range []struct {
		about    string
		activate []string
		spawnd   string
		doors    []string
		line     string // of the log
		again    bool   // HUP has it read its file; else it ends
	}{
		{"without listeners, all sockets", []string{"-l", one, "-l", inFile}, "", []string{one, inFile}, `listen="?` + one, false},
		{"listeners elsewhere, all sockets", []string{"-l", one, "-l", two}, tcprelayListen(own), []string{one, two}, ``, false},
		{
			"by their addresses, beside its own",
			[]string{"-l", one, "-l", named},
			tcprelayListen(one) + "listen = { path = " + named + " }\n" + tcprelayListen(own),
			[]string{one, named, own},
			``,
			true,
		},
		{"at the standard input", []string{"--inetd", "-l", one}, tcprelayListen(own) + "background = yes", []string{one}, `listen="?` + one, false},
	} {
		t.Run(c.about, func(t *testing.T) {
			file := write(c.spawnd)
			args := append(c.activate, program(), "tcprelay", "-D", file)
			p := startStopped(t, "systemd-socket-activate", args...)
			p.WaitLine(`Listening on `)
			for _, door := range c.doors {
				conn := dialDoor(t, door)
				says(t, conn, "word")
				hears(t, conn, "word")
				conn.Close()
			}
			p.WaitLine(`msg=ready.* ` + c.line)
			if !slices.Contains(c.doors, own) {
				refuses(t, own)
			}
			p.WaitLine(`listener up`)
			if c.again {
				put(t, file, tcprelayFile(c.spawnd, tcprelayRemote(other.addr)))
				p.Signal(syscall.SIGHUP)
				p.WaitLine(`configuration read again`)
				for _, door := range c.doors {
					hears(t, dialDoor(t, door), "other")
				}
				stopNow(t, p, syscall.SIGTERM)
				return
			}
			stopNow(t, p, syscall.SIGHUP) // who has opened the sockets starts it anew
			if strings.Contains(p.Output(), "read again") {
				t.Errorf("HUP has it read its file:\n%s", p.Output())
			}
		})
	}
	testTcprelayStdin(t, write(""), one)
}

// testTcprelayStdin starts it as an inetd does with "wait": twice, with the same socket.
func testTcprelayStdin(t *testing.T, file, door string) {
	t.Helper()
	l, err := net.Listen("tcp", door)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for _, single := range []string{"-D", "-D1"} {
		waiting := call(t, door)
		says(t, waiting, "early")
		cmd := exec.Command(program(), "tcprelay", single, file)
		cmd.Stdin = socket
		p := testkit.StartCommand(t, cmd)
		hears(t, waiting, "early")
		talk(t, door)
		waiting.Close()
		stopNow(t, p, syscall.SIGTERM)
	}
	c := call(t, door) // the socket is inetd's, and goes on
	c.Close()
}

// testTcprelayOptions has each option of the command, and the links by its names.
func testTcprelayOptions(t *testing.T) {
	m, to, door := relayMachine(t), newRemote(t, echoes), freePort(t)
	for _, name := range []string{"tcprelay", "spawnd"} {
		said, code := m.run(name, "-v")
		if code != 0 || !regexp.MustCompile(`^`+name+` version \S+/sluice/go\S+\n$`).MatchString(said) {
			t.Errorf("%s -v: exit %d, %q", name, code, said)
		}
		if said, code = m.run(name); code != 64 || said != strings.Replace(tcprelayUsage, "tcprelay", name, 1) {
			t.Errorf("%s: exit %d, %q", name, code, said)
		}
		if said, code = m.run(name, "-Z", "x"); code != 64 || !strings.HasPrefix(said, name+": invalid option -- 'Z'\nUsage: "+name+" ") {
			t.Errorf("%s -Z: exit %d, %q", name, code, said)
		}
	}
	if said, code := m.run("sluice", "tcprelay", "-h"); code != 0 || !strings.Contains(said, "-I ID ") || !strings.Contains(said, "MAVIS is not supported") {
		t.Errorf("-h: exit %d, %q", code, said)
	}
	if said, code := m.run("cproxy"); code != 1 || !strings.HasPrefix(said, "Usage:\n") {
		t.Errorf("cproxy: exit %d, %q", code, said)
	}
	m.put("/etc/bad.cfg", tcprelayFile("", ""))
	if said, code := m.run("spawnd", "-P", "/etc/bad.cfg"); code != 78 || !strings.HasPrefix(said, "/etc/bad.cfg:4: No remote services defined!\n") {
		t.Errorf("spawnd -P: exit %d, %q", code, said)
	}

	const refused = "client refused" // a line of those who want all
	for i, c := range []struct {
		name     string
		args     string
		children int
		all      bool
	}{
		{"tcprelay", "-f", 1, false},
		{"spawnd", "-f", 1, false},
		{"tcprelay", "-f1", 0, false},
		{"tcprelay", "-fd0", 1, false},
		{"tcprelay", "-fd1", 1, true},
		{"tcprelay", "-fD", 1, true},
		{"spawnd", "-f1d255", 0, true},
	} {
		t.Run(c.name+" "+c.args, func(t *testing.T) {
			t.Parallel()
			door, conf := freePort(t), fmt.Sprintf("/etc/t%d.cfg", i)
			m.put(conf, tcprelayFile(tcprelayListen(door)+"deny 127.0.0.9 permit 127.0.0.0/8", tcprelayRemote(to.addr)))
			p := testkit.StartCommand(t, m.command(c.name, c.args, conf))
			p.WaitLine(`listener up`)
			talk(t, door)
			hearsEnd(t, callFrom(t, "127.0.0.9", door), false)
			if n := len(childrenOf(t, p.PID())); n != c.children {
				t.Errorf("%d processes beside it, want %d", n, c.children)
			}
			p.Signal(syscall.SIGUSR1) // it changes nothing
			p.Signal(syscall.SIGUSR2)
			talk(t, door)
			stopNow(t, p, syscall.SIGTERM)
			if got := strings.Contains(p.Output(), refused); got != c.all {
				t.Errorf("it says everything: %v, want %v\n%s", got, c.all, p.Output())
			}
			ident := `(?m)^` + c.name + `\[` + strconv.Itoa(p.PID()) + `\]: ready` // as a line for the system's log
			if plain := c.args == "-fD"; regexp.MustCompile(ident).MatchString(p.Output()) == plain {
				t.Errorf("it says\n%s", p.Output())
			}
		})
	}

	// The limit of sessions is none of one process.
	m.put("/etc/t.cfg", tcprelayFile(tcprelayListen(door)+"overload = close spawn { users max = 1 instances max = 1 }", tcprelayRemote(to.addr)))
	p := m.start("tcprelay", "-f1", "/etc/t.cfg")
	p.WaitLine(`Running in degraded mode`)
	p.WaitLine(`listener up`)
	held := call(t, door)
	says(t, held, "x")
	hears(t, held, "x")
	talk(t, door)
	held.Close()
	stopNow(t, p, syscall.SIGTERM)
}
