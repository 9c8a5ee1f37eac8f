//go:build e2e && linux

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// testTcprelaySyslog has rsyslogd hear of a tcprelay, as what the file says; while there is none, its
// standard error has the lines.
func testTcprelaySyslog(t *testing.T) {
	m, to, door := relayMachine(t), newRemote(t, echoes), freePort(t)
	system := m.syslogd()
	heard := func(expr string) { t.Helper(); awaitLog(t, m.path("/var/log/syslog"), expr) }
	unheard := func(expr string) {
		t.Helper()
		if line := regexp.MustCompile(`(?m)` + expr).FindString(readFile(t, m.path("/var/log/syslog"))); line != "" {
			t.Errorf("heard %q", line)
		}
	}
	write := func(first, second string) {
		m.put("/etc/t.cfg", tcprelayFile("deny 127.0.0.9\npermit 127.0.0.0/8\n"+first+"\n"+tcprelayListen(door, "realm = x"), tcprelayRemote(to.addr)+second))
	}
	// relays starts one, has a client come who is refused, and ends it.
	relays := func(command ...string) *testkit.Proc {
		t.Helper()
		p := m.start(command[0], append(command[1:], "-f", "/etc/t.cfg")...)
		testkit.Eventually(t, func() error { return canCall(door) })
		hearsEnd(t, callFrom(t, "127.0.0.9", door), false)
		stopNow(t, p, syscall.SIGTERM)
		return p
	}
	write("", "")
	for _, name := range []string{"tcprelay", "spawnd"} {
		p := relays(name)
		heard(`^uucp\.warning ` + name + `: .*'realm' has no effect`)
		heard(`^uucp\.notice ` + name + `: .*ready listen=` + door)
		heard(`^uucp\.info ` + name + `: .*listener up`)
		heard(`^uucp\.notice ` + name + `: .*stopped`)
		unheard(`^uucp\.debug ` + name)
		if p.Output() != "" {
			t.Errorf("%s says\n%s", name, p.Output())
		}
	}
	write("syslog ident = front\nsyslog facility = LOCAL3\nsyslog severity = WARNING", "")
	relays("tcprelay")
	heard(`^local3\.warning front: .*'realm' has no effect`)
	unheard(` front: .*(ready|stopped|listener up)`)

	write("syslog ident = front\nsyslog facility = LOCAL3", "syslog ident = back syslog facility = local4 syslog level = DEBUG")
	p := relays("tcprelay", "-D")
	heard(`^local4\.debug back: .*client refused`)
	heard(`^local4\.notice back: .*stopped`)
	unheard(`^local3\.\S+ back|^local4\.\S+ front`)
	for _, line := range []string{`'realm' has no effect`, `msg=ready`, `msg="client refused"`} {
		if !strings.Contains(p.Output(), line) {
			t.Errorf("-D: no %q on standard error:\n%s", line, p.Output())
		}
	}

	// The log of the system goes away and comes back.
	write("syslog ident = lasting", "")
	p = m.start("tcprelay", "-f", "/etc/t.cfg")
	heard(`^uucp\.info lasting: .*listener up`)
	stopNow(t, system, syscall.SIGTERM)
	write("syslog ident = lasting\nnonsense", "")
	p.Signal(syscall.SIGHUP)
	p.WaitLine(`"the system's log cannot be reached"`)
	line := p.WaitLine(`^(lasting\[\d+\]: )configuration not read again.*/etc/t\.cfg:5: Expected .* but got 'nonsense'`)
	if want := fmt.Sprintf("lasting[%d]: ", p.PID()); line[1] != want {
		t.Errorf("the line begins with %q, want %q", line[1], want)
	}
	m.syslogd()
	p.Signal(syscall.SIGHUP)
	heard(`^uucp\.err lasting: .*configuration not read again`)
	stopNow(t, p, syscall.SIGTERM)
	heard(`^uucp\.notice lasting: .*stopped`)
	for _, name := range []string{"facility = UUPC", "severity = LOUD"} {
		write("syslog "+name, "")
		if said, code := m.run("tcprelay", "/etc/t.cfg"); code != 78 || !strings.Contains(said, "/etc/t.cfg:4: Expected '") {
			t.Errorf("%s: exit %d, %s", name, code, said)
		}
	}
}

// canCall says why nobody listens.
func canCall(door string) error {
	c, err := tryCall("", door)
	if err == nil {
		err = c.Close()
	}
	return err
}
