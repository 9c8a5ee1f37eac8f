//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testSlowReader has neither side read, and asks the kernel what the relay has taken and not given: with small
// buffers, and with large ones, which are pipes.
func testSlowReader(t *testing.T) {
	for _, size := range []int{4096, 16 << 10, 256 << 10} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			testBlocked(t, size)
		})
	}
}

func testBlocked(t *testing.T, size int) {
	conns, over := make(chan net.Conn, 1), make(chan struct{})
	remote, door := newRemote(t, func(c net.Conn) {
		conns <- c
		<-over
	}), freePort(t)
	t.Cleanup(func() { close(over) })
	p := startCproxy(t, "-l", door, "-r", remote.addr, "-b", strconv.Itoa(size))
	client := call(t, door)
	server := (<-conns).(*net.TCPConn)
	in := socketOf(t, p.PID(), client.RemoteAddr(), client.LocalAddr())
	defer unix.Close(in)
	out := socketOf(t, p.PID(), server.RemoteAddr(), server.LocalAddr())
	defer unix.Close(out)
	sent := map[*net.TCPConn]int{}
	var before [2]int
	testkit.Eventually(t, func() error {
		for _, c := range []*net.TCPConn{client, server} {
			if n := fill(t, c); n > 0 {
				sent[c] += n
				return fmt.Errorf("there was room for %d bytes more", n)
			}
		}
		kept := [2]int{taken(t, in) - given(t, out), taken(t, out) - given(t, in)}
		was := before
		if before = kept; kept != was || kept[0] <= 0 || kept[1] <= 0 {
			return fmt.Errorf("it keeps %v bytes, and kept %v", kept, was)
		}
		return nil
	})
	for i, n := range before {
		if n > size+1 { // the kernel may count the byte that begins a connection
			t.Errorf("direction %d: with -b %d the relay keeps %d bytes", i, size, n)
		}
	}
	if err := server.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[*net.TCPConn]*net.TCPConn{client: server, server: client} {
		if n, err := io.CopyN(io.Discard, to, int64(sent[from])); err != nil {
			t.Errorf("of %d bytes came %d: %v", sent[from], n, err)
		}
	}
}

// fill writes until there is no room.
func fill(t *testing.T, c *net.TCPConn) (total int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	if err := raw.Control(func(fd uintptr) {
		for {
			n, err := unix.Write(int(fd), b)
			if err != nil {
				return
			}
			total += n
		}
	}); err != nil {
		t.Fatal(err)
	}
	return total
}

// taken is how many bytes a process has read from a socket, given how many it has written to it.
func taken(t *testing.T, fd int) int {
	t.Helper()
	return int(connectionInfo(t, fd).Bytes_received) - waitingBytes(t, fd, unix.SIOCINQ)
}

func given(t *testing.T, fd int) int {
	t.Helper()
	return int(connectionInfo(t, fd).Bytes_acked) + waitingBytes(t, fd, unix.SIOCOUTQ)
}

