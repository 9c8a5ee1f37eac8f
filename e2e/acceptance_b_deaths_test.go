//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/report"
)

// watched starts a channel and a client of it.
func (h *house) watched() (group string, k *taker) {
	h.t.Helper()
	group = source(h.t)
	return group, take(h.product, "/udp/"+group, anyAddress)
}

// testWithoutGWS: who watches goes on to watch when gws is killed, and nobody starts another.
func testWithoutGWS(t *testing.T) {
	h := newHouse(t, "no_data: 1h\nreconnect: {attempts: 1000, delay: 100ms}\n")
	engines := h.startEngines(2)
	_, one := h.watched()
	_, two := h.watched()
	killed(t, h.gws)
	if c, err := net.Dial("tcp", h.user); err == nil {
		c.Close()
		t.Error("the user port of the killed gws is open")
	}
	goesOn(3*groupPackets, one, two)
	whole(one, two)
	for _, e := range engines {
		if !alive(e.PID()) {
			t.Errorf("an engine has ended with gws:\n%s", e.Output())
		}
	}
}

// testReconnecting counts how often an engine asks for its gws that is gone. It serves who
// watches until it has asked as often as it is told to; then it ends and says so.
func testReconnecting(t *testing.T) {
	for _, attempts := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(attempts), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, fmt.Sprintf("no_data: 1h\nreconnect: {attempts: %d, delay: 50ms}\n", attempts))
			engine := h.startEngines(1)[0]
			_, k := h.watched()
			engine.Signal(syscall.SIGSTOP) // it does not see that gws goes before there is who counts
			killed(t, h.gws)
			path := filepath.Join(h.dir, "handoff.socket")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			engine.Signal(syscall.SIGCONT)

			asked := make(chan net.Conn)
			go func() {
				defer close(asked)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					asked <- c
				}
			}()
			for n := range attempts {
				select {
				case c := <-asked:
					goesOn(groupPackets, k)
					c.Close()
				case <-engine.Done():
					t.Fatalf("it ended after it had asked %d times, want %d:\n%s", n, attempts, engine.Output())
				}
			}
			if err := engine.Wait(); err == nil {
				t.Error("an engine without a gws ended in good order")
			}
			l.Close()
			for c := range asked {
				c.Close()
				t.Errorf("it asked more than %d times", attempts)
			}
			if want := fmt.Sprintf("gws was not reached in %d attempt", attempts); !strings.Contains(engine.Output(), want) {
				t.Errorf("it said\n%swant %q", engine.Output(), want)
			}
			if k.end() == nil {
				t.Error("the client of an engine that has ended is fed")
			}
			whole(k)
		})
	}
}

// testNextGWS: a gws that is started after the crash of another has the engines, and knows
// what they do.
func testNextGWS(t *testing.T) {
	h := newHouse(t, "no_data: 1h\nreconnect: {attempts: 1000, delay: 50ms}\n")
	engine := h.startEngines(1)[0]
	group, k := h.watched()
	killed(t, h.gws)
	goesOn(groupPackets, k)
	h.startGWS()
	h.attached(1)
	if pid := h.status().Engines[0].PID; pid != engine.PID() {
		t.Errorf("the engine is process %d, was %d", pid, engine.PID())
	}
	r := h.traffic()
	if _, err := r.client("UDP://"+group, "TCP://"+k.addr); err != nil {
		t.Error(err)
	}
	if len(r.Channels) != 1 {
		t.Errorf("report %+v, want the one channel", r)
	}
	second := take(h.product, "/udp/"+group, anyAddress)
	goesOn(groupPackets, k, second)
	whole(k, second)
	if n := bound(t, group); n != 1 {
		t.Errorf("%d sockets receive the group, want 1", n)
	}
	if code := h.drop("UDP://"+group, "TCP://"+k.addr); code != 200 {
		t.Errorf("/drop of a client from before: %d", code)
	}
	if k.end() == nil {
		t.Error("a client from before that was dropped is fed")
	}
	goesOn(groupPackets, second)
}

// apart starts two engines with a channel each, which somebody watches.
func (h *house) apart() (pids [2]int, groups [2]string, takers [2]*taker) {
	h.t.Helper()
	h.startEngines(2)
	for i := range groups {
		groups[i], takers[i] = h.watched()
		_, e, err := channel(h.status(), groups[i])
		if err != nil {
			h.t.Fatal(err)
		}
		pids[i] = e.PID
	}
	if pids[0] == pids[1] {
		h.t.Fatal("both channels are on one engine")
	}
	return pids, groups, takers
}

// testOtherEngine: clients of an engine notice nothing of the death of another.
func testOtherEngine(t *testing.T) {
	h := newHouse(t, "no_data: 1h\n")
	pids, _, takers := h.apart()
	kill(t, pids[0])
	if takers[0].end() == nil {
		t.Error("a client of the killed engine is fed")
	}
	goesOn(3*groupPackets, takers[1])
	whole(takers[:]...)
}

// testDeadEngineGetsNobody: after the death of an engine all requests go to the others, also
// those for its channels, and those that come before gws has noticed.
func testDeadEngineGetsNobody(t *testing.T) {
	h := newHouse(t, "no_data: 1h\n")
	pids, groups, takers := h.apart()
	kill(t, pids[0])
	all := []*taker{takers[1], take(h.product, "/udp/"+groups[0], anyAddress)}
	for range 4 {
		_, k := h.watched()
		all = append(all, k)
	}
	goesOn(groupPackets, all...)
	whole(all...)
	h.eventually(func(st report.Status) error {
		if len(st.Engines) != 1 || st.Engines[0].PID != pids[1] || len(st.Engines[0].Channels) != 6 {
			return errors.New("want the six channels on the engine that is left")
		}
		return nil
	})
}
