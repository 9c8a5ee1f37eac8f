//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// testTcprelayRules has clients of several addresses at listeners with rules: the first that fits
// counts, and if none does the client is closed.
func testTcprelayRules(t *testing.T) {
	for _, c := range []struct{ rules, in, out string }{
		{"", "127.0.0.1 127.0.0.9 ::1", ""},
		{"permit 127.0.0.2 deny 127.0.0.0/8 permit ::1", "127.0.0.2 ::1", "127.0.0.1 127.0.0.3"},
		{"deny 127.0.0.2 permit 127.0.0.0/8", "127.0.0.1 127.0.0.3", "127.0.0.2 ::1"},
		{"permit 127.0.0.0/8 deny 127.0.0.2", "127.0.0.1 127.0.0.2", "::1"},
		{"deny not 127.0.0.0/30 permit 0.0.0.0/0", "127.0.0.1 127.0.0.3", "127.0.0.4 ::1"},
		{"permit not ::/0", "127.0.0.1", "::1"},
		{"deny 192.0.2.0/24", "", "127.0.0.1 ::1"},
		{"acl reject 127.0.0.0/255.255.255.252 acl accept ::/0 acl accept 127.0.0.0/8", "127.0.0.4 ::1", "127.0.0.3"},
	} {
		t.Run(c.rules, func(t *testing.T) {
			t.Parallel()
			to := newRemote(t, echoesAs("in"))
			_, port, _ := net.SplitHostPort(freePort(t))
			p := startTcprelay(t, tcprelayFile("listen = { port = "+port+" }\n"+c.rules, tcprelayRemote(to.addr)))
			for _, from := range strings.Fields(c.in) {
				client := callFrom(t, from, net.JoinHostPort(loopback(from), port))
				if line := hearsLine(t, client); line != "in" {
					t.Errorf("%s hears %q", from, line)
				}
				client.Close()
			}
			calls := to.calls.Load()
			for _, from := range strings.Fields(c.out) {
				hearsEnd(t, callFrom(t, from, net.JoinHostPort(loopback(from), port)), false)
			}
			stopNow(t, p, syscall.SIGTERM)
			if to.calls.Load() != calls {
				t.Error("the remote was called for one who is closed")
			}
		})
	}
}

// loopback is the address of this machine that is of the same kind.
func loopback(like string) string {
	if strings.Contains(like, ":") {
		return "::1"
	}
	return "127.0.0.1"
}

// testTcprelayListen has one listener for each thing that can be said of one.
func testTcprelayListen(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.NeedUsers(t)
	hosts, to := testkit.TwoHosts(t), newRemote(t, echoesAs("in"))
	number := func(addr string) string { _, port, _ := net.SplitHostPort(addr); return port }
	one, six, named, marked, bound, held := freePort(t), freePort(t), freePort(t), freePort(t), freePort(t), freePort(t)
	dir := shortDir(t)
	path := filepath.Join(dir, "x.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	holder, err := net.Listen("tcp", held)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()

	p := startTcprelay(t, tcprelayFile(`
		tcp keepalive idle = 61
		tcp keepalive count = 4
		listen = { address = 127.0.0.1 port = `+number(one)+` backlog = 7 tcp keepalive interval = 11 tcp keepalive count = 3 }
		listen = { address = ::1 port = `+number(six)+` }
		listen = { address = localhost port = `+number(named)+` }
		listen = { address = 127.0.0.26 port = telnet }
		listen = { path = `+path+` mode = 640 userid = nobody groupid = nogroup }
		listen = { address = 127.0.0.1 port = `+number(marked)+` dscp = 46 }
		listen = { port = `+number(bound)+` vrf = `+hosts.Here.Interface+` }
		listen = { address = 127.0.0.1 port = `+number(held)+` bind retry delay = 1 }
	`, tcprelayRemote(to.addr)))
	worker := workerOf(t, p.PID())
	wantIn := func(c net.Conn) {
		t.Helper()
		if line := hearsLine(t, c); line != "in" {
			t.Errorf("from %s: %q", c.RemoteAddr(), line)
		}
	}
	for _, addr := range []string{one, "[::1]:" + number(six), named, "127.0.0.26:telnet", marked} {
		wantIn(call(t, addr))
	}
	for _, addr := range []string{"127.0.0.2:" + number(one), "127.0.0.1:" + number(six), "127.0.0.1:telnet", bound} {
		refuses(t, addr)
	}

	// What only the kernel knows.
	if got := queueOf(t, one); got != "7" {
		t.Errorf("backlog = 7 is %s", got)
	}
	option := func(c *net.TCPConn, level, opt int) int {
		return socketOption(t, worker, c.RemoteAddr(), c.LocalAddr(), level, opt)
	}
	for addr, want := range map[string][5]int{one: {1, 61, 11, 3, 0}, marked: {1, 61, kernelDefault(t, "tcp_keepalive_intvl"), 4, 46 << 2}} {
		c := call(t, addr)
		wantIn(c)
		got := [5]int{
			option(c, unix.SOL_SOCKET, unix.SO_KEEPALIVE), option(c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), option(c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL),
			option(c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT), option(c, unix.IPPROTO_IP, unix.IP_TOS),
		}
		if got != want {
			t.Errorf("%s: keepalive with idle, interval and count, and the mark: %v, want %v", addr, got, want)
		}
	}

	// A socket with a file, in the place of one that nobody listens at.
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantIn(c)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if info.Mode() != fs.ModeSocket|0o640 || owner.Uid != 65534 || owner.Gid != 65534 {
		t.Errorf("%s is %v of %d:%d", path, info.Mode(), owner.Uid, owner.Gid)
	}

	// One that is bound to the cable.
	var there *net.TCPConn
	hosts.Do(t, func() { there, err = tryCall("", net.JoinHostPort(hosts.Here.V4.String(), number(bound))) })
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	wantIn(there)

	// One whose address becomes free.
	p.WaitLine(fmt.Sprintf(`bind to \[127\.0\.0\.1\]:%s failed\. Will retry every 1 seconds\.`, number(held)))
	holder.Close()
	p.WaitLine(`"?listener up"? .*listen=` + held)
	wantIn(call(t, held))
	if n := strings.Count(p.Output(), "Will retry"); n != 1 {
		t.Errorf("it is told %d times that a bind is tried again:\n%s", n, p.Output())
	}
	stopNow(t, p, syscall.SIGTERM)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", path, err)
	}
	testTcprelayTaken(t)
}

