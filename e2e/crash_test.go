//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// crowd is two channels, each on an engine of its own, and 200 clients that check
// every packet.
type crowd struct {
	*product
	groups  [2]string
	engines [2]report.Engine // that carry the channels, by group
	viewers [2][]*viewer
}

const crowdSize = 200

// gather starts a crowd and waits until everybody watches.
func gather(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{product: run(t, settings{engines: 2})}
	for i := range c.groups {
		c.groups[i] = newGroup()
		send(t, h264, "udp", c.groups[i])
		c.viewers[i] = watchMany(t, c.channelURL(i), crowdSize/2)
	}
	moreOfAll(20_000, c.viewers[:]...)
	st := c.status()
	for i, group := range c.groups {
		var err error
		if _, c.engines[i], err = channel(st, group); err != nil {
			t.Fatal(err)
		}
	}
	if c.engines[0].ID == c.engines[1].ID {
		t.Fatalf("both channels are on engine %s; two engines are there", c.engines[0].ID)
	}
	return c
}

func (c *crowd) channelURL(i int) string { return c.url("/udp/" + c.groups[i]) }

// goesOn wants everybody of the channels still there, without a gap, and getting more.
func (c *crowd) goesOn(channels ...int) {
	c.t.Helper()
	for _, i := range channels {
		moreOfAll(50_000, c.viewers[i])
		allUnbroken(c.viewers[i])
	}
}

// known waits until the status names so many clients in all.
func (c *crowd) known(clients int) {
	c.t.Helper()
	c.eventually(func(st report.Status) error {
		n := 0
		for _, e := range st.Engines {
			for _, ch := range e.Channels {
				n += len(ch.Clients)
			}
		}
		if n != clients {
			return fmt.Errorf("status names %d clients, want %d", n, clients)
		}
		return nil
	})
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func testKillWebService(t *testing.T) {
	c := gather(t)
	c.killWebService()
	c.goesOn(0, 1)
	c.known(crowdSize) // learned from the engines

	v := watch(t, c.channelURL(0)) // joins the channel where it is
	v.more(10_000)
	v.unbroken()
	if n := bound(t, c.groups[0]); n != 1 {
		t.Errorf("%d sockets receive the group after gws came back, want 1", n)
	}
	for i, e := range c.engines {
		if _, now, err := channel(c.status(), c.groups[i]); err != nil || now.PID != e.PID {
			t.Errorf("channel %d is on process %d (%v), was on %d", i, now.PID, err, e.PID)
		}
	}
}

func testKillEngine(t *testing.T) {
	c := gather(t)
	kill(t, c.engines[1].PID)
	for _, v := range c.viewers[1] {
		if v.end() == nil {
			t.Error("a client of the killed engine is still fed")
		}
		v.unbroken()
	}
	// Its clients come again and are served, by whichever engine.
	again := make([]*viewer, 0, crowdSize/2)
	testkit.Eventually(t, func() error {
		v, err := tryWatch(t, c.channelURL(1))
		if err == nil {
			again = append(again, v)
		}
		return err
	})
	again = append(again, watchMany(t, c.channelURL(1), crowdSize/2-1)...)
	moreOfAll(20_000, again)
	allUnbroken(again)
	c.goesOn(0)
	c.eventually(func(st report.Status) error {
		for _, e := range st.Engines {
			if e.ID == c.engines[1].ID && e.PID != c.engines[1].PID {
				return nil
			}
		}
		return fmt.Errorf("engine %s has not been started again", c.engines[1].ID)
	})
	if n := bound(t, c.groups[1]); n != 1 {
		t.Errorf("%d sockets receive the group, want 1", n)
	}
}

func testKillSupervisor(t *testing.T) {
	c := gather(t)
	web := c.status().PID
	kill(t, c.proc.PID())
	testkit.Eventually(t, func() error {
		if alive(c.proc.PID()) || alive(web) {
			return errors.New("gws has not noticed that the supervisor is gone")
		}
		return nil
	})
	c.goesOn(0, 1)

	kill(t, c.engines[1].PID) // this one is missing when the next run comes
	before := c.engines[0].PID
	c.start()
	c.known(crowdSize / 2)
	for _, e := range c.status().Engines {
		if adopted := e.PID == before; adopted != (e.ID == c.engines[0].ID) {
			t.Errorf("engine %s is process %d; engine %s was process %d", e.ID, e.PID, c.engines[0].ID, before)
		}
	}
	c.goesOn(0)
	v := watch(t, c.channelURL(1))
	v.more(20_000)
	v.unbroken()

	// An adopted engine is as good as a child: it is started again, and ended by TERM.
	kill(t, before)
	c.eventually(func(st report.Status) error {
		for _, e := range st.Engines {
			if e.ID == c.engines[0].ID && e.PID != before {
				return nil
			}
		}
		return fmt.Errorf("adopted engine %s has not been started again", c.engines[0].ID)
	})
}

// testKillDuringRequest kills gws and engines under a client that waits for its answer:
// it gets one, or the end of its connection.
func testKillDuringRequest(t *testing.T) {
	silent := settings{engines: 2, config: "no_data: 60s\n"}
	t.Run("gws before the request is whole", func(t *testing.T) {
		p := run(t, silent)
		c, err := net.Dial("tcp", p.user)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /udp/"); err != nil {
			t.Fatal(err)
		}
		p.killWebService()
		if b, err := io.ReadAll(c); len(b) != 0 {
			t.Errorf("the client got %q (%v), want the end", b, err)
		}
		if a := request(t, "HEAD", p.url("/udp/"+newGroup())); a.code != 200 {
			t.Errorf("the next request got %d", a.code)
		}
	})
	t.Run("gws while the engine waits for data", func(t *testing.T) {
		p := run(t, silent)
		group := newGroup()
		waiting := ask(t, p.url("/udp/"+group))
		joined(t, group)
		p.killWebService()
		waiting.unanswered()
		send(t, h264, "udp", group)
		v := waiting.answered()
		v.more(50_000)
		v.unbroken()
	})
	t.Run("the engine while it waits for data", func(t *testing.T) {
		p := run(t, silent)
		group := newGroup()
		waiting := ask(t, p.url("/udp/"+group))
		joined(t, group)
		var first report.Engine
		p.eventually(func(st report.Status) (err error) {
			_, first, err = channel(st, group)
			return err
		})
		kill(t, first.PID)
		p.eventually(func(st report.Status) error {
			_, e, err := channel(st, group)
			if err == nil && e.PID == first.PID {
				err = errors.New("the channel is still on the killed engine")
			}
			return err
		})
		waiting.unanswered()
		send(t, h264, "udp", group)
		v := waiting.answered()
		v.more(50_000)
		v.unbroken()
	})
}

