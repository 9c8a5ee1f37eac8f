package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/netx"
	"sluice/internal/testkit"
)

// Acceptance 21, 22 and 61: exit codes, and what is said.
func TestIssue5Line21TcprelayExitCodes(t *testing.T) {
	dir := t.TempDir()
	own := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	good := own("good.cfg", tcprelayFile("127.0.0.1:1", "127.0.0.1:2"))
	odd := own("odd.cfg", "id = spawnd { listen = { port = 2222 realm = x } }\nid = tcprelay { remote = { address = 192.0.2.1 port = 22 } }\n")
	bad := own("bad.cfg", "id = spawnd { listen = { port = 2222 } }\nid = tcprelay { remote = { foo = 1 } }\n")
	empty := own("empty.cfg", "id = spawnd { }\nid = tcprelay { remote = { address = 192.0.2.1 port = 22 } }\n")
	usage := fmt.Sprintf(tcprelayUsage, nameTcprelay)
	for _, c := range []struct {
		args   string
		code   int
		stderr string // all of it, or with a star what it has in it
	}{
		{"-P " + good, 0, ""},
		{good + " -1P spawnd", 0, ""},
		{"-P " + odd, 0, "*realm"},
		{"-P " + bad, 78, bad + ":2: Expected 'address', 'port', 'protocol' or 'weight', but got 'foo'\nDetected fatal configuration error. Exiting.\n"},
		{"-f " + bad, 78, "*Detected fatal configuration error. Exiting.\n"},
		{"-P -i other " + good, 78, "*No configuration for id 'other' found."},
		{"-P -I other " + good, 78, "*No configuration for id 'other' found."},
		{"-P " + good + " other", 78, "*No configuration for id 'other' found."},
		{"-P " + dir + "/none", 66, "Couldn't open " + dir + "/none: No such file or directory\nExiting.\n"},
		{"-P ipc://7/5", 66, "*No way to read ipc://"},
		{"-f " + empty, 71, "tcprelay: FATAL: No listeners defined.\n"},
		{"", 64, usage},
		{"-P", 64, usage},
		{"-P a b c", 64, usage},
		{"-x " + good, 64, "tcprelay: invalid option -- 'x'\n" + usage},
		{"-p", 64, "tcprelay: option requires an argument -- 'p'\n" + usage},
		{"-v", 0, "*tcprelay version " + build()},
	} {
		code, stdout, stderr := call(append([]string{nameTcprelay}, strings.Fields(c.args)...)...)
		part, inside := strings.CutPrefix(c.stderr, "*")
		if code != c.code || stdout != "" || !inside && stderr != c.stderr || inside && !strings.Contains(stderr, part) {
			t.Errorf("tcprelay %s: exit %d, %q, %q; want %d, %q", c.args, code, stdout, stderr, c.code, c.stderr)
		}
	}
	if code, _, stderr := call(nameSpawnd, "-v"); code != 0 || !strings.HasPrefix(stderr, "spawnd version ") {
		t.Errorf("as spawnd: exit %d, %q", code, stderr)
	}
}

// Acceptance 24: the file comes from a server, within bounds.
func TestIssue5Line24TcprelayFromURL(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			fmt.Fprint(w, tcprelayFile("127.0.0.1:1", "127.0.0.1:2"))
		case "/long":
			w.Write(make([]byte, maxTcprelayFile+1))
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	for path, want := range map[string]struct {
		code int
		text string
	}{"/good": {0, ""}, "/long": {66, "longer than 16 MiB"}, "/none": {66, "404"}} {
		code, _, stderr := call(nameTcprelay, "-P", s.URL+path)
		if code != want.code || !strings.Contains(stderr, want.text) {
			t.Errorf("%s: exit %d, %s", path, code, stderr)
		}
	}
}

// tcprelayFile relays from one address to another; more goes into the section of spawnd.
func tcprelayFile(listen, remote string, more ...string) string {
	from, fromPort, _ := net.SplitHostPort(listen)
	to, toPort, _ := net.SplitHostPort(remote)
	return fmt.Sprintf("id = spawnd {\n listen = { address = %s port = %s }\n%s\n}\nid = tcprelay {\n remote = { address = %s port = %s }\n}\n",
		from, fromPort, strings.Join(more, "\n"), to, toPort)
}

