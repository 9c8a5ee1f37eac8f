//go:build e2e && linux

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// relayed is a `sluice relay` of a test, in the foreground.
type relayed struct {
	t      *testing.T
	proc   *testkit.Proc
	dir    string // of its files
	config string // path
	log    string // path of its session log
	admin  string
}

// startRelay starts `sluice relay` with a configuration, which says all but the admin port, the session
// log and the run directory, and waits until it accepts. At the end of the test it is
// stopped and must go in good order.
func startRelay(t *testing.T, config string) *relayed {
	t.Helper()
	dir := shortDir(t)
	r := &relayed{
		t: t, dir: dir, config: filepath.Join(dir, "sluice.yaml"), log: filepath.Join(dir, "sessions"), admin: freePort(t),
	}
	r.write(config)
	r.proc = startRelayOf(t, "relay", "-T", "-C", r.config, "--admin", r.admin, "--run-dir", filepath.Join(dir, "run"))
	r.eventually(func(report.Relay) error { return nil })
	return r
}

// startRelayOf starts the program, which must end in good order: by TERM at the end of the test if it has not
// ended before.
func startRelayOf(t *testing.T, args ...string) *testkit.Proc {
	t.Helper()
	p := testkit.Start(t, program(), args...)
	t.Cleanup(func() {
		select {
		case <-p.Done():
		default:
			if t.Failed() {
				return // it is killed
			}
			p.Signal(syscall.SIGTERM)
		}
		if err := p.Wait(); err != nil {
			t.Errorf("sluice %s: %v", strings.Join(args, " "), err)
		}
		if line := alarming.FindString(p.Output()); line != "" {
			t.Errorf("sluice %s said %q:\n%s", strings.Join(args, " "), line, p.Output())
		}
	})
	return p
}

// write makes config the configuration; it begins with "relay:" and a new line.
func (r *relayed) write(config string) {
	r.t.Helper()
	rest, ok := strings.CutPrefix(config, "relay:\n")
	if !ok {
		r.t.Fatalf("a configuration of a relay begins with relay: and a new line; this one with %.20q", config)
	}
	put(r.t, r.config, fmt.Sprintf("relay:\n  session_log: {file: %s}\n%s", r.log, rest))
}

// What a relay says when it has read its configuration again, and when it has not.
var (
	relayRereadLine = regexp.MustCompile(`(?m)^.*"configuration read again".*$`)
	relayKeptLine   = regexp.MustCompile(`(?m)^.*"configuration not read again.*$`)
)

// reload has the relay read another configuration.
func (r *relayed) reload(config string) {
	r.t.Helper()
	r.reread(config, relayRereadLine)
}

// keeps has the relay read a configuration that is wrong, and returns what it says.
func (r *relayed) keeps(config string) string {
	r.t.Helper()
	return r.reread(config, relayKeptLine)
}

func (r *relayed) reread(config string, line *regexp.Regexp) (said string) {
	r.t.Helper()
	before := len(line.FindAllString(r.proc.Output(), -1))
	r.write(config)
	r.proc.Signal(syscall.SIGHUP)
	testkit.Eventually(r.t, func() error {
		all := line.FindAllString(r.proc.Output(), -1)
		if len(all) <= before {
			return fmt.Errorf("no line like %s after HUP", line)
		}
		said = all[len(all)-1]
		return nil
	})
	return said
}

// status is what the relay says it does.
func (r *relayed) status() report.Relay {
	r.t.Helper()
	st, err := relayStatus(r.admin)
	if err != nil {
		r.t.Fatal(err)
	}
	return st
}

// relayStatus asks the admin port of a relay.
func relayStatus(admin string) (st report.Relay, err error) {
	resp, err := http.Get("http://" + admin + "/status?format=json")
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return st, fmt.Errorf("/status: %s", resp.Status)
	}
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

