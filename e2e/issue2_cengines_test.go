//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testSpread opens channels on two engines, one after the other, so that the policies
// decide differently.
func testSpread(t *testing.T) {
	for _, c := range []struct {
		spread string
		// Five clients of the first channel, and then three channels of one each: how
		// many of these three stand beside the first.
		beside int
		// Then the channels of the engine without the first are ended, and two are
		// opened: whether both come to the engine that has nothing now.
		both bool
	}{
		{"round-robin", 1, false},
		{"min-channels", 1, true},
		{"min-clients", 0, true},
	} {
		t.Run(c.spread, func(t *testing.T) {
			t.Parallel()
			p := run(t, settings{engines: 2, args: []string{"--spread", c.spread}, config: "linger: 0s\nno_data: 1h\n"})
			var feeds []*feed
			var takers []*taker
			open := func() { f := newFeed(t, p); feeds = append(feeds, f); takers = append(takers, f.first(f.path())) }
			open()
			crowd := takeMany(p, feeds[0].path(), 4)
			p.clients(5)
			for range 3 {
				open()
			}
			home := p.engineOf(feeds[0])
			beside := 0
			for i, f := range feeds[1:] {
				if p.engineOf(f) == home {
					beside++
				} else {
					takers[i+1].close()
				}
			}
			if beside != c.beside {
				t.Errorf("%d of three channels stand beside the one with five clients, want %d", beside, c.beside)
			}
			p.channels(1+beside, feeds[1:]...)
			open()
			open()
			if both := p.engineOf(feeds[4]) != home && p.engineOf(feeds[5]) != home; both != c.both {
				t.Errorf("both channels came to the engine that had nothing: %v, want %v", both, c.both)
			}
			for _, i := range []int{0, 4, 5} {
				feeds[i].more(3)
				feeds[i].delivered(takers[i])
				whole(takers[i])
			}
			feeds[0].delivered(crowd...)
			whole(crowd...)
		})
	}
}

// engineOf is the process that carries a channel.
func (p *product) engineOf(f *feed) int {
	p.t.Helper()
	_, e, err := channel(p.status(), f.group)
	if err != nil {
		p.t.Fatal(err)
	}
	return e.PID
}

// clients waits until the status names so many.
func (p *product) clients(n int) {
	p.t.Helper()
	p.eventually(func(st report.Status) error {
		if st.Totals.Clients != n {
			return fmt.Errorf("%d clients, want %d", st.Totals.Clients, n)
		}
		return nil
	})
}

// channels waits until so many are left. What is sent meanwhile shows the engine whose
// client has gone.
func (p *product) channels(n int, sending ...*feed) {
	p.t.Helper()
	p.eventually(func(st report.Status) error {
		if st.Totals.Channels == n {
			return nil
		}
		for _, f := range sending {
			f.sendGroup()
		}
		return fmt.Errorf("%d channels, want %d", st.Totals.Channels, n)
	})
}

// testSplit spreads the clients of one channel over two engines and kills one of them.
func testSplit(t *testing.T) {
	const n = 20
	p := run(t, settings{engines: 2, args: []string{"--split-channels", "--spread", "min-clients"}, config: "no_data: 1h\n"})
	group := newGroup()
	sendNumbers(t, group, "1M")
	all := takeMany(p, "/udp/"+group, n)
	goesOn(2*groupPackets, all...)
	whole(all...)
	if got := bound(t, group); got != 2 {
		t.Errorf("%d sockets receive the group, want one an engine", got)
	}

	killed := p.status().Engines[1]
	theirs := map[string]bool{}
	for _, c := range killed.Channels[0].Clients {
		theirs[c.Addr] = true
	}
	if len(theirs) != n/2 {
		t.Fatalf("%d of %d clients are on engine %s, want half of them", len(theirs), n, killed.ID)
	}
	kill(t, killed.PID)
	var others []*taker
	for _, k := range all {
		if !theirs[k.addr] {
			others = append(others, k)
		} else if k.end() == nil {
			t.Error("a client of the killed engine is still fed")
		}
	}
	goesOn(2*groupPackets, others...)
	p.eventually(func(st report.Status) error {
		if len(st.Engines) != 2 {
			return errors.New("the killed engine is not back")
		}
		return nil
	})
	again := takeMany(p, "/udp/"+group, n/2)
	goesOn(2*groupPackets, append(others, again...)...)
	whole(append(all, again...)...)
	p.eventually(func(st report.Status) error {
		for _, e := range st.Engines {
			if len(e.Channels) != 1 || len(e.Channels[0].Clients) != n/2 {
				return fmt.Errorf("engine %s: %+v, want half of the clients", e.ID, e.Channels)
			}
		}
		return nil
	})
}