// testTcprelayTaken has an address that cannot be had.
func testTcprelayTaken(t *testing.T) {
	t.Helper()
	holder := newRemote(t, mute)
	file := put(t, filepath.Join(t.TempDir(), "t.cfg"), tcprelayFile(tcprelayListen(holder.addr), aRemote))
	stdout, stderr, code := output(program(), "tcprelay", "-f", file)
	if code != 75 || stdout != "" || !strings.Contains(stderr, holder.addr) || !strings.HasSuffix(stderr, "\nFailed to bind to any address or port. Exiting.\n") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// refuses wants that nobody listens at an address.
func refuses(t *testing.T, addr string) {
	t.Helper()
	if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s is not refused: %v", addr, err)
		if err == nil {
			c.Close()
		}
	}
}

// kernelDefault is a number of /proc/sys/net/ipv4.
func kernelDefault(t *testing.T, name string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(readFile(t, "/proc/sys/net/ipv4/"+name), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// testTcprelayUsers has more clients than users max times instances max, with each overload.
func testTcprelayUsers(t *testing.T) {
	for how, doing := range map[string]string{"queue": "queueing", "close": "closing", "reset": "resetting"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var now, most atomic.Int64
			to := newRemote(t, func(c net.Conn) {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				echoesAs("in")(c)
				now.Add(-1)
			})
			door := freePort(t)
			p := startTcprelay(t, tcprelayFile(
				tcprelayListen(door)+"overload = "+how+"\nspawn = { users max = 1 instances max = 2 }", tcprelayRemote(to.addr)))
			held := []*net.TCPConn{call(t, door), call(t, door)}
			for _, c := range held {
				hears(t, c, "in\n")
			}
			if how != "close" {
				p.WaitLine(`"limit of 2 concurrent users reached, ` + doing + ` new connections"`)
			}
			switch how {
			case "queue":
				beyondQueues(t, door, held)
			case "close":
				hearsEnd(t, call(t, door), false)
				p.WaitLine(`"limit of 2 concurrent users reached, ` + doing + ` new connections"`)
				held[0].Close()
			case "reset":
				testkit.Eventually(t, func() error {
					c, err := tryCall("", door)
					if errors.Is(err, syscall.ECONNREFUSED) {
						return nil
					}
					if err == nil {
						c.Close()
					}
					return fmt.Errorf("the third is not refused: %w", err)
				})
				held[0].Close()
			}
			p.WaitLine(`"resuming normal operation"`)
			testkit.Eventually(t, func() error { return greeted(door) })
			if n := most.Load(); n != 2 {
				t.Errorf("%d clients at once, want 2 at most", n)
			}
		})
	}
}

// beyondQueues has more clients than there is room for; each is served when another has left.
func beyondQueues(t *testing.T, door string, held []*net.TCPConn) {
	t.Helper()
	served := make(chan error)
	for range 5 {
		c := call(t, door)
		says(t, c, "early")
		go func() {
			_, err := io.ReadFull(c, make([]byte, len("in\nearly")))
			c.Close()
			served <- err
		}()
	}
	for _, c := range held {
		c.Close()
	}
	for range 5 {
		if err := <-served; err != nil {
			t.Errorf("one that has waited: %v", err)
		}
	}
}

// greeted says why there is no greeting for a client.
func greeted(door string) error {
	c, err := tryCall("", door)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	return err
}