// eventually waits until the status satisfies want.
func (r *relayed) eventually(want func(report.Relay) error) {
	r.t.Helper()
	testkit.Eventually(r.t, func() error {
		st, err := relayStatus(r.admin)
		if err != nil {
			return err
		}
		return want(st)
	})
}

// sessionsAre waits until so many sessions run.
func (r *relayed) sessionsAre(n int) {
	r.t.Helper()
	r.eventually(func(st report.Relay) error {
		if st.Totals.Sessions != n {
			return fmt.Errorf("%d sessions, want %d", st.Totals.Sessions, n)
		}
		return nil
	})
}

// remoteNamed is a remote of the status; pools are looked at in their order.
func remoteNamed(st report.Relay, name string) (report.RelayRemote, error) {
	for _, p := range st.Pools {
		for _, one := range p.Remotes {
			if one.Name == name {
				return one, nil
			}
		}
	}
	return report.RelayRemote{}, fmt.Errorf("no remote %s: %+v", name, st.Pools)
}

// remote waits until a remote is as wanted.
func (r *relayed) remote(name string, want func(report.RelayRemote) bool) (found report.RelayRemote) {
	r.t.Helper()
	r.eventually(func(st report.Relay) (err error) {
		if found, err = remoteNamed(st, name); err == nil && !want(found) {
			err = fmt.Errorf("the remote is %+v", found)
		}
		return err
	})
	return found
}

// isUp and isDown are what a check found.
func isUp(r report.RelayRemote) bool   { return r.Up }
func isDown(r report.RelayRemote) bool { return !r.Up }

// order sends an order to the admin port, with parameters as they stand in a URL, and returns the answer.
func (r *relayed) order(path string) (code int, said string) {
	r.t.Helper()
	return curl(r.t, "-X", "POST", "http://"+r.admin+path)
}

// sessionLine is a line of the session log, as docs/relay.md says.
var sessionLine = regexp.MustCompile(`^time=(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:\d\d)) id=(?P<id>\d+)` +
	` listener=(?P<listener>\S+) peer=(?P<peer>\S+) client=(?P<client>\S+) pool=(?P<pool>\S+) remote=(?P<remote>\S+)` +
	` up=(?P<up>\d+) down=(?P<down>\d+) queue=(?P<queue>\d+\.\d{3}) connect=(?P<connect>\d+\.\d{3}|-) total=(?P<total>\d+\.\d{3})` +
	` cause=(?P<cause>[a-z-]+) error=(?P<error>[^" ]+|"(?:[^"\\]|\\.)*")` + "\n$")

// sessions are the sessions of the session log, in the order of their ends; each line must be one.
func (r *relayed) sessions() (all []entry) {
	r.t.Helper()
	text, _ := os.ReadFile(r.log) // none yet is fine
	for one := range strings.Lines(string(text)) {
		if !strings.HasSuffix(one, "\n") {
			break // it is being written
		}
		m := sessionLine.FindStringSubmatch(one)
		if m == nil {
			r.t.Fatalf("not a line of the session log: %q", one)
		}
		e := entry{}
		for i, name := range sessionLine.SubexpNames() {
			e[name] = m[i]
		}
		all = append(all, e)
	}
	return all
}

// session waits for a session of the log with these fields, name and value in turn; the last one counts.
func (r *relayed) session(fields ...string) (found entry) {
	r.t.Helper()
	testkit.Eventually(r.t, func() error {
		all := r.sessions()
		for _, e := range slices.Backward(all) {
			if e.has(fields...) {
				found = e
				return nil
			}
		}
		return fmt.Errorf("no session with %q in the log:\n%v", fields, all)
	})
	return found
}

// startCproxy starts `sluice relay` as cproxy, and waits until it listens wherever it is to.
func startCproxy(t *testing.T, args ...string) *testkit.Proc {
	t.Helper()
	p := startStopped(t, program(), append([]string{"relay"}, args...)...)
	for i, arg := range args {
		if arg == "-l" {
			p.WaitLine(`listening on ` + regexp.QuoteMeta(args[i+1]) + ` \(fd=`)
		}
	}
	return p
}

