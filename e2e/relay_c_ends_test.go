//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/testkit"
)

// ticks writes again and again until that is no longer possible.
func ticks(c io.Writer) {
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for {
		if _, err := io.WriteString(c, "."); err != nil {
			return
		}
		<-pace.C
	}
}

// talksAsTold is a remote that does what the first byte says: t ticks, e echoes, anything else hears.
func talksAsTold(c net.Conn) {
	told := make([]byte, 1)
	if _, err := io.ReadFull(c, told); err != nil {
		return
	}
	switch told[0] {
	case 't':
		ticks(c)
	case 'e':
		echoes(c)
	default:
		mute(c)
	}
}

// testTcprelayIdle: a session ends a second after its last byte; bytes of either side alone keep it, without
// TLS and with it.
func testTcprelayIdle(t *testing.T) {
	ca, remote := newAuthority(t), newRemote(t, talksAsTold)
	plain, secure := freePort(t), freePort(t)
	startTcprelay(t, tcprelayFile(tcprelayListen(plain)+tcprelayListen(secure, "tls = yes"),
		"idle timeout = 1\ntls cert-file = "+ca.path("server.pem")+"\ntls key-file = "+ca.path("server.key")+"\n"+tcprelayRemote(remote.addr)))
	doors := map[string]func() net.Conn{
		"plain": func() net.Conn { return call(t, plain) },
		"TLS": func() net.Conn {
			return tls.Client(call(t, secure), &tls.Config{RootCAs: ca.pool(), ServerName: "localhost"})
		},
	}
	for name, dial := range doors {
		t.Run(name, func(t *testing.T) { testKeptByBytes(t, dial) })
	}
	hearsEnd(t, call(t, secure), false) // no word of a handshake
}

// testKeptByBytes has two clients outlive two others that are quiet one after the other.
func testKeptByBytes(t *testing.T, dial func() net.Conn) {
	up, down := dial(), dial()
	says(t, up, "u")
	says(t, down, "t")
	ticked := make(chan struct{})
	go func() { ticks(up); close(ticked) }()
	t.Cleanup(func() { up.Close(); <-ticked })
	for range 2 {
		quiet, begun := dial(), time.Now()
		says(t, quiet, "e and an answer")
		hears(t, quiet, " and an answer")
		hearsEnd(t, quiet, false)
		took := time.Since(begun)
		if took < time.Second {
			t.Errorf("a quiet session was ended after %v, want 1 s", took)
		}
		t.Logf("a quiet session was ended after %v", took)
	}
	// Two seconds are over, of which down had not read anything.
	if _, err := io.ReadFull(down, make([]byte, 20)); err != nil {
		t.Errorf("who only hears: %v", err)
	}
	if err := up.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := up.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who only speaks: %v", err)
	}
}

// testTcprelayRetires: after three sessions another worker takes over; nobody is refused, and who is
// there goes on to his end.
func testTcprelayRetires(t *testing.T) {
	remote, door := newRemote(t, echoes), freePort(t)
	p := startTcprelay(t, tcprelayFile(tcprelayListen(door), "retire limit = 3\n"+tcprelayRemote(remote.addr)))
	first := workerOf(t, p.PID())
	old := call(t, door)
	says(t, old, "before")
	hears(t, old, "before")
	for range 20 {
		c := call(t, door)
		says(t, c, "hello")
		hears(t, c, "hello")
		c.Close()
	}
	p.WaitLine(`Retire limit reached\. Told parent about this\.`)
	p.WaitLine(fmt.Sprintf(`process retires, the next one is started.* pid=%d`, first))
	if !alive(first) {
		t.Error("the worker has gone while it had a session")
	}
	says(t, old, "after")
	hears(t, old, "after")
	if err := old.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	hearsEnd(t, old, false)
	awaitGone(t, first)
	if next := workerOf(t, p.PID()); next == first {
		t.Errorf("the worker is still %d", next)
	}
	says(t, call(t, door), "the next one serves")
}