func connectionInfo(t *testing.T, fd int) *unix.TCPInfo {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func waitingBytes(t *testing.T, fd int, queue uint) int {
	t.Helper()
	n, err := unix.IoctlGetInt(fd, queue)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// testEarlyWords has a client say all that it has to say, and end its side, before its remote takes the
// connection.
func testEarlyWords(t *testing.T) {
	const size = 3 << 20
	l := newFullListener(t)
	door := freePort(t)
	r := startRelay(t, relaying(door, ", connect: 50s, within: 55s", "", l.Addr().String()))
	c := call(t, door)
	said := make(chan error, 1)
	go func() {
		err := sends(c, noise(14, 'c'), size)
		if err == nil {
			err = c.CloseWrite()
		}
		said <- err
	}()
	r.eventually(func(st report.Relay) error {
		if len(st.Sessions) != 1 || st.Sessions[0].Remote == "" || st.Totals.Connected != 0 {
			return fmt.Errorf("it does not connect: %+v", st.Sessions)
		}
		return nil
	})
	for range 2 { // who has filled the queue, and the relay
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.RemoteAddr().String() == l.filler.LocalAddr().String() {
			continue
		}
		if err := receives(s, noise(14, 'c'), size); err != nil {
			t.Errorf("the remote: %v", err)
		}
		hearsEnd(t, s, false)
		says(t, s, "an answer")
	}
	hears(t, c, "an answer")
	if err := <-said; err != nil {
		t.Errorf("the client: %v", err)
	}
}

// fullListener is a listening socket at which one more client gets no answer until somebody is accepted.
type fullListener struct {
	*net.TCPListener
	filler *net.TCPConn
}

func newFullListener(t *testing.T) *fullListener {
	t.Helper()
	l, err := net.Listen("tcp", freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), 0) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return &fullListener{l.(*net.TCPListener), call(t, l.Addr().String())}
}

// testIdleCosts: a session that waits has its two sockets, and nothing else, with TLS and without, also after much
// data; when all are over nothing is left.
func testIdleCosts(t *testing.T) {
	const sessions = 100
	ca, remote, plain, hidden := newAuthority(t), newRemote(t, echoes), freePort(t), freePort(t)
	r := startRelay(t, fmt.Sprintf("relay:\n  listeners:\n    plain: {listen: %q, pool: p}\n"+
		"    hidden: {listen: %q, pool: p, tls: {certificates: ['%s key=%s']}}\n  pools: {p: {remotes: %q}}\n",
		plain, hidden, ca.path("server.pem"), ca.path("server.key"), remote.addr))
	doors := []func() net.Conn{
		func() net.Conn { return call(t, plain) },
		func() net.Conn {
			return tls.Client(call(t, hidden), &tls.Config{RootCAs: ca.pool(), ServerName: "localhost"})
		},
	}
	pid := r.proc.PID()
	for _, dial := range doors { // what is made once
		c := dial()
		says(t, c, "x")
		hears(t, c, "x")
		c.Close()
	}
	r.sessionsAre(0)
	none := filesWithout(t, pid, r.admin)
	filesAre := func(n int) {
		t.Helper()
		testkit.Eventually(t, func() error {
			if got := filesWithout(t, pid, r.admin) - none; got != n {
				return fmt.Errorf("%d descriptors more than with no session, want %d", got, n)
			}
			return nil
		})
	}
	routines := r.metrics()["go_goroutines"]
	var all []net.Conn
	for i, dial := range doors {
		for range sessions {
			c := dial()
			says(t, c, "x")
			hears(t, c, "x")
			all = append(all, c)
		}
		filesAre(2 * sessions * (i + 1))
		if now := r.metrics()["go_goroutines"]; i == 0 && now > routines+5 {
			t.Errorf("%d sessions without TLS have made %v goroutines of %v", sessions, now, routines)
		}
	}
	spliced := all[0]
	done := make(chan error, 1)
	go func() { done <- sends(spliced, noise(15, 'c'), 30<<20) }()
	if err := errors.Join(receives(spliced, noise(15, 'c'), 30<<20), <-done); err != nil {
		t.Fatal(err)
	}
	if st := r.status(); st.Totals.Spliced == 0 {
		t.Error("nothing was spliced")
	}
	filesAre(4 * sessions)
	for _, c := range all {
		c.Close()
	}
	r.sessionsAre(0)
	filesAre(0)
}

// filesWithout is how many descriptors a process has, without connections at one of its ports.
func filesWithout(t *testing.T, pid int, port string) (n int) {
	t.Helper()
	eachDescriptor(t, pid, func(fd int) bool {
		own, _ := unix.Getsockname(fd)
		if _, err := unix.Getpeername(fd); err != nil || plainAddr(own) != port {
			n++
		}
		return false
	})
	return n
}

// waitingLine is what the log says of clients for whom there are no descriptors.
var waitingLine = regexp.MustCompile(`(?m)^time=(\S+) level=ERROR msg="clients wait: cannot accept".*ulimit -n.*$`)

// testNoDescriptors: beyond its descriptors a relay lets clients wait, says so once a second, does nothing else,
// and serves them when there is room.
func testNoDescriptors(t *testing.T) {
	const fit, beyond = 5, 30
	remote, door := newRemote(t, echoes), freePort(t)
	r := startRelay(t, relaying(door, "", "", remote.addr))
	says(t, call(t, door), "what is made once")
	r.sessionsAre(1)
	pid := r.proc.PID()
	http.DefaultClient.CloseIdleConnections() // each has a descriptor, which would be free when it ends
	testkit.Eventually(t, func() error {
		if all, others := openFiles(t, pid), filesWithout(t, pid, r.admin); all != others {
			return fmt.Errorf("%d connections at the admin port", all-others)
		}
		return nil
	})
	limit := limitWithRoom(t, pid, 2*fit)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
		t.Fatal(err)
	}
	var all []*net.TCPConn
	for i := range fit + beyond {
		c := call(t, door)
		says(t, c, "x")
		if i < fit {
			hears(t, c, "x")
		}
		all = append(all, c)
	}
	waits := func(n int) [][]string {
		t.Helper()
		testkit.Eventually(t, func() error {
			if lines := waitingLine.FindAllString(r.proc.Output(), -1); len(lines) < n {
				return fmt.Errorf("%d lines say that clients wait, want %d", len(lines), n)
			}
			return nil
		})
		return waitingLine.FindAllStringSubmatch(r.proc.Output(), -1)
	}
	waits(1)
	begun, before := time.Now(), cpuTime(t, pid)
	lines := waits(3)
	if took, used := time.Since(begun), cpuTime(t, pid)-before; used > took/10 {
		t.Errorf("in %v in which clients wait it has used a CPU for %v", took, used)
	}
	var last time.Time
	for _, line := range lines {
		at, err := time.Parse(time.RFC3339Nano, line[1])
		if err != nil {
			t.Fatal(err)
		}
		if gap := at.Sub(last); gap < 999*time.Millisecond {
			t.Errorf("%v are between two lines, want a second: %s", gap, line[0])
		}
		last = at
	}
	for i, c := range all {
		if i >= fit {
			hears(t, c, "x")
		}
		c.Close()
	}
	r.eventually(func(st report.Relay) error {
		if st.Totals.Connected != 1+fit+beyond || st.Totals.AcceptErrors < 3 {
			return fmt.Errorf("%d were connected and %d times nobody could be accepted; want %d, and some", st.Totals.Connected, st.Totals.AcceptErrors, 1+fit+beyond)
		}
		return nil
	})
}