// startTcprelay starts `sluice tcprelay` in the foreground, with its log on standard error, and waits until it
// listens. At the end of the test it is stopped and must go in good order.
func startTcprelay(t *testing.T, file string, args ...string) *testkit.Proc {
	t.Helper()
	path := put(t, filepath.Join(shortDir(t), "tcprelay.cfg"), file)
	p := startRelayOf(t, slices.Concat([]string{"tcprelay", "-f", "-D"}, args, []string{path})...)
	p.WaitLine(`msg=ready`)
	return p
}

// tcprelayFile is a file of tcprelay with its two sections: who listens, and whereto.
func tcprelayFile(spawnd, worker string) string {
	return "id = spawnd {\n" + spawnd + "\n}\nid = tcprelay {\n" + worker + "\n}\n"
}

// tcprelayListen and tcprelayRemote are directives of such a file, for an address with its port; more is in them
// besides.
func tcprelayListen(addr string, more ...string) string {
	return fmt.Sprintf("listen = { address = %q %s }\n", addr, strings.Join(more, " "))
}

func tcprelayRemote(addr string, more ...string) string {
	return fmt.Sprintf("remote = { address = %q %s }\n", addr, strings.Join(more, " "))
}

// workerOf is the process that relays for a master, once it is there.
func workerOf(t *testing.T, master int) (pid int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		all := childrenOf(t, master)
		if len(all) != 1 {
			return fmt.Errorf("children of the master: %v, want one", all)
		}
		pid = all[0]
		return nil
	})
	return pid
}

// remote is a server of a test that relays connect to.
type remote struct {
	addr  string
	calls atomic.Int64 // connections that it has accepted

	l      net.Listener
	talks  sync.WaitGroup
	mu     sync.Mutex // guards what follows
	open   map[net.Conn]bool
	closed bool
}

// newRemote runs talk for each connection, which is closed then, at a port of its own.
func newRemote(t *testing.T, talk func(net.Conn)) *remote {
	t.Helper()
	return newRemoteAt(t, "tcp", freePort(t), talk)
}

func newRemoteAt(t *testing.T, network, addr string, talk func(net.Conn)) *remote {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{addr: addr, l: l, open: make(map[net.Conn]bool)}
	r.talks.Go(func() { r.accept(talk) })
	t.Cleanup(r.close)
	return r
}

func (r *remote) accept(talk func(net.Conn)) {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return
		}
		r.calls.Add(1)
		r.mu.Lock()
		r.open[c] = true
		if r.closed {
			c.Close()
		}
		r.mu.Unlock()
		r.talks.Go(func() {
			talk(c)
			r.mu.Lock()
			delete(r.open, c)
			r.mu.Unlock()
			c.Close()
		})
	}
}

// close ends the server with its connections: from then on it refuses.
func (r *remote) close() {
	r.l.Close()
	r.mu.Lock()
	r.closed = true
	for c := range r.open {
		c.Close()
	}
	r.mu.Unlock()
	r.talks.Wait()
}

// What remotes do: echoes says what it hears, and ends after the other side; echoesAs says its name
// before, in a line; mute hears, and never says anything.
func echoes(c net.Conn) { _, _ = io.Copy(c, c) }

func echoesAs(name string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := io.WriteString(c, name+"\n"); err == nil {
			echoes(c)
		}
	}
}

func mute(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// call connects to a relay, with time for all that a test does.
func call(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	return callFrom(t, "", addr)
}

// callFrom is call from an address of this machine; "" is the system's choice.
func callFrom(t *testing.T, from, addr string) *net.TCPConn {
	t.Helper()
	c, err := tryCall(from, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// tryCall is callFrom for what may fail; the caller closes it.
func tryCall(from, addr string) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: testkit.Patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(lifetime)); err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// says sends text.
func says(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// hears wants text next.
func hears(t *testing.T, c io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("after %q, of %q: %v", got[:n], text, err)
	}
	if string(got) != text {
		t.Fatalf("heard %q, want %q", got, text)
	}
}

// hearsLine returns the next line without its end; nothing behind it is taken.
func hearsLine(t *testing.T, c io.Reader) string {
	t.Helper()
	var line []byte
	for one := make([]byte, 1); ; line = append(line, one[0]) {
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		if one[0] == '\n' {
			return string(line)
		}
	}
}

// hearsRest returns all that comes until the end.
func hearsRest(t *testing.T, c io.Reader) string {
	t.Helper()
	got, err := io.ReadAll(bufio.NewReader(c))
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(got), err)
	}
	return string(got)
}

