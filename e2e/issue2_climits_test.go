//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testLimits fills one limit after the other. Who comes above it is refused, again and
// again, and those who watch lose nothing; when one of them leaves, the next is let in.
func testLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		config string // %s is the group
		room   int    // how many are let in; 0 = as many as the rate allows
		own    bool   // only of the channel: another one is open to all
		from   string // where the clients come from
		free   string // where one comes from that is let in all the same
		counts func(report.Refused) uint64
	}{
		{
			"clients in all", "limits: {clients: 3}\n", 3, false, anyAddress, "",
			func(r report.Refused) uint64 { return r.Clients },
		},
		{
			"clients of an address", "limits: {per_address: 2}\n", 2, false, "127.0.0.2", "127.0.0.3",
			func(r report.Refused) uint64 { return r.PerAddress },
		},
		{
			"clients of a channel", "channels: {a: {source: 'udp://%s', max_clients: 2}}\n", 2, true, anyAddress, "",
			func(r report.Refused) uint64 { return r.ChannelClients },
		},
		{
			"egress in all", "limits: {egress: 3500k}\n", 0, false, anyAddress, "",
			func(r report.Refused) uint64 { return r.Egress },
		},
		{
			"egress of a channel", "channels: {a: {source: 'udp://%s', max_egress: 3500k}}\n", 0, true, anyAddress, "",
			func(r report.Refused) uint64 { return r.ChannelEgress },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			group, other := newGroup(), newGroup()
			config := c.config
			if c.own {
				config = fmt.Sprintf(config, group)
			}
			p := run(t, settings{config: "no_data: 1h\n" + config})
			sendNumbers(t, group, "1M")
			sendNumbers(t, other, "1M")
			l := &limited{p: p, path: "/udp/" + group, from: c.from}
			l.fill(c.room)
			for tries := 0; l.refusals < 40; tries++ {
				if l.knock(c.room == 0) && tries > 1000 {
					t.Fatalf("%d of %d were refused", l.refusals, tries)
				}
			}
			if c.own {
				l.watch = append(l.watch, take(p, "/udp/"+other, c.from))
			}
			if c.free != "" {
				l.watch = append(l.watch, take(p, l.path, c.free))
			}
			goesOn(groupPackets, l.watch...)
			l.leave(c.room)
			testkit.Eventually(t, func() error {
				if !l.knock(true) {
					return errors.New("one has left, and the next is refused")
				}
				return nil
			})
			goesOn(groupPackets, l.watch...)
			whole(l.watch...)
			if told := c.counts(p.status().Totals.Refused); told != l.refusals {
				t.Errorf("the status counts %d refusals, there were %d", told, l.refusals)
			}
		})
	}
}

// limited is a channel that has a limit, and those who watch it.
type limited struct {
	p        *product
	path     string
	from     string
	watch    []*taker
	refusals uint64
}

// fill lets in as many as there is room for: so many, or until one is refused.
func (l *limited) fill(room int) {
	l.p.t.Helper()
	l.watch = append(l.watch, take(l.p, l.path, l.from))
	if room > 0 {
		for range room - 1 {
			l.watch = append(l.watch, take(l.p, l.path, l.from))
		}
		return
	}
	l.p.eventually(func(st report.Status) error {
		if st.Totals.RateIn < 900_000 {
			return fmt.Errorf("the channel has %d bit/s until now", st.Totals.RateIn)
		}
		return nil
	})
	for len(l.watch) < 20 {
		k, err := knock(l.p, l.path, l.from)
		if refused(l.p.t, err) {
			l.refusals++
			return
		}
		k.read(l.p.t)
		l.watch = append(l.watch, k)
	}
	l.p.t.Fatal("20 clients of 1 Mbit/s were let in, the limit is 3.5 Mbit/s")
}

// leave has one go who watches. Where the rate decides, there may be more than there is
// room for: two stay, since three of 1 Mbit/s have room.
func (l *limited) leave(room int) {
	n := 1
	if room == 0 {
		n = max(1, len(l.watch)-2)
	}
	for _, k := range l.watch[:n] {
		k.close()
	}
	l.watch = l.watch[n:]
}

// knock asks once more and says whether it was let in; it goes again at once. Where the
// rate decides that may happen now and then.
func (l *limited) knock(may bool) (in bool) {
	l.p.t.Helper()
	k, err := knock(l.p, l.path, l.from)
	if refused(l.p.t, err) {
		l.refusals++
		return false
	}
	k.conn.Close()
	if !may {
		l.p.t.Fatal("one was let in above the limit")
	}
	return true
}
