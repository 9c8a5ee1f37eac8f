//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testInstall installs the program on a machine, and as for a package.
func testInstall(t *testing.T) {
	testkit.Need(t, "make")
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("package", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t) // what is done outside of DESTDIR would be seen there
		before := m.sh(`cd / && find etc/passwd etc/sluice.* run var/log usr/local -type f -o -type d | sort; cksum etc/passwd`)
		m.sh(`mkdir /run/dest; make -C "$1" -s install DESTDIR=/run/dest PREFIX=/usr PROGRAM=/usr/local/bin/sluice`, root)
		want := `./etc/sluice.yaml ./usr/bin/gng ./usr/bin/gws ./usr/bin/sluice ./usr/lib/systemd/system/sluice-gng@.service ` +
			`./usr/lib/systemd/system/sluice-gws.service ./usr/lib/systemd/system/sluice.service ./usr/share/doc/sluice/examples/sluice.conf ` +
			`./usr/share/man/man1/gws.1 ./usr/share/man/man5/sluice.conf.5 ./usr/share/sluice/helper.sh ./usr/share/sluice/sluice.sh ./var/log/sluice`
		has := strings.Fields(m.sh(`cd /run/dest && find . | sort`))
		for _, path := range strings.Fields(want) {
			if !strings.Contains(" "+strings.Join(has, " ")+" ", " "+path+" ") {
				t.Errorf("%s is not installed: %q", path, has)
			}
		}
		if paths := m.sh(`grep -rl /usr/local/bin /run/dest/usr/lib /run/dest/usr/share/sluice || :`); paths != "" {
			t.Errorf("these name the program where it is not:\n%s", paths)
		}
		m.sh(`rm -r /run/dest`)
		if after := m.sh(`cd / && find etc/passwd etc/sluice.* run var/log usr/local -type f -o -type d | sort; cksum etc/passwd`); after != before {
			t.Errorf("outside of DESTDIR was\n%s\nis\n%s", before, after)
		}
	})
	t.Run("machine", func(t *testing.T) {
		t.Parallel()
		testkit.NeedUsers(t)
		m := newMachine(t)
		m.sh(`mkdir /run/built; cat /usr/local/bin/sluice >/run/built/sluice; chmod 755 /run/built/sluice; umount /usr/local/bin/sluice "$1/usr-local/bin/sluice"; rm -r /usr/local/bin`, m.dir)
		m.sh(`sed -i /^sluice:/d /etc/passwd /etc/group; make -C "$1" -s install PROGRAM=/run/built/sluice`, root)
		m.sh(`make -C "$1" -s install PROGRAM=/run/built/sluice`, root) // a second one changes nothing
		if user := m.sh(`getent passwd sluice | cut -d: -f6,7; ls -ld /var/log/sluice | cut -d' ' -f3`); user != "/run/sluice:/usr/sbin/nologin\nsluice\n" {
			t.Errorf("the account and the owner of its logs: %q", user)
		}
		p := onMachine(t)
		m.put("/etc/sluice.yaml", readFile(t, m.path("/etc/sluice.yaml"))+"\n# the operator's\n")
		m.sh(`make -C "$1" -s install PROGRAM=/run/built/sluice; grep -q "the operator's" /etc/sluice.yaml`, root)
		m.put("/etc/sluice.yaml", modulesConf(p, ""))

		// As an operator starts it who has read no further than the script.
		m.sh(`/usr/local/share/sluice/sluice.sh start`)
		p.eventually(oneEngine)
		p.wants(200, "/udp/"+source(t))
		owners := m.sh(`stat -c '%U %n' /run/sluice /run/sluice/handoff.socket /var/log/sluice/gws.log /var/log/sluice/gng-1.log`)
		if strings.Count(owners, "sluice /") != 4 {
			t.Errorf("owners:\n%s", owners)
		}
		m.sh(`/usr/local/share/sluice/sluice.sh stop`)
		m.idle()
	})
}

