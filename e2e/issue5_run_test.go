//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// runRelayRereadLine is what `sluice run` says of it when it has read its configuration again.
var runRelayRereadLine = regexp.MustCompile(`(?m)^.*"configuration read again" role=relay.*$`)

// besideGWS is a configuration of `sluice run` with a relay, from each of these addresses to a remote.
func besideGWS(admin, remote string, addrs ...string) string {
	return fmt.Sprintf("relay:\n  admin: %q\n  listeners:\n    in: {listen: %s, pool: app}\n  pools:\n    app: {remotes: %q}\n", admin, listOf(addrs...), remote)
}

// viewed is a stream with a viewer at a product.
func viewed(t *testing.T, p *product) *viewer {
	t.Helper()
	group := newGroup()
	send(t, h264, "udp", group)
	v := watch(t, p.url("/udp/"+group))
	v.more(50_000)
	return v
}

func testRunReloadsRelay(t *testing.T) {
	one, other := newRemote(t, echoesAs("one")), newRemote(t, echoesAs("other"))
	admin, stays, goes, comes := freePort(t), freePort(t), freePort(t), freePort(t)
	p := run(t, settings{config: besideGWS(admin, one.addr, stays, goes)})
	v := viewed(t, p)
	held, old := call(t, stays), call(t, goes)
	hears(t, held, "one\n")
	hears(t, old, "one\n")
	before, err := relayStatus(admin)
	if err != nil {
		t.Fatal(err)
	}

	p.reread(besideGWS(admin, other.addr, stays, comes), runRelayRereadLine)
	for _, addr := range []string{stays, comes} {
		hears(t, call(t, addr), "other\n")
	}
	testkit.Eventually(t, func() error { // no process holds the socket any more
		if c, err := net.Dial("tcp", goes); err == nil {
			c.Close()
			return errors.New("it is still listened at")
		}
		return nil
	})
	for _, c := range []net.Conn{held, old} {
		says(t, c, "still")
		hears(t, c, "still")
	}

	said := p.reread(strings.Replace(besideGWS(admin, other.addr, stays), "pool: app", "pool: ap", 1), keptLine)
	if !strings.Contains(said, "no pool is called ap") {
		t.Errorf("a wrong configuration: %s", said)
	}
	hears(t, call(t, comes), "other\n")
	after, err := relayStatus(admin)
	if err != nil || after.PID != before.PID {
		t.Errorf("process %d relays, it was %d (%v)", after.PID, before.PID, err)
	}
	v.more(50_000)
	v.unbroken()
}

func testRelayDies(t *testing.T) {
	back, admin, addr := newRemote(t, echoesAs("in")), freePort(t), freePort(t)
	p := run(t, settings{config: besideGWS(admin, back.addr, addr)})
	v := viewed(t, p)
	c := call(t, addr)
	hears(t, c, "in\n")
	before, err := relayStatus(admin)
	if err != nil {
		t.Fatal(err)
	}
	engines := p.status().Engines
	kill(t, before.PID)
	isClosed(t, c)
	hears(t, call(t, addr), "in\n") // it waits for the next one, which has the socket
	testkit.Eventually(t, func() error {
		after, err := relayStatus(admin)
		if err == nil && (after.PID == before.PID || after.Totals.Connected != 1) {
			err = fmt.Errorf("process %d relays, %d sessions", after.PID, after.Totals.Connected)
		}
		return err
	})
	v.more(50_000)
	v.unbroken()
	if now := p.status(); len(now.Engines) != 1 || now.Engines[0].PID != engines[0].PID {
		t.Errorf("the engines are %+v, they were %+v", now.Engines, engines)
	}
}

// busy is a session that never rests; stop ends it in good order, and says whether all has come back.
func busy(t *testing.T, addr string) (ended chan error, stop chan struct{}) {
	t.Helper()
	c := call(t, addr)
	ended, stop = make(chan error, 1), make(chan struct{})
	piece := make([]byte, 1000)
	trip := func() error {
		_, err := c.Write(piece)
		if err == nil {
			_, err = io.ReadFull(c, piece)
		}
		return err
	}
	if err := trip(); err != nil {
		t.Fatal(err)
	}
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				ended <- c.Close()
				return
			default:
				err = trip()
			}
		}
		ended <- err
	}()
	return ended, stop
}

func testDrainInOrder(t *testing.T) {
	back := newRemote(t, echoes)
	start := func(drain string) (*relayed, string) {
		addr := freePort(t)
		return startRelay(t, fmt.Sprintf("relay:\n  drain: %s\n  quiet: 5s\n%s", drain, strings.TrimPrefix(relaying(addr, "", "", back.addr), "relay:\n"))), addr
	}

	// Idle first, and then as long as the others take.
	r, addr := start("1h")
	idle := call(t, addr)
	says(t, idle, "x")
	hears(t, idle, "x")
	ended, stop := busy(t, addr)
	r.proc.Signal(syscall.SIGTERM)
	hearsEnd(t, idle, false)
	if c, err := tryCall("", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while it drains a client is not refused: %v", err)
		c.Close()
	}
	r.eventually(func(st report.Relay) error {
		if !st.Draining || st.Totals.Sessions != 1 {
			return fmt.Errorf("draining: %v, %d sessions", st.Draining, st.Totals.Sessions)
		}
		return nil
	})
	r.session("cause", "drain", "up", "1")
	close(stop)
	if err := <-ended; err != nil {
		t.Errorf("the busy session ended with %v", err)
	}
	if err := r.proc.Wait(); err != nil {
		t.Error(err)
	}
	r.proc.WaitLine(`drained.*sessions=2 quiet=1 cut=0`)
	r.session("cause", "client")

	// The deadline, and the second TERM, which must not come in one burst with the first.
	for _, drain := range []string{"1s", "1h"} {
		r, addr := start(drain)
		ended, _ := busy(t, addr)
		r.proc.Signal(syscall.SIGTERM)
		if drain == "1h" {
			r.proc.WaitLine("drain: sessions may go on")
			const burst = 200 * time.Millisecond // what comes sooner is taken for the same signal
			first := time.Now()
			testkit.Eventually(t, func() error {
				if time.Since(first) < burst {
					return errors.New("it is too soon for the second")
				}
				return nil
			})
			r.proc.Signal(syscall.SIGTERM)
		}
		if err := <-ended; err == nil {
			t.Error("a session that never rests has ended well")
		}
		if err := r.proc.Wait(); err != nil {
			t.Errorf("drain %s: %v", drain, err)
		}
		r.proc.WaitLine(`drained.*sessions=1 quiet=0 cut=1`)
		r.session("cause", "drain")
	}
}
