package gws

import (
	"strings"
	"testing"

	"sluice/internal/lineup"
	"sluice/internal/report"
)

func TestExceeded(t *testing.T) {
	const M = 1_000_000
	all := Limits{MaxClients: 10, MaxPerAddress: 3, MaxPending: 5, MaxChannels: 4, MaxEgress: 100 * M}
	own := lineup.Settings{MaxClients: 2, MaxEgress: 20 * M}
	full := load{clients: 10, address: 3, pending: 5, channels: 4, egress: 100 * M, channelClients: 2, rate: 10 * M}
	for _, c := range []struct {
		name   string
		limits Limits
		own    lineup.Settings
		load   load
		want   limit
		value  int64
	}{
		{"nothing limited", Limits{}, lineup.Settings{}, full, noLimit, 0},
		{"nothing there", all, own, load{}, noLimit, 0},
		{"the last client", all, own, load{clients: 9}, noLimit, 0},
		{"one client too many", all, own, load{clients: 10}, limitClients, 10},
		{"the last of an address", all, own, load{address: 2}, noLimit, 0},
		{"one too many of an address", all, own, load{address: 3}, limitPerAddress, 3},
		{"the last that waits", all, own, load{pending: 4}, noLimit, 0},
		{"one too many that wait", all, own, load{pending: 5}, limitPending, 5},
		{"the last channel", all, own, load{channels: 3}, noLimit, 0},
		{"one channel too many", all, own, load{channels: 4}, limitChannels, 4},
		{"another client of the last channel", all, own, load{channels: 4, open: true}, noLimit, 0},
		{"channels above the limit, pinned ones", all, own, load{channels: 9, open: true}, noLimit, 0},
		{"as much as goes out", all, own, load{egress: 90 * M, rate: 10 * M, open: true}, noLimit, 0},
		{"a bit too much", all, own, load{egress: 90*M + 1, rate: 10 * M, open: true}, limitEgress, 100 * M},
		{"rate not known", all, own, load{egress: 100 * M}, noLimit, 0},
		{"rate not known, too much already", all, own, load{egress: 100*M + 1}, limitEgress, 100 * M},
		{"the last of a channel", all, own, load{channelClients: 1, open: true}, noLimit, 0},
		{"one too many of a channel", all, own, load{channelClients: 2, open: true}, limitChannelClients, 2},
		{"as much as a channel may", all, own, load{channelClients: 1, rate: 10 * M, open: true}, noLimit, 0},
		{"a bit too much of a channel", all, own, load{channelClients: 1, rate: 10*M + 1, open: true}, limitChannelEgress, 20 * M},
		{"the channel's own first", all, own, full, limitChannelClients, 2},
		{"then the address", all, lineup.Settings{}, full, limitPerAddress, 3},
	} {
		if got, value := c.limits.exceeded(c.load, c.own); got != c.want || value != c.value {
			t.Errorf("%s: %v of %d, want %v of %d", c.name, got, value, c.want, c.value)
		}
	}
}

// Every limit has a name, and a counter of its own in the status.
func TestEveryLimitIsTold(t *testing.T) {
	seen := make(map[report.Refused]limit)
	for l := noLimit + 1; l < limits; l++ {
		var r refusals
		r[l] = 7
		got := r.report()
		if other, twice := seen[got]; twice || got == (report.Refused{}) {
			t.Errorf("%v is counted as %+v, like %v", l, got, other)
		}
		seen[got] = l
		if name := l.String(); !strings.Contains(name, "limits.") && !strings.Contains(name, "max_") {
			t.Errorf("limit %d is called %q", l, name)
		}
	}
}

func TestNewRefusesNegativeLimits(t *testing.T) {
	for _, l := range []Limits{{MaxClients: -1}, {MaxPerAddress: -1}, {MaxPending: -1}, {MaxChannels: -1}, {MaxEgress: -1}} {
		if l.validate() == nil {
			t.Errorf("%+v passes", l)
		}
	}
	if err := DefaultLimits().validate(); err != nil {
		t.Error(err)
	}
}
