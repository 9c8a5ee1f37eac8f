package main

import (
	"maps"
	"testing"
)

// What is held against a peer is the ratio in the same round, not that of the medians.
func TestJudgeAgainst(t *testing.T) {
	r := func(sluice, haproxy []float64) *results {
		all := &results{runs: map[string][]measured{}, names: []string{"sluice", peerHaproxy}}
		for _, v := range sluice {
			all.runs["sluice"] = append(all.runs["sluice"], measured{tripCPU: v})
		}
		for _, v := range haproxy {
			all.runs[peerHaproxy] = append(all.runs[peerHaproxy], measured{tripCPU: v})
		}
		return all
	}
	below := target{figure: tripCPU, limit: 0.5, against: peerHaproxy}
	above := target{figure: tripCPU, limit: 1.7, against: peerHaproxy, atLeast: true}
	tests := map[string]struct {
		results *results
		targets []target
		verdict string
	}{
		"held":                 {r([]float64{1, 40, 3}, []float64{2, 100, 9}), []target{below}, targetHeld},
		"the rounds decide":    {r([]float64{10, 1, 9}, []float64{15, 100, 16}), []target{below}, targetMissed},
		"at least":             {r([]float64{18}, []float64{10}), []target{above}, targetHeld},
		"too little":           {r([]float64{16}, []float64{10}), []target{above}, targetMissed},
		"no peer":              {r([]float64{1}, nil), []target{below}, targetUnmeasured},
		"no sluice":            {r(nil, []float64{1}), []target{below}, targetUnmeasured},
		"fewer rounds of one":  {r([]float64{1, 1, 1}, []float64{10}), []target{below}, targetHeld},
		"one of two is missed": {r([]float64{1}, []float64{10}), []target{below, above}, targetMissed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.results.targets = test.targets
			row, ok := test.results.row(tripCPU)
			if !ok || row.Verdict != test.verdict {
				t.Errorf("%v, verdict %q, want %q", ok, row.Verdict, test.verdict)
			}
		})
	}
}

func TestWorse(t *testing.T) {
	tests := [][3]string{
		{targetHeld, targetHeld, targetHeld},
		{targetHeld, targetUnmeasured, targetUnmeasured},
		{targetMissed, targetUnmeasured, targetMissed},
		{targetHeld, targetMissed, targetMissed},
	}
	for _, test := range tests {
		if got := worse(test[0], test[1]); got != test[2] || worse(test[1], test[0]) != got {
			t.Errorf("of %q and %q the worse is %q", test[0], test[1], got)
		}
	}
}

func TestSessionsOf(t *testing.T) {
	const log = `2026-Jan-02 10:00:00.000001 [acceptor] accepted fd 9
2026-Jan-02 10:00:00.000002 [io-1] connect starting proxy to remote 127.0.0.1:5 -> 127.1.0.1:9000 (fd=10)
2026-Jan-02 10:00:00.000003 [io-1] connect complete proxy to remote 127.0.0.1:5 -> 127.1.0.1:9000 (fd=10)
2026-Jan-02 10:00:00.000004 [io-2] connect complete proxy to remote 127.0.0.1:6 -> 127.1.0.1:9000 (fd=11)
2026-Jan-02 10:00:00.000005 [io-1] connect complete proxy to remote 127.0.0.1:7 -> 127.1.0.1:9000 (fd=12)
garbage
`
	if got, want := sessionsOf(log), map[string]int{"io-1": 2, "io-2": 1}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUneven(t *testing.T) {
	tests := map[string]struct {
		counts map[string]int
		want   int
	}{
		"none":           {nil, 0},
		"even":           {map[string]int{"a": 3, "b": 3}, 0},
		"uneven":         {map[string]int{"a": 3, "b": 5}, 2},
		"one has it all": {map[string]int{"a": 7}, 7},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := uneven(test.counts, 2); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
