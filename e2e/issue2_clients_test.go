//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// stallsLong is the configuration of tests in which clients stall for as long as they like.
const stallsLong = "stall: 1h\nno_data: 1h\n"

// testSlow has clients stall that are to be treated in different ways: the setting of
// all, that of their channel, or what they ask for themselves.
func testSlow(t *testing.T) {
	for _, c := range []struct {
		setting string
		own     string // of the channel
		query   string
		skips   bool
	}{
		{"", "", "", true},
		{"", "", "?slow=disconnect", false},
		{"", "disconnect", "", false},
		{"", "disconnect", "?slow=skip", true},
		{"disconnect", "", "", false},
		{"disconnect", "skip", "", true},
	} {
		t.Run(fmt.Sprintf("setting %q channel %q query %q", c.setting, c.own, c.query), func(t *testing.T) {
			t.Parallel()
			group := newGroup()
			config := stallsLong + "history: {depth: 1h, channel: 1MiB}\nchannels:\n  news:\n    source: udp://" + group + "\n"
			if c.own != "" {
				config += "    slow: " + c.own + "\n"
			}
			if c.setting != "" {
				config += "slow: " + c.setting + "\n"
			}
			p := run(t, settings{config: config})
			f := feedTo(t, p, group)
			healthy := f.first("/$news")
			slow := stall(p, "/$news"+c.query, 1)[0]
			if c.skips {
				slowSkips(t, f, healthy, slow)
			} else {
				slowIsDisconnected(t, f, healthy, slow)
			}
			whole(healthy)
		})
	}
}

// slowSkips: it goes on at a key frame, and the status tells exactly what it missed.
func slowSkips(t *testing.T, f *feed, healthy, slow *taker) {
	t.Helper()
	f.untilGone(healthy, slow, func(c report.Client, err error) bool { return err == nil && c.Skips > 0 })
	told, err := clientOf(f.p.status(), slow.addr)
	if err != nil {
		t.Fatal(err)
	}
	slow.resume()
	f.delivered(slow)
	got, missing := slow.check(), 0
	for i := 1; i < len(got); i++ { // the tables before a key frame count as missed: it gets them apart
		missing += got[i].from + inTables - got[i-1].to
	}
	if len(got) < 2 || told.Skipped != uint64(missing*ts.PacketSize) {
		t.Errorf("packets %v, so %d missed; the status tells %d bytes and %d skips", got, missing, told.Skipped, told.Skips)
	}
}

// slowIsDisconnected: it gets what was sent to it, and then the end.
func slowIsDisconnected(t *testing.T, f *feed, healthy, slow *taker) {
	t.Helper()
	f.untilGone(healthy, slow, func(_ report.Client, err error) bool { return err != nil })
	f.p.proc.WaitLine("too slow")
	slow.resume()
	if err := slow.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v, want an orderly end", err)
	}
	whole(slow)
}

// untilGone sends until the client is what it is waited for, and checks on the way that
// its lag is told to the byte.
func (f *feed) untilGone(healthy, slow *taker, is func(report.Client, error) bool) {
	f.p.t.Helper()
	lagged := uint64(0)
	for range 200 {
		f.more(8)
		f.delivered(healthy)
		st := f.p.status()
		c, err := clientOf(st, slow.addr)
		if is(c, err) {
			if lagged < 256<<10 {
				f.p.t.Errorf("the most lag that was seen is %d bytes", lagged)
			}
			return
		}
		if c.Lag > uint64(len(f.sent)) || c.Lag+c.Bytes < uint64(len(f.sent)) || c.Lag < lagged {
			f.p.t.Fatalf("client %+v: has had %d bytes less than its lag; %d were sent", c, c.Bytes, len(f.sent))
		}
		lagged = c.Lag
		if h, err := clientOf(st, healthy.addr); err != nil || h.Lag != 0 || h.Skips != 0 {
			f.p.t.Errorf("healthy client %+v (%v) has everything", h, err)
		}
	}
	f.p.t.Fatal("nothing has become of the slow client")
}

