//go:build e2e && linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/testkit"
)

// heldBy has n clients come one after the other and stay, and returns the names of the remotes that they got.
func heldBy(t *testing.T, door string, n int) (names string, clients []net.Conn) {
	t.Helper()
	for range n {
		c := call(t, door)
		names += hearsLine(t, c)
		clients = append(clients, c)
	}
	return names, clients
}

// names are those of the remotes that n clients got who left again at once.
func names(t *testing.T, door string, n int) (all string) {
	t.Helper()
	for range n {
		c := call(t, door)
		all += hearsLine(t, c)
		c.Close()
	}
	return all
}

// testTcprelayWeights: sessions for weight count, and only those that are.
func testTcprelayWeights(t *testing.T) {
	a, b, door := newRemote(t, echoesAs("A")), newRemote(t, echoesAs("B")), freePort(t)
	startTcprelay(t, tcprelayFile(tcprelayListen(door), tcprelayRemote(a.addr)+tcprelayRemote(b.addr, "weight = 3")))
	got, held := heldBy(t, door, 8)
	if got != "ABBBABBB" {
		t.Errorf("eight clients got %s, want ABBBABBB", got)
	}
	testkit.Eventually(t, func() error { // until it knows that those have gone
		for _, c := range held {
			c.Close()
		}
		if got, held = heldBy(t, door, 8); got != "ABBBABBB" {
			return fmt.Errorf("eight more clients got %s, want ABBBABBB", got)
		}
		return nil
	})
}

// testTcprelayTies: of equals the first in the file, and weights below 1 are 1.
func testTcprelayTies(t *testing.T) {
	var remotes strings.Builder
	for i, weight := range []string{"", "weight = 0", "weight = -7", "weight = 1"} {
		remotes.WriteString(tcprelayRemote(newRemote(t, echoesAs(string(rune('A'+i)))).addr, weight))
	}
	door := freePort(t)
	startTcprelay(t, tcprelayFile(tcprelayListen(door), remotes.String()))
	if got, _ := heldBy(t, door, 8); got != "ABCDABCD" {
		t.Errorf("the clients got %s, want ABCDABCD", got)
	}
}

// testTcprelayOneDown has each place in the file be the one of a remote at which nobody listens. It is
// tried once, by a client who gets another one; the native relay counts that.
func testTcprelayOneDown(t *testing.T) {
	for at, want := range []string{"BCBCBC", "ACACAC", "ABABAB"} {
		var remotes strings.Builder
		for i, name := range []string{"A", "B", "C"} {
			r := newRemote(t, echoesAs(name))
			if i == at {
				r.close()
			}
			remotes.WriteString(tcprelayRemote(r.addr))
		}
		door := freePort(t)
		p := startTcprelay(t, tcprelayFile(tcprelayListen(door), "idle timeout = 4\n"+remotes.String()))
		pid := workerOf(t, p.PID())
		got, held := heldBy(t, door, len(want))
		if got != want {
			t.Errorf("remote %d of 3 is down: the clients got %s, want %s", at+1, got, want)
		}
		says(t, held[0], "on and on")
		hears(t, held[0], "on and on")
		idleUntilEnd(t, pid, held[0])
	}
	testOneDownIsTriedOnce(t)
}

func testOneDownIsTriedOnce(t *testing.T) {
	up, down, door := newRemote(t, echoesAs("up")), freePort(t), freePort(t)
	r := startRelay(t, relaying(door, "", ", eject: {for: 1h, max: 1h}", down, up.addr))
	const clients = 50
	for range clients {
		hears(t, call(t, door), "up\n")
	}
	if found, err := remoteNamed(r.status(), down); err != nil || found.Failures != 1 || !found.Ejected {
		t.Errorf("%d clients, and the remote is %+v, %v; want one failure", clients, found, err)
	}
	if st := r.status(); st.Totals.ConnectFails != 1 || st.Totals.Connected != clients {
		t.Errorf("%d connections, %d failures; want %d and 1", st.Totals.Connected, st.Totals.ConnectFails, clients)
	}
}

