//go:build e2e && linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// cproxyUsage is what cproxy says of itself, letter by letter.
const cproxyUsage = "Usage:\n" +
	"  cproxy -l <local addr>:<local port> [-l <local addr>:<local port>...] \n" +
	"         -r <remote addr>:<remote port> [-b <buf size>] [-n] [-t <num io threads>]\n" +
	"Arguments:\n" +
	"  -l <local addr>:<local port>: specify listen address and port\n" +
	"  -r <remote addr>:<remote port>: specify remote address and port\n" +
	"  -b <buf size>: specify session buffer size in bytes\n" +
	"  -n: enable TCP no delay\n" +
	"  -t: <num io threads>: specify number of I/O threads\n"

// cproxyTime is the head of a line of cproxy without the thread.
const cproxyTime = `\d{4}-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d\d \d\d:\d\d:\d\d\.\d{6} `

// asCproxy is a link to the program under test by that name.
func asCproxy(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "cproxy")
	if err := os.Symlink(program(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// cproxyEnds runs a command line that ends by itself; nothing but 1 is its exit code.
func cproxyEnds(t *testing.T, link, args string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, code := output(link, strings.Fields(args)...)
	if code != 1 {
		t.Errorf("cproxy %s: exit %d, want 1", args, code)
	}
	return stdout, stderr
}

// cproxyComplains wants one line of the main thread on standard output, and nothing else.
func cproxyComplains(t *testing.T, link, args, want string) {
	t.Helper()
	stdout, stderr := cproxyEnds(t, link, args)
	if !regexp.MustCompile(`^`+cproxyTime+`\[main\] `+want+`\n$`).MatchString(stdout) || stderr != "" {
		t.Errorf("cproxy %s said %q, and as errors %q; want %s", args, stdout, stderr, want)
	}
}

// testCproxyRelays has curl fetch from a web server through each address of a relay, by both its names.
func testCproxyRelays(t *testing.T) {
	testkit.Need(t, "curl", "python3")
	dir, web := t.TempDir(), freePort(t)
	put(t, filepath.Join(dir, "page"), "through the relay\n")
	host, port, _ := net.SplitHostPort(web)
	startStopped(t, "python3", "-m", "http.server", "--directory", dir, "--bind", host, port)
	listening(t, web)
	_, six, _ := net.SplitHostPort(freePort(t))
	for name, start := range map[string]func(...string) *testkit.Proc{
		"sluice relay": func(args ...string) *testkit.Proc { return startCproxy(t, args...) },
		"cproxy":       func(args ...string) *testkit.Proc { return startStopped(t, asCproxy(t), args...) },
	} {
		doors := []string{freePort(t), freePort(t), "[::1]:" + six}
		p := start("-l", doors[0], "-l", doors[1], "-l", doors[2], "-r", web)
		for _, door := range doors {
			p.WaitLine(`listening on ` + regexp.QuoteMeta(door) + ` \(fd=\d+\)$`)
			if code, body := curl(t, "http://"+door+"/page"); code != 200 || body != "through the relay\n" {
				t.Errorf("%s: %s answers %d %q", name, door, code, body)
			}
		}
		p.Signal(syscall.SIGTERM)
		if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "terminated") {
			t.Errorf("%s after TERM: %v, want that the signal ends it", name, err)
		}
	}
}

// listening waits until somebody listens at an address.
func listening(t *testing.T, addr string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// testCproxyUsage: what is not understood is answered by the usage.
func testCproxyUsage(t *testing.T) {
	link, listens, relays := asCproxy(t), "-l "+freePort(t), "-r "+freePort(t)
	for args, said := range map[string]string{
		"":                                    "",
		listens:                               "",
		relays:                                "",
		listens + " " + relays + " " + relays: "",
		listens + " -x " + relays:             "cproxy: invalid option -- 'x'\n",
		listens + " -h":                       "cproxy: invalid option -- 'h'\n",
		relays + " -l":                        "cproxy: option requires an argument -- 'l'\n",
	} {
		if stdout, stderr := cproxyEnds(t, link, args); stdout != cproxyUsage || stderr != said {
			t.Errorf("cproxy %s said %q, and as errors %q; want the usage and %q", args, stdout, stderr, said)
		}
	}
	if stdout, _, code := output(program(), "relay", "-l", freePort(t)); code != 1 || stdout != cproxyUsage {
		t.Errorf("sluice relay -l: exit %d, %q; want 1 and the usage", code, stdout)
	}
}

// testCproxyNumbers: numbers are as atoi(3) reads them, and above 0.
func testCproxyNumbers(t *testing.T) {
	link, ways := asCproxy(t), "-l "+freePort(t)+" -r "+freePort(t)
	for args, want := range map[string]string{
		"-b 0": "invalid buffer size 0", "-b x": "invalid buffer size x", "-b -7": "invalid buffer size -7",
		"-t 0": "invalid num io threads 0", "-tx": "invalid num io threads x", "-n -t -1": "invalid num io threads -1",
	} {
		cproxyComplains(t, link, args+" "+ways, want)
	}
	p := startCproxy(t, append(strings.Fields(ways), "-b", "16k", "-t2x")...)
	p.WaitLine(`\[main\] buffer size = 16$`)
	p.WaitLine(`\[main\] num io threads = 2$`)
}

// testCproxyAddresses: an address has both its parts; IPv6 may stand in brackets.
func testCproxyAddresses(t *testing.T) {
	link, remote := asCproxy(t), newRemote(t, echoesAs("in"))
	for _, bad := range []string{"x", ":80", "h:", ":"} {
		want := regexp.QuoteMeta("invalid address:port argument: '" + bad + "'")
		cproxyComplains(t, link, "-l "+bad+" -r "+remote.addr, want)
		cproxyComplains(t, link, "-r "+bad+" -l "+remote.addr, want)
	}
	_, port, _ := net.SplitHostPort(freePort(t))
	_, other, _ := net.SplitHostPort(freePort(t))
	p := startStopped(t, link, "-l", "[::1]:"+port, "-l", "::1:"+other, "-r", remote.addr)
	for _, door := range []string{"[::1]:" + port, "[::1]:" + other} {
		p.WaitLine(`listening on ` + regexp.QuoteMeta(door) + ` \(fd=\d+\)$`)
		hears(t, call(t, door), "in\n")
	}
}

// testCproxyCannotStart: a host that has no address, a service that has no port, and an address that is taken.
func testCproxyCannotStart(t *testing.T) {
	link, free, taken := asCproxy(t), freePort(t), newRemote(t, mute).addr
	for _, host := range []string{"host.invalid:80", "127.0.0.1:nosuchservice", "127.0.0.1:70000"} {
		want := `error resolving address ` + regexp.QuoteMeta(host) + ` (Name or service not known|Temporary failure in name resolution|Servname not supported for ai_socktype)`
		cproxyComplains(t, link, "-l "+host+" -r "+free, want)
		cproxyComplains(t, link, "-l "+free+" -r "+host, want)
	}
	stdout, stderr := cproxyEnds(t, link, "-l "+free+" -l "+taken+" -r "+free)
	want := cproxyTime + `\[main\] bind error on server socket ` + regexp.QuoteMeta(taken) + `\n$`
	if !regexp.MustCompile(want).MatchString(stdout) || stderr != "" {
		t.Errorf("said %q, and as errors %q; want %s", stdout, stderr, want)
	}
	refuses(t, free)
}

// testCproxyStart has the whole of what is said at the start, with options and without; standard error stays
// empty.
func testCproxyStart(t *testing.T) {
	for options, said := range map[string][3]int{"": {16384, 0, 1}, "-b 65536 -n -t 2 ignored": {65536, 1, 2}} {
		one, two, remote := freePort(t), freePort(t), freePort(t)
		var stdout, stderr strings.Builder // read after the end
		cmd := exec.Command(asCproxy(t), append(strings.Fields(options), "-l", one, "-r", remote, "-l", two)...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		p := testkit.StartCommand(t, cmd)
		p.WaitLine(`listening on ` + two)
		p.Signal(syscall.SIGINT)
		if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "interrupt") {
			t.Errorf("after INT: %v, want that the signal ends it", err)
		}
		var want strings.Builder
		for _, line := range []string{
			"remote address = " + remote, fmt.Sprintf("buffer size = %d", said[0]), fmt.Sprintf("no delay = %d", said[1]),
			fmt.Sprintf("num io threads = %d", said[2]), "listening on " + one + ` \(fd=\d+\)`, "listening on " + two + ` \(fd=\d+\)`,
		} {
			want.WriteString(cproxyTime + `\[main\] ` + line + `\n`)
		}
		if !regexp.MustCompile(`^`+want.String()+`$`).MatchString(stdout.String()) || stderr.Len() > 0 {
			t.Errorf("cproxy %s said %q, and as errors %q", options, stdout.String(), stderr.String())
		}
	}
}

// testCproxyTells: each turn of a session is a line with both addresses of its connections.
func testCproxyTells(t *testing.T) {
	peers := make(chan string, 1)
	remote, door := newRemote(t, func(c net.Conn) {
		peers <- c.RemoteAddr().String()
		echoes(c)
	}), freePort(t)
	p := startCproxy(t, "-l", door, "-r", remote.addr)
	c := call(t, door)
	says(t, c, "x")
	hears(t, c, "x")
	c.Close()
	in, out := fmt.Sprintf("client to proxy %s -> %s", c.LocalAddr(), door), fmt.Sprintf("proxy to remote %s -> %s", <-peers, remote.addr)
	fd := p.WaitLine(`\[acceptor\] accepted fd (\d+)$`)[1]
	p.WaitLine(`\[io-0\] disconnect ` + in + ` \(fd=` + fd + `\)$`)
	turns := regexp.MustCompile(cproxyTime + `\[acceptor\] accepted fd ` + fd + `\n` +
		cproxyTime + `\[io-0\] connect ` + in + ` \(fd=` + fd + `\)\n` +
		cproxyTime + `\[io-0\] connect complete ` + out + ` \(fd=(\d+)\)\n` +
		cproxyTime + `\[io-0\] disconnect ` + out + ` \(fd=(\d+)\)\n` +
		cproxyTime + `\[io-0\] disconnect ` + in + ` \(fd=` + fd + `\)\n$`)
	if m := turns.FindStringSubmatch(p.Output()); m == nil || m[1] != m[2] || m[1] == fd {
		t.Errorf("the turns of a session are not those of %s and %s:\n%s", in, out, p.Output())
	}
	testCproxyRefused(t)
}

// testCproxyRefused: nobody listens at the remote; each client sees that at once, and the next one tries again.
func testCproxyRefused(t *testing.T) {
	remote, door := freePort(t), freePort(t)
	p := startCproxy(t, "-l", door, "-r", remote)
	for range 3 {
		hearsEnd(t, call(t, door), false)
	}
	fd := p.WaitLine(`\[io-0\] connect starting proxy to remote 0\.0\.0\.0:0 -> ` + remote + ` \(fd=(\d+)\)$`)[1]
	p.WaitLine(`\[io-0\] fd ` + fd + ` errno 111: Connection refused$`)
	p.WaitLine(`\[io-0\] disconnect proxy to remote 0\.0\.0\.0:0 -> ` + remote + ` \(fd=` + fd + `\)$`)
	back := newRemoteAt(t, "tcp", remote, echoesAs("back"))
	hears(t, call(t, door), "back\n")
	p.WaitLine(`\[io-0\] connect complete proxy to remote \S+ -> ` + remote) // the lines are in the order of what happened
	if n := strings.Count(p.Output(), "errno 111: Connection refused\n"); n != 3 {
		t.Errorf("three clients were refused, and it says so %d times:\n%s", n, p.Output())
	}
	if n := back.calls.Load(); n != 1 {
		t.Errorf("one client came when the remote was back, and it was called %d times", n)
	}
}

// testCproxyNoDelay asks the kernel of both sockets of a session.
func testCproxyNoDelay(t *testing.T) {
	for option, want := range map[string]int{"": 0, "-n": 1} {
		peers := make(chan net.Addr, 1)
		remote, door := newRemote(t, func(c net.Conn) {
			peers <- c.RemoteAddr()
			echoes(c)
		}), freePort(t)
		p := startCproxy(t, append(strings.Fields(option), "-l", door, "-r", remote.addr)...)
		c := call(t, door)
		says(t, c, "x")
		hears(t, c, "x")
		in := socketOption(t, p.PID(), c.RemoteAddr(), c.LocalAddr(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
		out := socketOption(t, p.PID(), <-peers, remote.l.Addr(), unix.IPPROTO_TCP, unix.TCP_NODELAY)
		if in != want || out != want {
			t.Errorf("with %q TCP_NODELAY is %d towards the client and %d towards the remote, want %d", option, in, out, want)
		}
	}
}

// testCproxyThreads: so many threads wait for events as were ordered, and each session is the next one's.
func testCproxyThreads(t *testing.T) {
	remote := newRemote(t, echoes)
	waiting := map[int]int{}
	for _, threads := range []int{1, 3} {
		door := freePort(t)
		p := startCproxy(t, "-l", door, "-r", remote.addr, "-t", fmt.Sprint(threads))
		for i := range 4 * threads {
			c := call(t, door)
			says(t, c, "x")
			hears(t, c, "x")
			p.WaitLine(fmt.Sprintf(`\[io-%d\] connect client to proxy %s -> `, i%threads, c.LocalAddr()))
		}
		for _, what := range descriptors(t, p.PID()) {
			if what == "anon_inode:[eventpoll]" {
				waiting[threads]++
			}
		}
	}
	if waiting[3] != waiting[1]+2 {
		t.Errorf("one thread has %d sets of events, three have %d", waiting[1], waiting[3])
	}
}
