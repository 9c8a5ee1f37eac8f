package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// cproxySays runs a command line that ends by itself, by both its names.
func cproxySays(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	code, stdout, stderr = call(append([]string{nameCproxy}, strings.Fields(line)...)...)
	if isCproxy(strings.Fields(line)) {
		again, out, errs := call(append([]string{roleRelay}, strings.Fields(line)...)...)
		if again != code || errs != stderr || withoutTime(out) != withoutTime(stdout) {
			t.Errorf("sluice relay %s: exit %d, %q, %q; as cproxy %d, %q, %q", line, again, out, errs, code, stdout, stderr)
		}
	}
	return code, withoutTime(stdout), stderr
}

var cproxyTime = regexp.MustCompile(`(?m)^\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d\.\d{6} \[main\] `)

// withoutTime takes the heads off lines of the main thread.
func withoutTime(text string) string { return cproxyTime.ReplaceAllString(text, "") }

// Acceptance 2: the usage is the answer to what is not understood.
func TestIssue5Line2CproxyUsage(t *testing.T) {
	for line, said := range map[string]string{
		"": "", "-l 127.0.0.1:1": "", "-r 127.0.0.1:1": "", "-l 127.0.0.1:1 -r 127.0.0.1:2 -r 127.0.0.1:3": "",
		"-l 127.0.0.1:1 -r 127.0.0.1:2 -x": "cproxy: invalid option -- 'x'\n",
		"-l 127.0.0.1:1 -r":                "cproxy: option requires an argument -- 'r'\n",
		"-h":                               "cproxy: invalid option -- 'h'\n",
		"--help":                           "cproxy: invalid option -- '-'\n",
	} {
		code, stdout, stderr := cproxySays(t, line)
		if code != 1 || stdout != cproxyUsage || stderr != said {
			t.Errorf("%q: exit %d, %q, %q", line, code, stdout, stderr)
		}
	}
	if !strings.HasPrefix(cproxyUsage, "Usage:\n  cproxy -l <local addr>:<local port> [-l") || !strings.HasSuffix(cproxyUsage, "\n  -t: <num io threads>: specify number of I/O threads\n") {
		t.Errorf("%s", cproxyUsage)
	}
}

// Acceptance 3 to 5: one line says what is wrong, the first mistake counts.
func TestIssue5Line3To5CproxyMistakes(t *testing.T) {
	taken := listenLocal(t).Addr().String()
	for line, want := range map[string]string{
		"-b 0":                      "invalid buffer size 0",
		"-b x -t 0":                 "invalid buffer size x",
		"-b -5":                     "invalid buffer size -5",
		"-t 0":                      "invalid num io threads 0",
		"-n -t y -q":                "invalid num io threads y",
		"-l x":                      "invalid address:port argument: 'x'",
		"-l :80":                    "invalid address:port argument: ':80'",
		"-l h:":                     "invalid address:port argument: 'h:'",
		"-r x":                      "invalid address:port argument: 'x'",
		"-l a:1 -r b:2 -l c":        "invalid address:port argument: 'c'",
		"-l 127.0.0.1:70000 -r 1:2": "error resolving address 127.0.0.1:70000 Servname not supported for ai_socktype",
		"-l 127.0.0.1:nosuchservice -r 127.0.0.1:1": "error resolving address 127.0.0.1:nosuchservice Servname not supported for ai_socktype",
	} {
		code, stdout, stderr := cproxySays(t, line)
		if code != 1 || stdout != want+"\n" || stderr != "" {
			t.Errorf("%q: exit %d, %q, %q; want %q", line, code, stdout, stderr, want)
		}
	}
	code, stdout, _ := cproxySays(t, "-l "+taken+" -r 127.0.0.1:1")
	if code != 1 || !strings.HasSuffix(stdout, "\nbind error on server socket "+taken+"\n") {
		t.Errorf("exit %d, %q", code, stdout)
	}
}