// testTcprelayDrains is line 47 by its parts.
func testTcprelayDrains(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"TERM":     func(t *testing.T) { testDrain(t, syscall.SIGTERM) },
		"INT":      func(t *testing.T) { testDrain(t, syscall.SIGINT) },
		"-1":       func(t *testing.T) { testDrain(t, syscall.SIGTERM, "-1") },
		"twice":    testSecondTERM,
		"deadline": testDrainDeadline,
		"USR1":     testUSR1,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// drained is a tcprelay with two sessions that has been told to end: one that is quiet, and one at which
// bytes go to and fro.
type drained struct {
	proc        *testkit.Proc
	door        string
	quiet, busy *net.TCPConn
	end         chan error // of the busy one
}

func newDrained(t *testing.T, sig syscall.Signal, args ...string) *drained {
	t.Helper()
	remote := newRemote(t, talksAsTold)
	d := &drained{door: freePort(t), end: make(chan error, 1)}
	d.proc = startTcprelay(t, tcprelayFile(tcprelayListen(d.door), tcprelayRemote(remote.addr)), args...)
	d.quiet, d.busy = call(t, d.door), call(t, d.door)
	says(t, d.quiet, "e ")
	hears(t, d.quiet, " ")
	says(t, d.busy, "t")
	hears(t, d.busy, ".")
	go func() {
		_, err := io.Copy(io.Discard, d.busy)
		d.end <- err
	}()
	d.proc.Signal(sig)
	refusesSoon(t, d.door)
	return d
}

// refusesSoon waits until nobody listens at an address any more.
func refusesSoon(t *testing.T, addr string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		c, err := tryCall("", addr)
		if err == nil {
			c.Close()
			return errors.New("somebody listens there still")
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		return nil
	})
}

// testDrain: nobody is let in any more, the quiet one ends first, the busy one goes on, and with its end
// all is over.
func testDrain(t *testing.T, sig syscall.Signal, args ...string) {
	d := newDrained(t, sig, args...)
	hearsEnd(t, d.quiet, false)
	select {
	case err := <-d.end:
		t.Fatalf("the busy session has ended before it was to: %v", err)
	case <-d.proc.Done():
		t.Fatal("it has ended with a session")
	default:
	}
	if err := d.busy.CloseWrite(); err != nil { // and the remote ticks on
		t.Fatal(err)
	}
	d.busy.Close()
	if err := d.proc.Wait(); err != nil {
		t.Errorf("after %v: %v", sig, err)
	}
	<-d.end
}

// testSecondTERM: the second one is meant, once the burst of the first is over.
func testSecondTERM(t *testing.T) {
	d := newDrained(t, syscall.SIGTERM)
	hearsEnd(t, d.quiet, false)
	d.proc.Signal(syscall.SIGTERM)
	<-d.end
	if err := d.proc.Wait(); err != nil {
		t.Errorf("after two TERMs: %v", err)
	}
	d.proc.WaitLine(`msg="process killed`) // at the end of the time for it, it would have ended by itself
}

// testDrainDeadline: when the time for it is over the busy one is ended, too.
func testDrainDeadline(t *testing.T) {
	remote, door := newRemote(t, talksAsTold), freePort(t)
	r := startRelay(t, strings.Replace(relaying(door, "", "", remote.addr), "relay:\n", "relay:\n  drain: 1s\n  quiet: 100ms\n", 1))
	busy := call(t, door)
	says(t, busy, "t")
	hears(t, busy, ".")
	r.proc.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, busy)
	if err := r.proc.Wait(); err != nil {
		t.Errorf("after TERM: %v", err)
	}
	r.session("cause", "drain")
}

// testUSR1: neither master nor worker minds.
func testUSR1(t *testing.T) {
	remote, door := newRemote(t, echoes), freePort(t)
	p := startTcprelay(t, tcprelayFile(tcprelayListen(door), tcprelayRemote(remote.addr)))
	worker, old := workerOf(t, p.PID()), call(t, door)
	for _, pid := range []int{p.PID(), worker} {
		for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE} {
			if err := syscall.Kill(pid, sig); err != nil {
				t.Fatal(err)
			}
			for _, c := range []net.Conn{old, call(t, door)} {
				says(t, c, "still there")
				hears(t, c, "still there")
			}
		}
	}
	if now := workerOf(t, p.PID()); now != worker {
		t.Errorf("the worker was %d and is %d", worker, now)
	}
}