// killWebService kills gws and waits until another one answers and has the engines.
func (p *product) killWebService() {
	p.t.Helper()
	old := p.status().PID
	kill(p.t, old)
	p.eventually(func(st report.Status) error {
		if st.PID == old {
			return errors.New("the killed gws answers")
		}
		if len(st.Engines) != p.engines {
			return fmt.Errorf("%d engines attached again, want %d", len(st.Engines), p.engines)
		}
		return nil
	})
}

func testTerm(t *testing.T) {
	c := gather(t)
	c.stop()
	for _, list := range c.viewers {
		for _, v := range list {
			if err := v.end(); !errors.Is(err, io.EOF) {
				t.Errorf("a stream ended with %v, want an orderly end", err)
			}
			v.unbroken()
		}
	}
}

func testSideBySide(t *testing.T) {
	one, two := run(t, settings{}), run(t, settings{})
	group := newGroup()
	send(t, h264, "udp", group)
	for _, p := range []*product{one, two} {
		v := watch(t, p.url("/udp/"+group))
		v.more(20_000)
		v.unbroken()
	}
	third := testkit.Start(t, program(), "run", "--run-dir", one.dir, "--listen", freePort(t), "--admin", freePort(t))
	if err := third.Wait(); err == nil {
		t.Error("a second run in one directory was let in")
	}
	if out := third.Output(); !strings.Contains(out, fmt.Sprint(one.proc.PID())) || !strings.Contains(out, "--run-dir") {
		t.Errorf("it said %q; want the process that is there and a way out", out)
	}
	if locks, _ := filepath.Glob(filepath.Join(one.dir, "*.lock")); len(locks) == 0 {
		t.Error("it took the lock files of the first away")
	}
}