func TestParseCproxy(t *testing.T) {
	o, err := parseCproxy(strings.Fields("extra -l a:1 -lb::2 -l [::1]:80 -n -b 16k -t2x -r ::1:http more"))
	want := cproxyOptions{
		listen: []cproxyAddr{{"a:1", "a", "1"}, {"b::2", "b:", "2"}, {"[::1]:80", "::1", "80"}},
		remote: []cproxyAddr{{"::1:http", "::1", "http"}}, buffer: 16, threads: 2, noDelay: true,
	}
	if err != nil || fmt.Sprint(o) != fmt.Sprint(want) {
		t.Errorf("%+v, %v", o, err)
	}
	if at, err := o.remote[0].resolve(t.Context()); err != nil || at != netip.MustParseAddrPort("[::1]:80") {
		t.Errorf("%v, %v", at, err)
	}
	conf, err := o.config([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, netip.MustParseAddrPort("[::1]:80"))
	if err != nil || conf.Threads != 2 || conf.Listeners[0].Buffer != 16 || !*conf.Listeners[0].NoDelay || conf.Pools[0].Remotes[0].Addr.String() != "[::1]:80" {
		t.Errorf("%+v, %v", conf, err)
	}
	o.noDelay = false
	if conf, err = o.config(nil, netip.AddrPort{}); err != nil || *conf.Listeners[0].NoDelay {
		t.Errorf("without -n: %+v, %v", conf, err)
	}
}

func TestAtoi(t *testing.T) {
	for text, want := range map[string]int{"": 0, "x": 0, "16": 16, "16k": 16, " +7": 7, "-3x": -3, "-": 0, "99999999999": 1<<31 - 1} {
		if got := atoi(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// echoServer sends back what it gets; each client is heard to its end first.
func echoServer(t *testing.T) (addr string) {
	t.Helper()
	l := listenLocal(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				text, _ := io.ReadAll(c)
				c.Write(append([]byte("got "), text...))
			}()
		}
	}()
	return l.Addr().String()
}

// through says what a client gets that sends a text and ends its side.
func through(network, addr, text string) (string, error) {
	c, err := net.Dial(network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	got, err := io.ReadAll(c)
	return string(got), err
}

// Acceptance 1, 6, 7 and 9: it relays from all listeners, and each turn is a line.
func TestIssue5Line1And6And7And9CproxyRelaysAndTells(t *testing.T) {
	remote := echoServer(t)
	p := sluice(t, roleRelay, "-l", "127.0.0.1:0", "-l", "[::1]:0", "-t", "2", "-r", remote)
	first, second := p.WaitLine(`listening on (127\.0\.0\.1:\d+) \(fd=\d+\)$`)[1], p.WaitLine(`listening on (\[::1\]:\d+) \(fd=\d+\)$`)[1]
	want := regexp.MustCompile(`^remote address = ` + remote + `\nbuffer size = 16384\nno delay = 0\nnum io threads = 2\nlistening on .*\nlistening on .*\n$`)
	if got := withoutTime(p.Output()); !want.MatchString(got) {
		t.Errorf("the start:\n%s", got)
	}
	for _, addr := range []string{first, second, first} {
		if got, err := through("tcp", addr, "hello"); got != "got hello" || err != nil {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
	}
	for _, thread := range []string{"io-0", "io-1"} {
		fd := p.WaitLine(`\[` + thread + `\] connect client to proxy \S+ -> \S+ \(fd=(\d+)\)$`)[1]
		p.WaitLine(`\[acceptor\] accepted fd ` + fd + `$`)
		route := p.WaitLine(`\[` + thread + `\] connect complete (proxy to remote (127\.0\.0\.1:\d+) -> ` + remote + ` \(fd=\d+\))$`)
		p.WaitLine(`\[` + thread + `\] disconnect ` + regexp.QuoteMeta(route[1]) + `$`)
		p.WaitLine(`\[` + thread + `\] disconnect client to proxy \S+ -> \S+ \(fd=` + fd + `\)$`)
	}
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("after TERM: %v", err)
	}
}

// Acceptance 7: a remote that refuses is told of, the client sees the end, and the next client tries again.
func TestIssue5Line7CproxyRefused(t *testing.T) {
	l := listenLocal(t)
	remote := l.Addr().String()
	l.Close()
	p := sluice(t, roleRelay, "-l", "127.0.0.1:0", "-r", remote)
	addr := p.WaitLine(`listening on (\S+)`)[1]
	for range 2 {
		if got, err := through("tcp", addr, ""); got != "" || err != nil {
			t.Errorf("the client got %q, %v", got, err)
		}
	}
	fd := p.WaitLine(`connect starting proxy to remote \S+ -> ` + remote + ` \(fd=(\d+)\)$`)[1]
	p.WaitLine(`\[io-0\] fd ` + fd + ` errno 111: Connection refused$`)
	testkit.Eventually(t, func() error {
		if n := strings.Count(p.Output(), "errno 111: Connection refused"); n != 2 {
			return fmt.Errorf("%d were tried", n)
		}
		return nil
	})
}

func TestErrnoText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("connect: %w", syscall.ECONNREFUSED), fmt.Sprintf("errno %d: Connection refused", int(syscall.ECONNREFUSED))},
		{os.NewSyscallError("connect", syscall.ENETUNREACH), fmt.Sprintf("errno %d: Network is unreachable", int(syscall.ENETUNREACH))},
		{errors.New("no answer in time"), fmt.Sprintf("errno %d: Connection timed out", int(syscall.ETIMEDOUT))},
	} {
		if got := errnoText(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

// What is broken about standard output holds up nobody, and is told of.
func TestCproxyLogIsLost(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	var stderr bytes.Buffer
	log := newCproxyLog(w, &stderr)
	log.say(threadMain, "a line")
	log.end()
	if !strings.Contains(stderr.String(), "log entries lost") {
		t.Errorf("%q", stderr.String())
	}
}