// answers waits until a relay at addr answers.
func answers(t *testing.T, network, addr string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		got, err := through(network, addr, "x")
		if err == nil && got != "got x" {
			err = fmt.Errorf("%q", got)
		}
		return err
	})
}

// refuses waits until nobody listens at addr.
func refuses(t *testing.T, addr string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return errors.New("somebody listens there")
		}
		return nil
	})
}

// Acceptance 27, 46 and 47: one process listens and another one relays. It reads its file again, is started again when
// it dies, and ends in good order.
func TestIssue5Line46TcprelayLives(t *testing.T) {
	dir, remote := t.TempDir(), echoServer(t)
	file, pidFile := filepath.Join(dir, "t.cfg"), filepath.Join(dir, "pid")
	first, second := testkit.FreePort(t), testkit.FreePort(t)
	write(t, file, tcprelayFile(first, remote, "pidfile = "+filepath.Join(dir, "other")))
	p := sluice(t, nameTcprelay, "-D", "-p", pidFile, file)
	answers(t, "tcp", first)
	if text, err := os.ReadFile(pidFile); err != nil || string(text) != strconv.Itoa(p.PID())+"\n" {
		t.Errorf("the pid file: %q, %v", text, err)
	}

	held, err := net.Dial("tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	write(t, file, tcprelayFile(second, remote))
	p.Signal(syscall.SIGHUP)
	answers(t, "tcp", second)
	refuses(t, first)
	write(t, file, "nonsense\n")
	p.Signal(syscall.SIGHUP)
	p.WaitLine(readNot + `.*` + file + `:1: `)
	answers(t, "tcp", second)
	if _, err := held.Write([]byte("held")); err != nil {
		t.Error(err)
	}
	if err := held.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	answer := make([]byte, 16)
	if n, err := held.Read(answer); string(answer[:n]) != "got held" {
		t.Errorf("the session from before got %q, %v", answer[:n], err)
	}

	worker, err := strconv.Atoi(p.WaitLine(`process started" .*process=tcprelay pid=(\d+)`)[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.WaitLine(`process ended, starting it again.*pid=` + strconv.Itoa(worker))
	answers(t, "tcp", second) // the socket came later than the first process
	p.Signal(syscall.SIGUSR1)
	answers(t, "tcp", second)
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Errorf("after TERM: %v", err)
	}
	if _, err := os.Stat(pidFile); err == nil {
		t.Error("the pid file is left")
	}
	settings := p.WaitLine(readAgain + `.*file=(\S+)`)[1]
	if _, err := os.Stat(filepath.Dir(settings)); err == nil {
		t.Error("the settings are left")
	}
}

// Acceptance 38: who has had his sessions goes on beside the next one until they are over.
func TestIssue5Line38TcprelayRetires(t *testing.T) {
	remote, addr := echoServer(t), testkit.FreePort(t)
	file := fileWith(t, "t.cfg", strings.Replace(tcprelayFile(addr, remote), "id = tcprelay {", "id = tcprelay { retire limit = 3", 1))
	p := sluice(t, nameTcprelay, "-D", file)
	answers(t, "tcp", addr)
	held, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for range 7 {
		answers(t, "tcp", addr)
	}
	first := p.WaitLine(`process retires, the next one is started.* pid=(\d+)$`)[1]
	p.WaitLine(`Retire limit reached\. Told parent about this\.`)
	if _, err := held.Write([]byte("held")); err != nil {
		t.Error(err)
	}
	if err := held.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	answer := make([]byte, 16)
	if n, err := held.Read(answer); string(answer[:n]) != "got held" {
		t.Errorf("the session of the process that has retired got %q, %v", answer[:n], err)
	}
	p.WaitLine(`retired process ended.* pid=` + first + ` reason="exit status 0"`)
	p.Signal(syscall.SIGINT)
	if err := p.Wait(); err != nil {
		t.Errorf("after INT: %v", err)
	}
}

// A single process reads its file again and ends as two do.
func TestTcprelaySingle(t *testing.T) {
	remote, first, second := echoServer(t), testkit.FreePort(t), testkit.FreePort(t)
	file := fileWith(t, "t.cfg", tcprelayFile(first, remote))
	p := sluice(t, nameTcprelay, "-1D", file)
	answers(t, "tcp", first)
	p.WaitLine(`Running in degraded mode`)
	write(t, file, tcprelayFile(second, remote))
	p.Signal(syscall.SIGHUP)
	answers(t, "tcp", second)
	refuses(t, first)
	if strings.Contains(p.Output(), "process started") {
		t.Error("it has started another process")
	}
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Errorf("after TERM: %v", err)
	}
}

// inheriting is a tcprelay that has a socket at its standard input, or one of a service manager.
func inheriting(t *testing.T, l net.Listener, stdin bool, how, file string) *testkit.Proc {
	t.Helper()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(os.Args[0], nameTcprelay, how, file)
	cmd.Env = append(os.Environ(), asSluice+"=1", "GORACE=atexit_sleep_ms=0")
	if stdin {
		cmd.Stdin = f
	} else {
		cmd.ExtraFiles = []*os.File{f}
		cmd.Env = append(cmd.Env, netx.InheritEnv([]string{"tcprelay@1.socket"})...)
	}
	p := testkit.StartCommand(t, cmd)
	p.WaitLine(`listener up.* listen=` + l.Addr().String())
	return p
}

// Acceptance 48: sockets that were there before take the place of the listeners.
func TestIssue5Line48TcprelayInheritsSockets(t *testing.T) {
	remote := echoServer(t)
	for name, c := range map[string]struct {
		listen string // in the file; "" = no listener
		stdin  bool
	}{
		"standard input":      {testkit.FreePort(t), true},
		"the only one":        {"", false},
		"of an other address": {testkit.FreePort(t), false},
	} {
		t.Run(name, func(t *testing.T) {
			l := listenLocal(t)
			text := tcprelayFile(c.listen, remote, "background = yes")
			if c.listen == "" {
				text = strings.Replace(text, " listen = { address =  port =  }", "", 1)
			}
			p := inheriting(t, l, c.stdin, "-D", fileWith(t, "t.cfg", text))
			l.Close()
			answers(t, "tcp", l.Addr().String())
			p.Signal(syscall.SIGHUP) // the service manager starts it anew
			if err := p.Wait(); err != nil {
				t.Errorf("after HUP: %v", err)
			}
			if strings.Contains(p.Output(), readAgain) {
				t.Error("it has read its file again")
			}
		})
	}
}

// Acceptance 48: with sockets that listeners have by their addresses the file is read again, as always.
func TestIssue5Line48TcprelayReadsAgain(t *testing.T) {
	remote := echoServer(t)
	for _, how := range []string{"-D", "-1D"} {
		l, own := listenLocal(t), testkit.FreePort(t) // that one stays open, as a service manager has it
		addr := l.Addr().String()
		file := fileWith(t, "t.cfg", tcprelayFile(addr, remote, "background = yes"))
		p := inheriting(t, l, false, how, file)
		answers(t, "tcp", addr)
		ownHost, ownPort, _ := net.SplitHostPort(own)
		write(t, file, tcprelayFile(addr, remote, "background = yes", "listen = { address = "+ownHost+" port = "+ownPort+" }"))
		p.Signal(syscall.SIGHUP)
		answers(t, "tcp", own)
		answers(t, "tcp", addr)
		write(t, file, "nonsense\n")
		p.Signal(syscall.SIGHUP)
		p.WaitLine(readNot + `.*:1: `)
		answers(t, "tcp", addr)

		write(t, file, tcprelayFile(own, remote, "background = yes")) // it lets go of that socket
		p.Signal(syscall.SIGHUP)
		p.WaitLine(`listener down.* listen=` + addr)
		write(t, file, tcprelayFile(addr, remote, "background = yes"))
		p.Signal(syscall.SIGHUP)
		p.WaitLine(readNot + `.*` + addr + `.*address already in use`)
		answers(t, "tcp", own)
		p.Signal(syscall.SIGTERM)
		if err := p.Wait(); err != nil {
			t.Errorf("%s, after TERM: %v", how, err)
		}
	}
}

// Acceptance 27: it goes into the background when its sockets are open, and says so by its exit code.
func TestIssue5Line27TcprelayInTheBackground(t *testing.T) {
	remote, addr := echoServer(t), testkit.FreePort(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	file := fileWith(t, "t.cfg", tcprelayFile(addr, remote, "pidfile = "+pidFile))
	if code, said := once(t, nameTcprelay, "-b", file); code != 0 { // it may say that there is no syslog
		t.Fatalf("exit %d, %s", code, said)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	answers(t, "tcp", addr)
	if code, said := once(t, nameTcprelay, "-b", file); code != exTempFail || !strings.Contains(said, "Failed to bind to any address or port. Exiting.") {
		t.Errorf("the second one: exit %d, %s", code, said)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	refuses(t, addr)
	testkit.Eventually(t, func() error {
		if _, err := os.Stat(pidFile); err == nil {
			return errors.New("the pid file is left")
		}
		return nil
	})
}

// A master that was killed takes its worker along, and what that was told.
func TestTcprelayMasterIsKilled(t *testing.T) {
	addr := testkit.FreePort(t)
	p := sluice(t, nameTcprelay, "-D", fileWith(t, "t.cfg", tcprelayFile(addr, echoServer(t))))
	answers(t, "tcp", addr)
	_, settings := settingsOf(t, p)
	if _, err := os.Stat(settings); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGKILL)
	refuses(t, addr)
	testkit.Eventually(t, func() error {
		if _, err := os.Stat(filepath.Dir(settings)); err == nil {
			return errors.New("the settings are left")
		}
		return nil
	})
}

// settingsOf are the settings of the worker of a tcprelay.
func settingsOf(t *testing.T, p *testkit.Proc) (worker int, settings string) {
	t.Helper()
	pid := p.WaitLine(`process started" .*process=tcprelay pid=(\d+)`)[1]
	worker, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	args, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return worker, strings.Split(string(args), "\x00")[2]
}

// What a tcprelay has left that was killed together with its worker goes with the next start; what others
// go by stays.
func TestTcprelayRemovesWhatIsLeft(t *testing.T) {
	remote := echoServer(t)
	start := func() (p *testkit.Proc, worker int, settings string) {
		addr := testkit.FreePort(t)
		p = sluice(t, nameTcprelay, "-D", fileWith(t, "t.cfg", tcprelayFile(addr, remote)))
		answers(t, "tcp", addr)
		worker, settings = settingsOf(t, p)
		if _, err := os.Stat(settings); err != nil {
			t.Fatal(err)
		}
		return p, worker, settings
	}
	killed, worker, left := start()
	_, _, lives := start()
	killed.Signal(syscall.SIGSTOP) // it starts no other
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed.Signal(syscall.SIGKILL)
	<-killed.Done()
	if _, err := os.Stat(left); err != nil {
		t.Fatal(err)
	}
	start()
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left (%v)", left, err)
	}
	if _, err := os.Stat(lives); err != nil {
		t.Error(err)
	}
}

// What only a start looks at is told.
func TestTcprelayTellsWhatStays(t *testing.T) {
	remote, addr := echoServer(t), testkit.FreePort(t)
	for _, how := range []string{"-fD", "-1fD"} {
		file := fileWith(t, "t.cfg", tcprelayFile(addr, remote))
		p := sluice(t, nameTcprelay, how, file)
		answers(t, "tcp", addr)
		write(t, file, tcprelayFile(addr, remote, "pidfile = /none", "spawn { userid = nobody }"))
		p.Signal(syscall.SIGHUP)
		p.WaitLine(`changed, but in effect only after a restart" .*keys="pidfile, userid"`)
		p.Signal(syscall.SIGTERM)
		if err := p.Wait(); err != nil {
			t.Errorf("after TERM: %v", err)
		}
	}
}