// testSampleConfiguration starts gws and an engine with the sample, in either format, as it is.
func testSampleConfiguration(t *testing.T) {
	p := ofDefaults(t)
	for _, name := range []string{"sluice.yaml", "sluice.conf"} {
		m := newMachine(t)
		m.put("/etc/"+name, readFile(t, "../dist/"+name))
		gws := m.start("gws", "-T")
		gws.WaitLine(`configuration read.* file=/etc/` + name)
		gng := m.start("gng", "-T")
		gng.WaitLine(`attached to gws`)
		group := newGroup()
		send(t, h264, "udp", group)
		v := watch(t, p.url("/udp/"+group))
		v.more(50_000)
		v.unbroken()
		for _, proc := range []*testkit.Proc{gws, gng} {
			if strings.Contains(proc.Output(), "level=WARN msg=configuration") {
				t.Errorf("%s: a warning:\n%s", name, proc.Output())
			}
		}
		stopNow(t, gws, syscall.SIGTERM)
		if err := gng.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// testControlScript runs the script with the shell that has the least, while somebody watches.
func testControlScript(t *testing.T) {
	testkit.Need(t, "dash")
	m := newMachine(t)
	m.account()
	p := onMachine(t)
	m.put("/etc/sluice.yaml", modulesConf(p, ""))
	m.put("/run/sluice.sh", readFile(t, "../dist/sluice.sh"))
	m.put("/run/defaults", "SLUICE_ENGINES=2\n")
	want := func(code int, expr, word string) []string {
		t.Helper()
		said, got := m.run("env", "SLUICE_DEFAULTS=/run/defaults", "dash", "/run/sluice.sh", word)
		match := regexp.MustCompile(expr).FindStringSubmatch(said)
		if got != code || match == nil {
			t.Fatalf("%s: exit %d, %q, want %d, %s", word, got, said, code, expr)
		}
		return match
	}
	want(2, `^sluice\.sh: usage: .*start\|stop\|restart\|status\|reload\|rotate\n$`, "help")
	want(3, `^gws does not run\ngng-1 does not run\ngng-2 does not run\n$`, "status")
	pids := want(0, `^gws started \(pid (\d+)\)\ngng-1 started \(pid (\d+)\)\ngng-2 started \(pid (\d+)\)\n$`, "start")
	if n := len(m.processes()); n != 3 {
		t.Errorf("%d processes run, want 3", n)
	}
	want(0, fmt.Sprintf(`^gws runs \(pid %s\)\ngng-1 runs \(pid %s\)\ngng-2 runs \(pid %s\)\n$`, pids[1], pids[2], pids[3]), "status")
	p.eventually(enginesOf(pids[2], pids[3]))

	group := newGroup()
	send(t, h264, "udp", group)
	v := watch(t, p.url("/udp/"+group))
	m.put("/etc/sluice.yaml", modulesConf(p, "channels: {news: {source: \"udp://"+group+"\"}}\n"))
	want(0, `^$`, "reload")
	for _, module := range []string{"gws", "gng-1", "gng-2"} {
		awaitLog(t, m.path("/var/log/sluice/"+module+".log"), `configuration read again`)
	}
	p.wants(200, "/$news")
	want(0, `^$`, "rotate")
	for _, module := range []string{"gws", "gng-1", "gng-2"} {
		awaitFile(t, m.path("/var/log/sluice/"+module+".log.1"))
	}
	v.more(10_000)
	v.unbroken()

	next := want(0, `^stopped\ngws started \(pid (\d+)\)\ngng-1 started \(pid (\d+)\)\ngng-2 started \(pid (\d+)\)\n$`, "restart")
	_ = v.end()
	if next[1] == pids[1] || next[2] == pids[2] || next[3] == pids[3] {
		t.Errorf("processes %q became %q", pids[1:], next[1:])
	}
	p.eventually(enginesOf(next[2], next[3]))
	p.wants(200, "/$news")
	want(0, `^stopped\n$`, "stop")
	want(3, `^gws does not run\n`, "status")
	m.idle()
}

// enginesOf wants the engines to be these processes.
func enginesOf(pids ...string) func(report.Status) error {
	return func(st report.Status) error {
		has := map[string]bool{}
		for _, e := range st.Engines {
			has[strconv.Itoa(e.PID)] = true
		}
		for _, pid := range pids {
			if !has[pid] || len(has) != len(pids) {
				return fmt.Errorf("engines are %v, want %q", has, pids)
			}
		}
		return nil
	}
}

// testTwoGWS has two gws with an engine each on one host, and ends one of them.
func testTwoGWS(t *testing.T) {
	group := newGroup()
	send(t, h264, "udp", group)
	var both [2]*duo
	var viewers [2]*viewer
	for i := range both {
		p := newDuo(t, "")
		p.write("log: {file: " + p.path("log") + "}\n")
		p.startGWS()
		p.startGNG()
		p.attached(p.gng.PID())
		both[i], viewers[i] = p, watch(t, p.url("/udp/"+group))
	}
	for i, p := range both {
		ch, e, err := channel(p.status(), group)
		if err != nil || len(ch.Clients) != 1 || e.PID != p.gng.PID() {
			t.Errorf("one of the two tells of %+v at %+v, %v", ch, e, err)
		}
		viewers[i].more(10_000)
		if text := strings.Join(logLines(t, p.path("log")), ""); strings.Contains(text, both[1-i].user) || strings.Count(text, "gws: ready") != 1 {
			t.Errorf("the log of one has lines of the other:\n%s", text)
		}
	}
	first, second := both[0], both[1]
	first.gng.Signal(syscall.SIGKILL)
	_ = first.gng.Wait()
	_ = viewers[0].end()
	stopNow(t, first.gws, syscall.SIGTERM)
	second.attached(second.gng.PID())
	viewers[1].more(50_000)
	viewers[1].unbroken()
	second.wants(200, "/udp/"+group)
}

// testListeners has doors on IPv4 and IPv6, each with its name, and curl at all of them.
func testListeners(t *testing.T) {
	on6 := func() string { return strings.Replace(freePort(t), "127.0.0.1", "[::1]", 1) }
	log, access := accessLog(t)
	four, six, admin, nameless := freePort(t), on6(), on6(), freePort(t)
	p := newDuo(t, "")
	put(t, p.config, fmt.Sprintf("listen: [%q, %q, %q]\nadmin: %q\nrun_dir: %s\n%s",
		"four="+four, "six="+six, nameless, admin, p.dir, access))
	p.user, p.admin = four, admin
	p.startGWS()
	p.startGNG()
	p.attached(p.gng.PID())
	p.gws.WaitLine(`listen=http://` + regexp.QuoteMeta(four+",http://"+six+",http://"+nameless) + ` admin=http://` + regexp.QuoteMeta(admin))

	group := source(t)
	for door, c := range map[string]struct{ alias, client string }{four: {"four", "127.0.0.1"}, six: {"six", "::1"}, nameless: {"-", "127.0.0.1"}} {
		cmd := exec.Command("curl", "-sS", "-g", "-o", os.DevNull, "--max-filesize", "1000000", "-D", "-", "--", "http://"+door+"/udp/"+group)
		stream := testkit.StartCommand(t, cmd)
		stream.WaitLine(`^HTTP/1\.1 200 OK`)
		awaitEntry(t, log, "event", "client_open", "listener", c.alias, "addr", c.client, "channel", "UDP://"+group)
		if code, _ := curl(t, "http://"+door+"/ping"); code == 200 {
			t.Errorf("/ping at %s: %d", door, code)
		}
	}
	if code, body := curl(t, "http://"+admin+"/ping"); code != 200 {
		t.Errorf("/ping: %d %s", code, body)
	}
	if code, _ := curl(t, "http://"+admin+"/udp/"+group); code != 404 {
		t.Errorf("a stream at the admin port: %d", code)
	}
	_, port, _ := net.SplitHostPort(admin)
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("the admin port is open on IPv4, too")
	}
}