// hearsEnd wants nothing but the end: reset says whether as a reset.
func hearsEnd(t *testing.T, c io.Reader, reset bool) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	switch {
	case n > 0:
		t.Errorf("something comes before the end")
	case reset != errors.Is(err, syscall.ECONNRESET) || !reset && !errors.Is(err, io.EOF):
		t.Errorf("it ends with %v, want a reset: %v", err, reset)
	}
}

// isClosed wants nothing but the end, in whichever way: who is refused with something unread gets a reset.
func isClosed(t *testing.T, c io.Reader) {
	t.Helper()
	var timeout net.Error
	n, err := c.Read(make([]byte, 1))
	if n > 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("it is not closed: %d bytes, %v", n, err)
	}
}

// turnedAway comes and wants nothing but the end, which on a busy machine may be there before the connection is
// known to stand.
func turnedAway(t *testing.T, addr string) {
	t.Helper()
	c, err := tryCall("", addr)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	isClosed(t, c)
}

// openFiles is how many descriptors a process has.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	return len(descriptors(t, pid))
}

// socketOption asks the kernel for an option of another process's socket: the end of a connection that has
// these addresses.
func socketOption(t *testing.T, pid int, local, peer net.Addr, level, opt int) int {
	t.Helper()
	fd := socketOf(t, pid, local, peer)
	defer unix.Close(fd)
	value, err := unix.GetsockoptInt(fd, level, opt)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// eachDescriptor gives see copies of another process's descriptors, one after the other, until it keeps one: that
// the caller closes. Without one it returns -1.
func eachDescriptor(t *testing.T, pid int, see func(fd int) (keep bool)) int {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(process)
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		number, _ := strconv.Atoi(filepath.Base(path))
		fd, err := unix.PidfdGetfd(process, number, 0)
		if err != nil {
			continue // closed meanwhile
		}
		if see(fd) {
			return fd
		}
		unix.Close(fd)
	}
	return -1
}

// socketOf is a copy of another process's socket: the end of a connection that has these addresses. The caller
// closes it.
func socketOf(t *testing.T, pid int, local, peer net.Addr) int {
	t.Helper()
	fd := eachDescriptor(t, pid, func(fd int) bool { return isConnection(fd, local, peer) })
	if fd < 0 {
		t.Fatalf("process %d has no connection from %s to %s", pid, local, peer)
	}
	return fd
}

// isConnection says whether a descriptor is a socket with these addresses.
func isConnection(fd int, local, peer net.Addr) bool {
	one, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	other, err := unix.Getpeername(fd)
	return err == nil && plainAddr(one) == local.String() && plainAddr(other) == peer.String()
}

// plainAddr is an address as package net writes it; one of IPv4 that IPv6 carries is of IPv4.
func plainAddr(a unix.Sockaddr) string {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)).String()
	}
	return ""
}

// relaying is a configuration with one listener, called in, and one pool, app, with more keys for either,
// each with a comma before it, such as `, balance: first`.
func relaying(listen, listener, pool string, remotes ...string) string {
	return fmt.Sprintf("relay:\n  listeners:\n    in: {listen: %q, pool: app%s}\n  pools:\n    app: {remotes: %s%s}\n",
		listen, listener, listOf(remotes...), pool)
}

// listOf is a list of texts in YAML.
func listOf(texts ...string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = fmt.Sprintf("%q", text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
