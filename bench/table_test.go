package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	}
	for _, test := range tests {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v is %v, want %v", test.values, got, test.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(i + 1)
	}
	tests := []struct {
		sorted []int64
		p      float64
		want   int64
	}{
		{nil, 50, 0},
		{[]int64{7}, 0, 7},
		{[]int64{7}, 99, 7},
		{[]int64{1, 2}, 50, 1},
		{[]int64{1, 2, 3}, 50, 2},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
		{hundred, 100, 100},
	}
	for _, test := range tests {
		if got := percentile(test.sorted, test.p); got != test.want {
			t.Errorf("percentile %v of %d values is %d, want %d", test.p, len(test.sorted), got, test.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 0.256: "0.26", 12.34: "12.3", 123.4: "123", 99.97: "100", 9.999: "10.0", -0.5: "-0.50"} {
		if got := number(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	r := &results{
		scenario: "relay-200", yardstick: "write 13 KiB",
		names:   []string{"sluice", "write 13 KiB", "udpxy", "other"},
		targets: []target{{figure: cpuPerGB, limit: 1.3, perYardstick: true}, {figure: cpuPerGB, limit: 0.4}, {figure: gaps}, {figure: delivered, limit: 99, atLeast: true}},
		runs: map[string][]measured{
			"sluice":       {{cpuPerGB: 0.5, gaps: 0, delivered: 99.5}, {cpuPerGB: 0.3, gaps: 2, delivered: 100}, {cpuPerGB: 0.6, gaps: 0, delivered: 99}},
			"write 13 KiB": {{cpuPerGB: 0.4, gaps: 0}},
			"udpxy":        {{cpuPerGB: 4.95}},
		},
		failures: map[string]error{"other": errors.New("no | such\nfile")},
	}
	var b strings.Builder
	if err := writeTable(&b, []*results{r}); err != nil {
		t.Fatal(err)
	}
	want := `| scenario | figure | sluice | its runs | yardstick | ratio | target | verdict | others |
|---|---|---:|---|---:|---:|---|---|---|
| relay-200 | CPU s/GB | 0.50 | 0.30 … 0.60 | 0.40 (write 13 KiB) | 1.25 | ≤ 1.30 × yardstick, ≤ 0.40 | missed | udpxy 4.95 |
| relay-200 | gaps | 2 | 0 … 2 | 0 (write 13 KiB) |  | ≤ 0 | missed |  |
| relay-200 | delivered % | 99.5 | 99 … 100 |  |  | ≥ 99 | held |  |
| relay-200 | could not run: other | | | | | | | no \| such file |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	r := &results{
		scenario: "cold", yardstick: "bare", names: []string{"sluice", "bare", "other"},
		targets: []target{{figure: coldPacket, limit: 5}, {figure: slowPacket, limit: 90}},
		runs: map[string][]measured{
			"sluice": {{coldPacket: 1}, {coldPacket: 4}, {coldPacket: 3}},
			"bare":   {{coldPacket: 2, slowPacket: 80}},
		},
		failures: map[string]error{"other": errors.New("no such file")},
	}
	var b strings.Builder
	if err := writeJSON(&b, document{Machine: "linux", Runs: 3, Seconds: 8}, []*results{r}); err != nil {
		t.Fatal(err)
	}
	var got document
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	three, two, ratio, eighty := 3.0, 2.0, 1.5, 80.0
	want := document{
		Machine: "linux", Runs: 3, Seconds: 8,
		Rows: []row{
			{
				Scenario: "cold", Figure: coldPacket, Sluice: &three, Yardstick: &two, Measure: "bare", Ratio: &ratio, Target: "≤ 5", Verdict: targetHeld,
				Runs: map[string][]float64{"sluice": {1, 4, 3}, "bare": {2}},
			},
			{Scenario: "cold", Figure: slowPacket, Yardstick: &eighty, Measure: "bare", Target: "≤ 90", Verdict: targetMissed, Runs: map[string][]float64{"bare": {80}}},
		},
		Failures: map[string]string{"cold: other": "no such file"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}