// limitWithRoom is the limit with which a process can have so many descriptors more.
func limitWithRoom(t *testing.T, pid, more int) (limit uint64) {
	t.Helper()
	for free := 0; free < more; limit++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, limit)); err != nil {
			free++
		}
	}
	return limit
}

// testConnectTime: a remote that says nothing is given up, after 5 s if nothing else was ordered, and the next
// one is tried.
func testConnectTime(t *testing.T) {
	for order, least := range map[string]time.Duration{"": 5 * time.Second, ", connect: 300ms": 300 * time.Millisecond} {
		t.Run("connect"+strings.TrimPrefix(order, ", connect"), func(t *testing.T) {
			t.Parallel()
			hole, good, door := newHole(t), newRemote(t, echoesAs("good")), freePort(t)
			r := startRelay(t, relaying(door, order, "", hole, good.addr))
			c := call(t, door)
			hears(t, c, "good\n")
			c.Close()
			e := r.session("remote", good.addr)
			if total, err := time.ParseDuration(e["total"] + "s"); err != nil || total < least {
				t.Errorf("it has taken %s s, want %v at least", e["total"], least)
			}
			found, err := remoteNamed(r.status(), hole)
			if err != nil || found.Failures != 1 || !strings.Contains(found.LastError, "no answer in time") {
				t.Errorf("the remote that says nothing is %+v, %v", found, err)
			}
			if st := r.status(); st.Totals.ConnectFails != 1 || st.Totals.Connected != 1 {
				t.Errorf("%d failures and %d connections, want one each", st.Totals.ConnectFails, st.Totals.Connected)
			}
		})
	}
	t.Run("cproxy", func(t *testing.T) {
		t.Parallel()
		hole, door := newHole(t), freePort(t)
		p := startCproxy(t, "-l", door, "-r", hole)
		begun := time.Now()
		hearsEnd(t, call(t, door), false)
		if took := time.Since(begun); took < 5*time.Second {
			t.Errorf("the remote was given up after %v, want 5 s", took)
		}
		p.WaitLine(`\[io-0\] fd \d+ errno 110: Connection timed out$`)
	})
}

// testSpliceAndBack has sessions at which much data and small pieces take turns: much is spliced, the pieces are
// copied, and all is what was sent. The program under test looks for races.
func testSpliceAndBack(t *testing.T) {
	const bulk, pieces, length = 8 << 20, 50, 700
	remote, door := newRemote(t, echoes), freePort(t)
	r := startRelay(t, strings.Replace(relaying(door, "", "", remote.addr), "relay:\n", "relay:\n  threads: 2\n", 1))
	clients := []*net.TCPConn{call(t, door), call(t, door), call(t, door)}
	for round := range byte(5) {
		before := r.status().Totals
		done := make(chan error, 2*len(clients))
		for i, c := range clients {
			go func() { done <- sends(c, noise(byte(i), round), bulk) }()
			go func() { done <- receives(c, noise(byte(i), round), bulk) }()
		}
		for range 2 * len(clients) {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		after := r.status().Totals
		if n := after.Spliced - before.Spliced; n == 0 {
			t.Errorf("round %d: of %d bytes each way none were spliced", round, bulk*len(clients))
		}
		for i, c := range clients {
			for n := range pieces {
				text := strings.Repeat(string(rune('a'+(i+n)%26)), length)
				says(t, c, text)
				hears(t, c, text)
			}
		}
		want := uint64(len(clients) * 2 * (pieces - 1) * length) // the first one finds that it is small
		r.eventually(func(st report.Relay) error {
			if n := st.Totals.Copied - after.Copied; n < want {
				return fmt.Errorf("round %d: of small pieces %d bytes were copied, want %d at least", round, n, want)
			}
			return nil
		})
	}
}
