//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testHealthyBesideStalled: every core is kept busy by somebody else, and fifty clients
// stall; two hundred others lose no packet.
func testHealthyBesideStalled(t *testing.T) {
	const healthy, stalled = 200, 50
	p := run(t, settings{config: stallsLong + "history: {depth: 5s}\n"})
	group := newGroup()
	sendNumbers(t, group, "1M")
	all := takeMany(p, "/udp/"+group, healthy)
	slow := stall(p, "/udp/"+group, stalled)
	for range runtime.NumCPU() {
		testkit.Start(t, "sh", "-c", "while :; do :; done")
	}
	for skipped := false; !skipped; {
		goesOn(groupPackets, all...)
		st := p.status()
		skipped = true
		for _, k := range slow {
			c, err := clientOf(st, k.addr)
			if err != nil {
				t.Fatal(err)
			}
			skipped = skipped && c.Skips > 0
		}
	}
	goesOn(5*groupPackets, all...)
	whole(all...)
	p.nothingLost(group)
	st := p.status()
	for _, k := range all {
		if c, err := clientOf(st, k.addr); err != nil || c.Skips != 0 {
			t.Errorf("healthy client %+v (%v) was made to skip", c, err)
		}
	}
}

// nothingLost wants channels that have met no fault, and no full receive buffer.
func (p *product) nothingLost(groups ...string) {
	p.t.Helper()
	st := p.status()
	for _, group := range groups {
		c, _, err := channel(st, group)
		if err != nil {
			p.t.Fatal(err)
		}
		if s := c.Sources[0]; s.Legs[0].KernelLost != 0 || s.Continuity != 0 || s.SyncLost != 0 {
			p.t.Errorf("source %+v of a channel without faults", s)
		}
	}
}

// testHighRate: a client that reads gets every packet of a fast channel.
func testHighRate(t *testing.T) {
	const packets = 250_000 // 47 MB
	p := run(t, settings{config: "no_data: 1h\nhistory: {depth: 60s, channel: 512MiB, total: 512MiB}\n"})
	group := newGroup()
	sendNumbers(t, group, "160M")
	k := take(p, "/udp/"+group, anyAddress)
	goesOn(packets, k)
	whole(k)
	p.nothingLost(group)
}

// testManyChannels: a hundred channels of one engine, and each client gets its own to
// the byte.
func testManyChannels(t *testing.T) {
	const channels = 100
	p := run(t, settings{config: stallsLong})
	feeds, bodies := make([]*feed, channels), make([]io.Reader, channels)
	errs := make([]error, channels)
	var answers sync.WaitGroup
	for i := range feeds {
		feeds[i] = newFeed(t, p)
		answers.Go(func() { bodies[i], errs[i] = body(p, feeds[i].path()) })
	}
	p.allJoined(feeds...)
	for round := range 8 {
		for _, f := range feeds {
			for len(f.sent) < (round+1)*groupBytes {
				f.sendGroup()
			}
		}
		p.allArrived(feeds...)
	}
	answers.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var groups []string
	for i, f := range feeds {
		if err := same(bodies[i], f.sent); err != nil {
			t.Errorf("channel %s: %v", f.group, err)
		}
		groups = append(groups, f.group)
	}
	p.nothingLost(groups...)
}

// allArrived waits until every channel has everything.
func (p *product) allArrived(feeds ...*feed) {
	p.t.Helper()
	p.eventually(func(st report.Status) error {
		for _, f := range feeds {
			if err := f.hasAll(st); err != nil {
				return err
			}
		}
		return nil
	})
}

// allJoined waits until every channel receives.
func (p *product) allJoined(feeds ...*feed) {
	p.t.Helper()
	for _, f := range feeds {
		joined(p.t, f.group)
	}
}

// body asks for a stream and returns what comes behind the head.
func body(p *product, path string) (io.Reader, error) {
	k, err := knock(p, path, anyAddress)
	if err != nil {
		return nil, err
	}
	p.t.Cleanup(func() { k.conn.Close() })
	return k.stream, nil
}

// same says where a stream differs from want.
func same(stream io.Reader, want []byte) error {
	buf := make([]byte, 64<<10)
	for at := 0; at < len(want); {
		n, err := stream.Read(buf[:min(len(buf), len(want)-at)])
		if !bytes.Equal(buf[:n], want[at:at+n]) {
			return fmt.Errorf("differs from what was sent between bytes %d and %d", at, at+n)
		}
		if at += n; err != nil && at < len(want) {
			return fmt.Errorf("after %d of %d bytes: %w", at, len(want), err)
		}
	}
	return nil
}