// testWaitIsRefused: a live channel cannot wait for a client.
func testWaitIsRefused(t *testing.T) {
	p := run(t, settings{})
	a := request(t, "GET", p.url("/udp/"+newGroup()+"?slow=wait"))
	if a.code != 400 || !strings.Contains(a.body, "want skip or disconnect") {
		t.Errorf("?slow=wait: %d %q", a.code, a.body)
	}
	for _, text := range []string{
		"linger: 5s\nslow: wait\n",
		"channels: {news: {source: 'udp://239.1.1.1:5000',\n  slow: wait}}\n",
	} {
		bad := filepath.Join(t.TempDir(), "bad.yaml")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, msg, code := output(program(), "run", "-C", bad)
		if code != 1 || !strings.Contains(msg, "bad.yaml:2:") || !strings.Contains(msg, "want skip or disconnect") {
			t.Errorf("%q: exit %d, %q", text, code, msg)
		}
	}
}

// testStalledCostNothing: fifty stalled clients share one history and hold nothing else.
func testStalledCostNothing(t *testing.T) {
	const stalled, window, most = 50, 320 << 10, 8 << 20 // window: what may wait unsent, and what is in flight
	p := run(t, settings{config: stallsLong + "history: {depth: 1h, channel: 8MiB}\n"})
	f := newFeed(t, p)
	healthy := f.first(f.path())
	fill := func() {
		for begin := len(f.sent); len(f.sent) < begin+most+1<<20; {
			f.more(16)
			f.delivered(healthy)
			if c, _, err := channel(p.status(), f.group); err != nil || c.History > most {
				t.Fatalf("a history of %d bytes (%v), the limit is %d", c.History, err, most)
			}
		}
	}
	fill()
	_, e, err := channel(p.status(), f.group)
	if err != nil {
		t.Fatal(err)
	}
	before := residentBytes(t, e.PID)
	slow := stall(p, f.path(), stalled)
	fill()
	st := p.status()
	for _, k := range slow {
		c, err := clientOf(st, k.addr)
		if err != nil || c.Skips == 0 || c.Bytes > window {
			t.Errorf("stalled client %+v (%v): want a skip, and less than %d bytes given to the kernel", c, err, window)
		}
	}
	if grown := residentBytes(t, e.PID) - before; grown > stalled*window {
		t.Errorf("the engine has grown by %d bytes for %d stalled clients", grown, stalled)
	}
	whole(healthy)
}

// testStart compares the first packets of a client with what was sent, where it begins
// by setting, by channel and by request.
func testStart(t *testing.T) {
	for _, c := range []struct {
		setting, own, query string
		from                func(f *feed) int // the first packet it gets
	}{
		{"", "", "", newestGroup},
		{"", "", "?start=live", (*feed).packets},
		{"", "", "?start=1h", oldestGroup},
		{"", "live", "", (*feed).packets},
		{"live", "", "", (*feed).packets},
		{"live", "", "?start=key", newestGroup},
		{"live", "1h", "", oldestGroup},
		{"1h", "key", "", newestGroup},
	} {
		t.Run(fmt.Sprintf("setting %q channel %q query %q", c.setting, c.own, c.query), func(t *testing.T) {
			t.Parallel()
			group := newGroup()
			config := stallsLong + "channels:\n  news:\n    source: udp://" + group + "\n"
			if c.own != "" {
				config += "    start: " + c.own + "\n"
			}
			if c.setting != "" {
				config += "start: " + c.setting + "\n"
			}
			p := run(t, settings{config: config})
			f := feedTo(t, p, group)
			first := f.first("/$news")
			f.more(20)
			want := c.from(f)
			k := take(p, "/$news"+c.query, anyAddress)
			f.more(3)
			f.delivered(first, k)
			whole(first, k)
			if got := k.check()[0].from; got != want {
				t.Errorf("begins with packet %d of %d, want %d", got, f.packets(), want)
			}
		})
	}
}

func newestGroup(f *feed) int { return f.packets() - groupPackets }
func oldestGroup(*feed) int   { return 0 }