// testPin: every thread of an engine stays on its CPU.
func testPin(t *testing.T) {
	cpus := cpusOf(t, os.Getpid())[0]
	first, last := cpus[0], cpus[len(cpus)-1]

	dir := shortDir(t)
	gng := filepath.Join(dir, "gng")
	if err := os.Symlink(program(), gng); err != nil {
		t.Fatal(err)
	}
	runDir := filepath.Join(dir, "run")
	admin := freePort(t)
	testkit.Start(t, program(), "gws", "-T", "--listen", freePort(t), "--admin", admin, "--run-dir", runDir)
	engine := testkit.Start(t, gng, "-T", "-P", strconv.Itoa(last), "--run-dir", runDir)
	testkit.Eventually(t, func() error {
		st, err := (&product{admin: admin, web: http.DefaultClient}).tryStatus()
		if err == nil && len(st.Engines) != 1 {
			err = errors.New("the engine has not attached")
		}
		return err
	})
	pinned(t, engine.PID(), last)
	engine.Signal(syscall.SIGTERM)
	if err := engine.Wait(); err != nil {
		t.Error(err)
	}
	nowhere := testkit.Start(t, gng, "-T", "-P", "4000", "--run-dir", runDir)
	if err := nowhere.Wait(); err == nil || !strings.Contains(nowhere.Output(), "CPU 4000") {
		t.Errorf("gng -P 4000: %v, %q", err, nowhere.Output())
	}

	p := run(t, settings{engines: 2, args: []string{"--pin"}})
	for i, e := range p.status().Engines {
		pinned(t, e.PID, []int{first, cpus[1%len(cpus)]}[i])
	}
}

// pinned wants all threads of a process on one CPU.
func pinned(t *testing.T, pid, cpu int) {
	t.Helper()
	for _, cpus := range cpusOf(t, pid) {
		if !slices.Equal(cpus, []int{cpu}) {
			t.Errorf("a thread of process %d may run on %v, want %d alone", pid, cpus, cpu)
		}
	}
}

// cpusOf is where each thread of a process may run.
func cpusOf(t *testing.T, pid int) (threads [][]int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // that thread has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		_, list, _ := strings.Cut(string(b), "Cpus_allowed_list:")
		list, _, _ = strings.Cut(strings.TrimSpace(list), "\n")
		threads = append(threads, cpuList(t, list))
	}
	if len(threads) == 0 {
		t.Fatalf("process %d has no threads", pid)
	}
	return threads
}

// cpuList reads a list such as 0-3,8.
func cpuList(t *testing.T, list string) (cpus []int) {
	t.Helper()
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatalf("list of CPUs %q: %v", list, err)
		}
		for n := a; n <= b; n++ {
			cpus = append(cpus, n)
		}
	}
	return cpus
}

// testPinned: whoever dies, a pinned channel is received by exactly one engine again.
func testPinned(t *testing.T) {
	one, two := newGroup(), newGroup()
	p := run(t, settings{engines: 2, config: "no_data: 1h\nchannels:\n" +
		"  one: {source: 'udp://" + one + "', pinned: true}\n" +
		"  two: {source: 'udp://" + two + "', pinned: true}\n"})
	feeds := []*feed{feedTo(t, p, one), feedTo(t, p, two)}
	for _, f := range feeds {
		joined(t, f.group)
		f.more(1)
	}
	lost, kept := p.engineOf(feeds[0]), p.engineOf(feeds[1])
	p.killWebService()
	kill(t, lost)
	p.eventually(func(st report.Status) error {
		c, e, err := channel(st, one)
		if err == nil && (e.PID == lost || !c.Pinned) {
			err = fmt.Errorf("channel %+v on engine %d, which was killed", c, e.PID)
		}
		return err
	})
	// gws has given out what was missing: now it would have given out too much.
	for i, f := range feeds {
		joined(t, f.group)
		if n := bound(t, f.group); n != 1 {
			t.Errorf("%d sockets receive pinned channel %d, want 1", n, i)
		}
	}
	if now := p.engineOf(feeds[1]); kept != lost && now != kept { // both are on one where the other was late
		t.Errorf("channel two is on engine %d, was on %d", now, kept)
	}
	f := feedTo(t, p, one) // it begins anew
	f.more(3)
	k := take(p, "/$one", anyAddress)
	f.more(2)
	f.delivered(k)
	whole(k)
	if n := bound(t, one); n != 1 || k.check()[0].from != 2*groupPackets {
		t.Errorf("a client of the pinned channel: %d sockets, packets %v; want it to begin with the newest key frame", n, k.check())
	}
}
