package gws

import "testing"

func TestPick(t *testing.T) {
	var (
		free    = candidate{}
		carries = candidate{carries: true}
		tried   = candidate{tried: true}
		both    = candidate{carries: true, tried: true}
	)
	of := func(channels, clients int) candidate { return candidate{channels: channels, clients: clients} }
	has := func(c candidate) candidate { c.carries = true; return c }
	for _, c := range []struct {
		name   string
		spread Spread
		split  bool
		list   []candidate
		turn   int
		want   int
	}{
		{"none", RoundRobin, false, nil, 0, -1},
		{"one", RoundRobin, false, []candidate{free}, 0, 0},
		{"one, its turn is past", RoundRobin, false, []candidate{free}, 7, 0},
		{"the next", RoundRobin, false, []candidate{free, free, free}, 1, 1},
		{"around", RoundRobin, false, []candidate{free, free, free}, 3, 0},
		{"the one that carries", RoundRobin, false, []candidate{free, free, carries}, 0, 2},
		{"the first that carries", RoundRobin, false, []candidate{free, carries, carries}, 2, 1},
		{"another that carries", RoundRobin, false, []candidate{both, free, carries}, 0, 2},
		{"carries, but gone", RoundRobin, false, []candidate{both, free, free}, 2, 2},
		{"not the tried", RoundRobin, false, []candidate{tried, tried, free}, 0, 2},
		{"not the tried, around", RoundRobin, false, []candidate{free, tried, tried}, 1, 0},
		{"all tried", RoundRobin, false, []candidate{tried, both}, 1, -1},
		{"busy, but its turn", RoundRobin, false, []candidate{of(0, 0), of(9, 9)}, 1, 1},

		{"fewest channels", MinChannels, false, []candidate{of(2, 0), of(1, 9), of(3, 0)}, 0, 1},
		{"fewest channels, the next of equals", MinChannels, false, []candidate{of(1, 0), of(2, 0), of(1, 0)}, 1, 2},
		{"fewest channels, around", MinChannels, false, []candidate{of(1, 0), of(2, 0), of(2, 0)}, 1, 0},
		{"fewest channels, not the tried", MinChannels, false, []candidate{{tried: true}, of(2, 0)}, 0, 1},
		{"most channels, but carries", MinChannels, false, []candidate{of(1, 0), has(of(9, 9))}, 0, 1},
		{"fewest clients", MinClients, false, []candidate{of(0, 2), of(9, 1), of(0, 3)}, 0, 1},
		{"fewest clients, the next of equals", MinClients, false, []candidate{of(0, 1), of(0, 1)}, 1, 1},
		{"most clients, but carries", MinClients, false, []candidate{of(0, 1), has(of(0, 9))}, 0, 1},

		{"split: the next, whoever carries", RoundRobin, true, []candidate{carries, free}, 1, 1},
		{"split: around", RoundRobin, true, []candidate{carries, free}, 2, 0},
		{"split: fewest clients, whoever carries", MinClients, true, []candidate{has(of(1, 2)), of(0, 1)}, 0, 1},
		{"split: fewest channels then", MinChannels, true, []candidate{has(of(2, 0)), of(2, 0)}, 1, 0},
		{"split: as many channels then", MinChannels, true, []candidate{has(of(2, 0)), of(1, 0)}, 1, 1},
		{"split: not the tried", MinClients, true, []candidate{{tried: true}, of(0, 5)}, 0, 1},
		{"split: all tried", MinClients, true, []candidate{tried, both}, 0, -1},
	} {
		if got := pick(c.list, c.turn, c.spread, c.split); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestParseSpread(t *testing.T) {
	for _, want := range []Spread{RoundRobin, MinChannels, MinClients} {
		if got, err := ParseSpread(want.String()); err != nil || got != want {
			t.Errorf("%v: %v, %v", want, got, err)
		}
	}
	for _, s := range []string{"", "random", "Round-Robin", "min_clients"} {
		if got, err := ParseSpread(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}