// testStartBack: who asks for so many seconds begins at the newest key frame that is at
// least so old. The test knows when each group was sent and when the client was answered:
// it never begins with a younger one, and not for ever with the oldest.
func testStartBack(t *testing.T) {
	const back = 3 * time.Second
	p := run(t, settings{config: stallsLong})
	f := newFeed(t, p)
	before := []time.Time{time.Now()} // of each group: it had not been sent
	first := f.first(f.path())
	for middle := false; !middle; {
		before = append(before, time.Now())
		f.more(1)
		k, err := knock(p, f.path()+"?start=3s", anyAddress)
		if err != nil {
			t.Fatal(err)
		}
		answered := time.Now()
		b := make([]byte, groupBytes)
		if _, err := io.ReadFull(k.stream, b); err != nil {
			t.Fatal(err)
		}
		k.conn.Close()
		n, ok := numberOf(b[:ts.PacketSize])
		begun := n / groupPackets
		if !ok || n%groupPackets != 0 || !bytes.Equal(b, f.sent[begun*groupBytes:][:groupBytes]) {
			t.Fatalf("the client began with packet %d, want a whole group as it was sent", n)
		}
		if begun > 0 && answered.Sub(before[begun]) < back {
			t.Fatalf("began with group %d, which was %v old at most, want at least %v", begun, answered.Sub(before[begun]), back)
		}
		middle = begun > 0
	}
	f.delivered(first)
	whole(first)
}

// testHistoryDepth: a channel keeps as many bytes and as many seconds as it is told, by
// setting and by its own.
func testHistoryDepth(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		const own, all = 1 << 20, 3 << 20
		group := newGroup()
		p := run(t, settings{config: stallsLong + "history: {depth: 1h, channel: 3MiB}\n" +
			"channels: {news: {source: 'udp://" + group + "', history: {channel: 1MiB}}}\n"})
		for _, c := range []struct {
			f    *feed
			most uint64
		}{{feedTo(t, p, group), own}, {newFeed(t, p), all}} {
			first := c.f.first(c.f.path())
			for range 8 {
				c.f.more(16)
				c.f.delivered(first)
				if ch, _, err := channel(p.status(), c.f.group); err != nil || ch.History > c.most {
					t.Errorf("a history of %d bytes (%v), the limit is %d", ch.History, err, c.most)
				}
			}
			k := take(p, c.f.path()+"?start=1h", anyAddress)
			c.f.delivered(k)
			whole(first, k)
			if has := uint64(c.f.packets()-k.check()[0].from) * ts.PacketSize; has > c.most || has < c.most/2 {
				t.Errorf("reaches back %d bytes, want most of %d", has, c.most)
			}
		}
	})
	t.Run("seconds", func(t *testing.T) {
		t.Parallel()
		const depth = 2 * time.Second
		p := run(t, settings{config: stallsLong + "history: {depth: 2s}\n"})
		f := newFeed(t, p)
		first := f.first(f.path())
		begun := time.Now() // before the last byte of the first segment, from which its time counts
		f.more(6)           // together just below a segment, and that goes as a whole
		testkit.Eventually(t, func() error {
			f.more(1)
			f.delivered(first)
			k := take(p, f.path()+"?start=1h", anyAddress)
			f.delivered(k)
			if k.close(); k.check()[0].from == 0 {
				return errors.New("the history still begins with the first packet")
			}
			return nil
		})
		if passed := time.Since(begun); passed < depth {
			t.Errorf("the beginning went after %v, want it kept for %v", passed, depth)
		}
		whole(first)
	})
}

// testHistoryTotal: all channels together never hold more than they may.
func testHistoryTotal(t *testing.T) {
	const channels, total = 10, 5 << 20
	p := run(t, settings{config: stallsLong + "history: {depth: 1h, channel: 4MiB, total: 5MiB}\n"})
	var feeds []*feed
	var takers []*taker
	for range channels {
		f := newFeed(t, p)
		feeds = append(feeds, f)
		takers = append(takers, f.first(f.path()))
	}
	most := uint64(0)
	for range 10 {
		for i, f := range feeds {
			f.more(4 + 4*(i%3)) // not all have the same rate
			f.delivered(takers[i])
			sum := uint64(0)
			for _, e := range p.status().Engines {
				for _, c := range e.Channels {
					sum += c.History
				}
			}
			if sum > total {
				t.Fatalf("all histories together have %d bytes, the limit is %d", sum, total)
			}
			most = max(most, sum)
		}
	}
	if most < total*3/4 {
		t.Errorf("all histories together had %d bytes at most; the limit of %d was not met", most, total)
	}
	whole(takers...)
}
