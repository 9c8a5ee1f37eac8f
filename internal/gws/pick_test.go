package gws

import "testing"

func TestPick(t *testing.T) {
	var (
		free    = candidate{}
		carries = candidate{carries: true}
		tried   = candidate{tried: true}
		both    = candidate{carries: true, tried: true}
	)
	for _, c := range []struct {
		name string
		list []candidate
		turn int
		want int
	}{
		{"none", nil, 0, -1},
		{"one", []candidate{free}, 0, 0},
		{"one, its turn is past", []candidate{free}, 7, 0},
		{"the next", []candidate{free, free, free}, 1, 1},
		{"around", []candidate{free, free, free}, 3, 0},
		{"the one that carries", []candidate{free, free, carries}, 0, 2},
		{"the first that carries", []candidate{free, carries, carries}, 2, 1},
		{"another that carries", []candidate{both, free, carries}, 0, 2},
		{"carries, but gone", []candidate{both, free, free}, 2, 2},
		{"not the tried", []candidate{tried, tried, free}, 0, 2},
		{"not the tried, around", []candidate{free, tried, tried}, 1, 0},
		{"all tried", []candidate{tried, both}, 1, -1},
	} {
		if got := pick(c.list, c.turn); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