// cpuTime is how long a process has had a CPU until now, all its threads together.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	const ofProcess = 2 // CPUCLOCK_SCHED of all threads; the number is what clock_getcpuclockid makes of a pid
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|ofProcess), &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// idleUntilEnd wants a process to need next to no CPU until it ends a session for its quiet, which takes a
// second. How busy the machine is makes the wait longer, and nothing else.
func idleUntilEnd(t *testing.T, pid int, c net.Conn) {
	t.Helper()
	begun, before := time.Now(), cpuTime(t, pid)
	hearsEnd(t, c, false)
	took, used := time.Since(begun), cpuTime(t, pid)-before
	if used > took/20 {
		t.Errorf("in %v in which nothing was to do it has used a CPU for %v", took, used)
	}
}

// testTcprelayTriesAgain is line 35 by its parts.
func testTcprelayTriesAgain(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"a single one": testSingleComesBack, "probe": testOneOfTwoComesBack, "rebalance": testRebalance,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// testSingleComesBack: who comes when it is there again is served, however long it was away.
func testSingleComesBack(t *testing.T) {
	at, door := freePort(t), freePort(t)
	p := startTcprelay(t, tcprelayFile(tcprelayListen(door), tcprelayRemote(at)))
	for range 2 {
		for range 7 { // the next time is a minute away then
			turnedAway(t, door)
		}
		p.WaitLine(`msg="all remotes of a pool are down"`)
		back := newRemoteAt(t, "tcp", at, echoesAs("A"))
		hears(t, call(t, door), "A\n")
		back.close()
	}
}

// testOneOfTwoComesBack: the others serve while it is away; then it gets its share again.
func testOneOfTwoComesBack(t *testing.T) {
	a, b, door := newRemote(t, echoesAs("A")), newRemote(t, echoesAs("B")), freePort(t)
	p := startTcprelay(t, tcprelayFile(tcprelayListen(door), tcprelayRemote(a.addr)+tcprelayRemote(b.addr)))
	hears(t, call(t, door), "A\n")
	a.close()
	if got, _ := heldBy(t, door, 4); got != "BBBB" {
		t.Errorf("A is down, and clients got %s", got)
	}
	newRemoteAt(t, "tcp", a.addr, echoesAs("A"))
	testkit.Eventually(t, func() error {
		if got := names(t, door, 1); got != "A" {
			return fmt.Errorf("a client got %s; four are at B and none at A", got)
		}
		return nil
	})
	p.WaitLine(`msg="remote no longer ejected".* remote=` + a.addr)
	if got, _ := heldBy(t, door, 4); got != "AAAA" {
		t.Errorf("B has four clients, A is back, and the next ones got %s", got)
	}
}

// testRebalance: after so many choices all count as good. By time alone a remote that has failed
// so often would be tried again after a minute.
func testRebalance(t *testing.T) {
	const choices = 5
	at, b, door := freePort(t), newRemote(t, echoesAs("B")), freePort(t)
	startTcprelay(t, tcprelayFile(tcprelayListen(door), fmt.Sprintf("rebalance = %d\n", choices)+tcprelayRemote(at)+tcprelayRemote(b.addr)))
	for range 10 * choices {
		hears(t, call(t, door), "B\n")
	}
	newRemoteAt(t, "tcp", at, echoesAs("A"))
	if got, _ := heldBy(t, door, choices+1); !strings.Contains(got, "A") {
		t.Errorf("%d clients got %s; want one of them to get A", choices+1, got)
	}
}

// newHole is an address where a connection is never answered: somebody listens, but its queue is full.
func newHole(t *testing.T) (addr string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	addr = freePort(t)
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil { // there is room for one
		t.Fatal(err)
	}
	call(t, addr)
	return addr
}

// testTcprelayAllDown has clients get their end after a few tries, without any work in between: one
// remote refuses, the other one says nothing.
func testTcprelayAllDown(t *testing.T) {
	refuses, hole, door := freePort(t), newHole(t), freePort(t)
	p := startTcprelay(t, tcprelayFile(tcprelayListen(door), "idle timeout = 1\n"+tcprelayRemote(refuses)+tcprelayRemote(hole)))
	pid := workerOf(t, p.PID())
	idleUntilEnd(t, pid, call(t, door))
	p.WaitLine(`msg="all remotes of a pool are down".* remotes=2`)

	var dead []string
	for range 5 {
		dead = append(dead, freePort(t))
	}
	door = freePort(t)
	r := startRelay(t, relaying(door, ", tries: 4", "", dead...))
	hearsEnd(t, call(t, door), false)
	e := r.session("cause", "no-remote")
	if st := r.status(); st.Totals.ConnectFails != 4 || !strings.Contains(e["error"], "connection refused") {
		t.Errorf("of 5 remotes %d were tried, want 4; the session says %s", st.Totals.ConnectFails, e["error"])
	}
}

// testTcprelayFrom: remotes see connections from the local address.
func testTcprelayFrom(t *testing.T) {
	testkit.Need(t, "ip")
	const from6 = "fd00:39::7"
	addAddress(t, from6+"/128")
	tells := func(c net.Conn) {
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		_, _ = io.WriteString(c, host+"\n")
		mute(c)
	}
	_, port, _ := net.SplitHostPort(freePort(t))
	for from, at := range map[string]string{"127.0.0.39": freePort(t), from6: "[::1]:" + port} {
		remote, door := newRemoteAt(t, "tcp", at, tells), freePort(t)
		startTcprelay(t, tcprelayFile(tcprelayListen(door), "local address = "+from+"\n"+tcprelayRemote(remote.addr)))
		hears(t, call(t, door), from+"\n")
	}
}

// testTcprelaySticky is line 44 by its parts.
func testTcprelaySticky(t *testing.T) {
	for name, test := range map[string]func(*testing.T){"the same remote": testStickySize, "expiry": testStickyPeriod} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// sticks has a client from an address come and stay, and wants it to get this remote.
func sticks(t *testing.T, from, door, name string) {
	t.Helper()
	if got := hearsLine(t, callFrom(t, from, door)); got != name {
		t.Fatalf("%s got %s, want %s", from, got, name)
	}
}

func testStickySize(t *testing.T) {
	const one, two, three = "127.0.44.1", "127.0.44.2", "127.0.44.3"
	a, b, door := newRemote(t, echoesAs("A")), newRemote(t, echoesAs("B")), freePort(t)
	startTcprelay(t, tcprelayFile("sticky cache period = 3600\nsticky cache size = 2\n"+tcprelayListen(door), tcprelayRemote(a.addr)+tcprelayRemote(b.addr)))
	sticks(t, one, door, "A")
	for range 3 {
		sticks(t, two, door, "B") // A has fewer the second time, and the third
	}
	for range 5 {
		sticks(t, three, door, "A") // who has come the longest ago is forgotten: one
	}
	sticks(t, one, door, "B") // A has six, B has three; two is forgotten
	sticks(t, three, door, "A")
	b.close()
	for range 2 {
		sticks(t, one, door, "A") // what it sticks to is down
	}
	newRemoteAt(t, "tcp", b.addr, echoesAs("B"))
	sticks(t, one, door, "A")
}

// testStickyPeriod: a session that ends for its quiet tells that the time is over.
func testStickyPeriod(t *testing.T) {
	a, b, door := newRemote(t, echoesAs("A")), newRemote(t, echoesAs("B")), freePort(t)
	r := startRelay(t, relaying(door, ", idle: 2s", ", sticky: {period: 2s}", a.addr, b.addr))
	sticks(t, "127.0.44.11", door, "A")
	sticks(t, "127.0.44.12", door, "B")
	last := callFrom(t, "127.0.44.13", door)
	hears(t, last, "A\n")
	hearsEnd(t, last, false)
	r.sessionsAre(0)
	sticks(t, "127.0.44.12", door, "A")
}