// testHistoryInFiles: a channel that many watch is sent out of files. All get the same,
// to the byte, and nothing is left when they have gone, however often they come.
func testHistoryInFiles(t *testing.T) {
	const many = 210 // from 200 on
	p := run(t, settings{config: "no_data: 1h\nlinger: 0s\nhistory: {depth: 1h}\n"})
	churn(t, p) // all that is kept for good is there
	engine := p.status().Engines[0].PID
	before := descriptors(t, engine)

	f := newFeed(t, p)
	bodies, errs := make([]io.Reader, many), make([]error, many)
	var all sync.WaitGroup
	conns := make([]*taker, many)
	for i := range many {
		all.Go(func() { conns[i], errs[i] = knock(p, f.path(), anyAddress) })
	}
	p.allJoined(f)
	f.more(1)
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	f.more(80)
	if n := inFiles(t, engine); n < 2 {
		t.Errorf("%d files of the history with %d clients, want some", n, many)
	}
	for i, k := range conns {
		bodies[i] = k.stream
		all.Go(func() { errs[i] = same(bodies[i], f.sent) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	for _, k := range conns {
		k.conn.Close()
	}
	p.channels(0, f)
	churn(t, p)
	churn(t, p)
	testkit.Eventually(t, func() error {
		if now := descriptors(t, engine); len(now) > len(before) || inFiles(t, engine) != 0 {
			return fmt.Errorf("the engine has %d descriptors, had %d: %v, had %v", len(now), len(before), now, before)
		}
		return nil
	})
}

// churn has a hundred clients come and go, and waits until their channel has gone.
func churn(t *testing.T, p *product) {
	t.Helper()
	f := newFeed(t, p)
	first := f.first(f.path())
	all := append(takeMany(p, f.path(), 100), first)
	f.more(2)
	f.delivered(all...)
	for _, k := range all {
		k.close()
	}
	whole(all...)
	p.channels(0, f)
}

// descriptors are what the open files of a process are.
func descriptors(t *testing.T, pid int) (all []string) {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil { // else closed meanwhile
			all = append(all, to)
		}
	}
	return all
}

// inFiles is how many files hold a history of the process.
func inFiles(t *testing.T, pid int) (n int) {
	t.Helper()
	for _, to := range descriptors(t, pid) {
		if strings.HasPrefix(to, "/memfd:sluice-history") {
			n++
		}
	}
	return n
}

// testNothingPerPacket: however much passes, the log stays as long as it is.
func testNothingPerPacket(t *testing.T) {
	const packets, lines = 10_000, 150
	p := run(t, settings{config: "log: {level: debug}\nno_data: 1h\n"})
	f := newFeed(t, p)
	k := f.first(f.path())
	f.more(packets/groupPackets + 1)
	f.delivered(k)
	whole(k)
	p.stop() // all that will be said has been
	if n := strings.Count(p.proc.Output(), "\n"); n > lines || !strings.Contains(p.proc.Output(), "DEBUG") {
		t.Errorf("%d lines for %d packets, want at most %d, and some of level debug:\n%.4000s", n, packets, lines, p.proc.Output())
	}
}

// testNames: a channel has a name, an address, or two of them.
func testNames(t *testing.T) {
	group, first, second := newGroup(), newGroup(), newGroup()
	p := run(t, settings{config: "no_data: 1h\nchannels: {news: {source: 'udp://" + group + "'}}\n"})
	f := feedTo(t, p, group)
	byName := f.first("/$news")
	byAddress := take(p, f.path(), anyAddress)
	encoded := take(p, "/%24news?player=1", anyAddress)
	f.more(2)
	f.delivered(byName, byAddress, encoded)
	whole(byName, byAddress, encoded)
	if c, _, err := channel(p.status(), group); err != nil || c.Name != "news" || len(c.Clients) != 3 || c.Tag != "UDP://"+group {
		t.Errorf("channel %+v (%v), want news with three clients", c, err)
	}
	for path, code := range map[string]int{"/$old": 404, "/$news/x": 404, "/$": 400, "/$n%20s": 400} {
		if a := request(t, "GET", p.url(path)); a.code != code || strings.Count(a.body, "\n") != 1 {
			t.Errorf("%s: %d %q, want %d and one line", path, a.code, a.body, code)
		}
	}

	pair := feedTo(t, p, second, first)
	pair.wrap = inRTP
	encoded = pair.first("/udp/" + first + "%7C" + second)
	bar := take(p, "/udp/"+first+"|"+second, anyAddress)
	pair.more(3)
	pair.delivered(encoded, bar)
	whole(encoded, bar)
	c, _, err := channel(p.status(), pair.group)
	if err != nil || len(c.Clients) != 2 || len(c.Sources[0].Legs) != 2 {
		t.Fatalf("channel %+v (%v), want one of two legs with both clients", c, err)
	}
	for _, l := range c.Sources[0].Legs {
		if want := uint64(pair.packets() * ts.PacketSize / datagramSize); l.Datagrams != want || l.Dropped != "" {
			t.Errorf("leg %+v, want %d datagrams", l, want)
		}
	}
}
