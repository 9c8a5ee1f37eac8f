//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sluice/internal/report"
)

// testNoEngineYet: a gws alone answers at the admin port, and gives users no data.
func testNoEngineYet(t *testing.T) {
	h := newHouse(t, "no_data: 1h\n")
	for _, path := range []string{"/ping", "/status", "/report"} {
		if a := request(t, http.MethodGet, h.adminURL(path)); a.code != 200 {
			t.Errorf("%s: %d %q, want 200", path, a.code, a.body)
		}
	}
	if st := h.status(); len(st.Engines) != 0 || st.Totals.Channels != 0 {
		t.Errorf("status %+v, want no engines", st)
	}
	group := source(t)
	if a := request(t, http.MethodGet, h.url("/udp/"+group)); a.code != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("a user got %d, Retry-After %q, %q; want 503 and a time", a.code, a.header.Get("Retry-After"), a.body)
	}
	if n := members(t, group); n != 0 {
		t.Errorf("%d memberships for a user who gets nothing", n)
	}
}

// testTooFewEngines: nobody is served, nor kept waiting, while an engine is missing.
func testTooFewEngines(t *testing.T) {
	h := newHouse(t, "min_engines: 2\nno_data: 1h\n")
	h.startEngines(1)
	group := source(t)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := request(t, method, h.url("/udp/"+group))
		if a.code != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q, %q; want 503 and a time", method, a.code, a.header.Get("Retry-After"), a.body)
		}
	}
	if n := members(t, group); n != 0 {
		t.Errorf("%d memberships before there are enough engines", n)
	}
}

// testEnoughEngines: with the last engine that was missing users are served; what they were
// answered before changes nothing.
func testEnoughEngines(t *testing.T) {
	h := newHouse(t, "min_engines: 2\nno_data: 1h\n")
	group := source(t)
	h.wants(503, "/udp/"+group)
	h.startEngines(1)
	h.wants(503, "/udp/"+group)
	h.engine("2")
	h.attached(2)
	k := take(h.product, "/udp/"+group, anyAddress)
	goesOn(groupPackets, k)

	st := h.status()
	_, home, err := channel(st, group)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range st.Engines {
		if e.ID != home.ID {
			kill(t, e.PID)
		}
	}
	h.attached(1)
	h.wants(503, "/udp/"+group) // one more; who watches already stays
	goesOn(groupPackets, k)
	whole(k)
}

// testManyEngines: 64 engines of one gws are attached, and the next is told that it is one
// too many.
func testManyEngines(t *testing.T) {
	const most = 64
	h := newHouse(t, "reconnect: {attempts: 2, delay: 100ms}\nno_data: 1h\n")
	all := h.startEngines(most)
	extra := h.engine("extra")
	if err := extra.Wait(); err == nil {
		t.Error("an engine too many ended in good order")
	}
	said := fmt.Sprintf(`"extra" is one too many: there are %d`, most)
	if !strings.Contains(extra.Output(), said) {
		t.Errorf("it said %q, want %q", extra.Output(), said)
	}
	h.gws.WaitLine(`engine refused.*one too many: there are 64`)
	h.attached(most)

	_, k := h.opened()
	whole(k)
	killed(t, all[0])
	h.attached(most - 1)
	h.engine("extra")
	h.attached(most)
	stopped(t, h.gws) // and with it the engines, all at once
}

// testRoundRobin: four new channels over two engines make two each.
func testRoundRobin(t *testing.T) {
	p := run(t, settings{engines: 2, config: "spread: round-robin\nno_data: 1h\n"})
	var takers []*taker
	for range 4 {
		f, k := p.opened()
		more := takeMany(p, f.path(), len(takers)) // the engines have different numbers of clients
		f.delivered(more...)
		takers = append(append(takers, k), more...)
	}
	if got := channelsOf(p.status()); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("channels of the engines: %v, want 2 and 2", got)
	}
	whole(takers...)
}

// testMinChannels: the next channel goes to the engine with fewest channels, however many
// clients it has.
func testMinChannels(t *testing.T) {
	p := run(t, settings{engines: 2, config: "spread: min-channels\nlinger: 0s\nno_data: 1h\n"})
	one, _ := p.opened()
	two, _ := p.opened()
	if p.engineOf(one) == p.engineOf(two) {
		t.Fatal("the second channel came to the engine that had the first")
	}
	three, _ := p.opened()
	busy, lone := p.engineOf(three), one
	if p.engineOf(one) == busy {
		lone = two
	}
	p.end("UDP://"+lone.group, "")
	p.channels(2)

	for range 2 { // the other engine has none, then one with many clients
		f, _ := p.opened()
		takeMany(p, f.path(), 5)
		if p.engineOf(f) == busy {
			t.Error("a channel came to the engine that had more channels")
		}
	}
}

// testMinClients: the next channel goes to the engine with fewest clients, however many
// channels it has.
func testMinClients(t *testing.T) {
	p := run(t, settings{engines: 2, config: "spread: min-clients\nno_data: 1h\n"})
	one, _ := p.opened()
	takeMany(p, one.path(), 4)
	for range 3 {
		f, _ := p.opened()
		if p.engineOf(f) == p.engineOf(one) {
			t.Error("a channel came to the engine that had more clients")
		}
	}
	if got := channelsOf(p.status()); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("channels of the engines: %v, want 1 and 3", got)
	}
}

// testChannelOnOneEngine: all clients of a channel are on one engine, whatever they call it.
func testChannelOnOneEngine(t *testing.T) {
	group := newGroup()
	p := run(t, settings{engines: 3, config: "spread: min-clients\nno_data: 1h\nchannels: {news: {source: 'udp://" + group + "'}}\n"})
	f := feedTo(t, p, group)
	paths := []string{"/udp/" + group, "/rtp/" + group, "/$news", pair("udp://"+group, ""), pair("$news", "")}
	sameChannel(t, f, f.path(), slices.Concat(paths, paths)...)
	if got := channelsOf(p.status()); !slices.Equal(got, []int{0, 0, 1}) {
		t.Errorf("channels of the engines: %v, want one alone", got)
	}
}

// testChannelOnAllEngines: with split_channels the clients of one channel are spread as
// channels else are, and each engine receives it.
func testChannelOnAllEngines(t *testing.T) {
	const each = 3
	for _, spread := range []string{"round-robin", "min-channels", "min-clients"} {
		t.Run(spread, func(t *testing.T) {
			t.Parallel()
			p := run(t, settings{engines: 2, config: "split_channels: true\nspread: " + spread + "\nno_data: 1h\n"})
			group := source(t)
			all := takeMany(p, "/udp/"+group, 2*each)
			p.eventually(func(st report.Status) error {
				for _, e := range st.Engines {
					if len(e.Channels) != 1 || len(e.Channels[0].Clients) != each {
						return fmt.Errorf("engine %s: %+v, want %d clients of the channel", e.ID, e.Channels, each)
					}
				}
				return nil
			})
			if n := bound(t, group); n != 2 {
				t.Errorf("%d sockets receive the group, want one an engine", n)
			}
			goesOn(groupPackets, all...)
			whole(all...)
		})
	}
}
