package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// figure is the name of one measured number, with its unit.
type figure string

// The figures, in the order of the table. README.md says how each is made.
const (
	cpuPerGB     figure = "CPU s/GB"
	serverBusy   figure = "server core busy %"
	loadBusy     figure = "load core busy %"
	ageP50       figure = "latency p50 ms"
	ageP99       figure = "latency p99 ms"
	crowdLag     figure = "lag of the clients p99 ms"
	gaps         figure = "gaps"
	overflown    figure = "datagrams lost in receive buffers"
	delivered    figure = "delivered %"
	pace         figure = "sent %"
	packetsPerGB figure = "1000 IP packets/GB"
	segmentsOfGB figure = "1000 TCP segments/GB"
	mostClients  figure = "clients without a gap"
	serverGaveUp figure = "server gave up at"
	loadGaveUp   figure = "load gave up at"
	warmPacket   figure = "first packet, warm, ms"
	warmPicture  figure = "first picture, warm, ms"
	coldPacket   figure = "first packet, cold, ms"
	slowPacket   figure = "first packet, 128 kbit/s, slowest, ms"
	zapPictures  figure = "stays of 1 s with a picture %"
	zapDelay     figure = "first picture of these, ms"
	clientMemory figure = "memory a client KiB"
	clientTCP    figure = "TCP memory a client KiB"
	baseMemory   figure = "memory at the fewer clients MiB"
	baseTCP      figure = "TCP memory at the fewer clients MiB"
	channelExtra figure = "memory a channel beyond its history KiB"
)

var figures = [...]figure{
	mostClients, serverGaveUp, loadGaveUp,
	cpuPerGB, serverBusy, loadBusy, ageP50, ageP99, crowdLag, gaps, overflown, delivered, pace, packetsPerGB, segmentsOfGB,
	warmPacket, warmPicture, coldPacket, slowPacket, zapPictures, zapDelay,
	clientMemory, clientTCP, baseMemory, baseTCP, channelExtra,
	headRate, headP99, streamRate, streamP99, refusalRate, refusalP99,
	loadTime, reloadTime, loadMemory,
	htmlFresh, htmlCached, xmlFresh, xmlCached, jsonFresh, jsonCached,
	warmP99, pausedPacket, startTime, offChannel, offClient, offClockP99, offClockMost,
	tcpCPUPerGB, tcpRate, sessionCPU, sessionRate, tripCPU, tripRate, tripP50, tripP99, sessionMemory, sessionFiles, bareMemory,
	threadShare, threadBound, threadUneven, refusedEnd, refusedDelay, allDownCPU, idleEndEarliest, idleEndLatest,
	fileRate, filePerCPU, fileCPU, chunkP50, chunkP95, chunkMost, chunkFirst, chunkEnd,
	takenP99, middleP99, lastP99, readerMemory, goroutinesLeft, filesLeft, storeMost, floodMemory, floodTaken, floodRefused,
}

// measured is what one run gave.
type measured map[figure]float64

// results are the runs of one scenario, by contestant. The first one is sluice, the
// second, if there is one and it is a yardstick, what it is held against.
type results struct {
	scenario  string
	yardstick string // name of the contestant that is the measure; "" if none
	targets   []target
	names     []string // contestants in order
	runs      map[string][]measured
	failures  map[string]error // contestants that could not run
	ownLength bool             // a measurement lasts as long as the scenario says
}

// target is what sluice is held to: at most (or at least) limit, times the
// yardstick's figure if perYardstick. With against, its figure through that of another
// contestant in the same round is held to it, the median of all rounds.
type target struct {
	figure       figure
	limit        float64
	perYardstick bool
	against      string // name of the contestant
	atLeast      bool
}

func (t target) String() string {
	sign := "≤"
	if t.atLeast {
		sign = "≥"
	}
	s := sign + " " + number(t.limit)
	if t.perYardstick {
		s += " × yardstick"
	}
	if t.against != "" {
		s += " × " + t.against
	}
	return s
}

// held says whether value reaches the target.
func (t target) held(value, yardstick float64) bool {
	limit := t.limit
	if t.perYardstick {
		limit *= yardstick
	}
	if t.atLeast {
		return value >= limit
	}
	return value <= limit
}

// of combines the runs of one contestant: what was lost by its worst, the rest by the
// median.
func (r *results) of(name string, f figure) (float64, bool) {
	var values []float64
	for _, m := range r.runs[name] {
		if v, ok := m[f]; ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	if f == gaps || f == overflown {
		return slices.Max(values), true
	}
	return median(values), true
}

// row is one line of the table: one figure of one scenario. What a contestant did not
// measure, or could not, is not there.
type row struct {
	Scenario  string               `json:"scenario"`
	Figure    figure               `json:"figure"`
	Sluice    *float64             `json:"sluice,omitempty"`
	Yardstick *float64             `json:"yardstick,omitempty"`
	Measure   string               `json:"yardstick_name,omitempty"` // whose figure Yardstick is
	Ratio     *float64             `json:"ratio,omitempty"`
	Target    string               `json:"target,omitempty"`
	Verdict   string               `json:"verdict,omitempty"` // held or missed, where there is a target
	Others    []other              `json:"others,omitempty"`
	Runs      map[string][]float64 `json:"runs"` // each contestant's, in order
}

// other is the figure of a contestant that nothing is held against.
type other struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// The verdicts on a target.
const (
	targetHeld       = "held"
	targetMissed     = "missed"
	targetUnmeasured = "not measured" // who it is held against is not there
)

// rows are the figures that somebody has, in the order of figures.
func (r *results) rows() []row {
	var rows []row
	for _, f := range figures {
		if one, ok := r.row(f); ok {
			rows = append(rows, one)
		}
	}
	return rows
}

// row is one figure, false when nobody has it. A target of a figure that only others
// have is missed.
func (r *results) row(f figure) (row, bool) {
	one := row{Scenario: r.scenario, Figure: f, Runs: map[string][]float64{}}
	for _, name := range r.names {
		v, ok := r.of(name, f)
		if !ok {
			continue
		}
		for _, m := range r.runs[name] {
			if v, ok := m[f]; ok {
				one.Runs[name] = append(one.Runs[name], v)
			}
		}
		switch name {
		case "sluice":
			one.Sluice = &v
		case r.yardstick:
			one.Yardstick, one.Measure = &v, name
		default:
			one.Others = append(one.Others, other{name, v})
		}
	}
	if len(one.Runs) == 0 {
		return row{}, false
	}
	if one.Sluice != nil && one.Yardstick != nil && *one.Yardstick != 0 {
		ratio := *one.Sluice / *one.Yardstick
		one.Ratio = &ratio
	}
	one.Target, one.Verdict = r.judge(one)
	return one, true
}

// judge says what targets a row has and whether all of them are held.
func (r *results) judge(one row) (targets, verdict string) {
	var said []string
	verdict = targetHeld
	for _, t := range r.targets {
		if t.figure != one.Figure || t.perYardstick && one.Yardstick == nil {
			continue
		}
		if t.against != "" {
			words, held := r.judgeAgainst(t)
			said = append(said, words)
			verdict = worse(verdict, held)
			continue
		}
		said = append(said, t.String())
		var yardstick float64
		if one.Yardstick != nil {
			yardstick = *one.Yardstick
		}
		if one.Sluice == nil || !t.held(*one.Sluice, yardstick) {
			verdict = worse(verdict, targetMissed)
		}
	}
	if said == nil {
		return "", ""
	}
	return strings.Join(said, ", "), verdict
}

// judgeAgainst is a target with the ratio that was measured, and the verdict on it.
func (r *results) judgeAgainst(t target) (words, verdict string) {
	all := r.ratios(t.figure, "sluice", t.against)
	if len(all) == 0 {
		return t.String(), targetUnmeasured
	}
	ratio := median(all)
	verdict = targetMissed
	if t.held(ratio, 1) {
		verdict = targetHeld
	}
	return t.String() + " (" + number(ratio) + ")", verdict
}

// worse is the verdict on two targets of one row: missed, not measured or held.
func worse(a, b string) string {
	for _, v := range []string{targetMissed, targetUnmeasured} {
		if a == v || b == v {
			return v
		}
	}
	return targetHeld
}

// ratios are the figures of one contestant through those of another in the same rounds.
func (r *results) ratios(f figure, of, by string) []float64 {
	var all []float64
	a, b := r.runs[of], r.runs[by]
	for i := range min(len(a), len(b)) {
		if b[i][f] != 0 {
			all = append(all, a[i][f]/b[i][f])
		}
	}
	return all
}

// writeTable writes all results as one Markdown table, a line a figure.
func writeTable(w io.Writer, all []*results) error {
	var b strings.Builder
	b.WriteString("| scenario | figure | sluice | its runs | yardstick | ratio | target | verdict | others |\n")
	b.WriteString("|---|---|---:|---|---:|---:|---|---|---|\n")
	for _, r := range all {
		for _, one := range r.rows() {
			b.WriteString("| " + strings.Join(one.cells(), " | ") + " |\n")
		}
		for _, name := range r.names {
			if err := r.failures[name]; err != nil {
				fmt.Fprintf(&b, "| %s | could not run: %s | | | | | | | %s |\n", r.scenario, name, oneCell(err.Error()))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (one row) cells() []string {
	cells := []string{one.Scenario, string(one.Figure), "", "", "", "", one.Target, one.Verdict, ""}
	if one.Sluice != nil {
		cells[2], cells[3] = number(*one.Sluice), one.spread()
	}
	if one.Yardstick != nil {
		cells[4] = number(*one.Yardstick) + " (" + one.Measure + ")"
	}
	if one.Ratio != nil {
		cells[5] = number(*one.Ratio)
	}
	var others []string
	for _, o := range one.Others {
		others = append(others, o.Name+" "+number(o.Value))
	}
	cells[8] = strings.Join(others, ", ")
	return cells
}

// spread is the least and the most that sluice's runs gave, as far as they differ: what is
// smaller than that is noise.
func (one row) spread() string {
	runs := one.Runs["sluice"]
	least, most := number(slices.Min(runs)), number(slices.Max(runs))
	if least == most {
		return ""
	}
	return least + " … " + most
}

// document is what -json writes.
type document struct {
	Machine  string            `json:"machine"` // what the figures depend on
	Runs     int               `json:"runs"`
	Seconds  int               `json:"seconds,omitempty"` // of each measurement; 0 = as long as each scenario says
	Rows     []row             `json:"rows"`
	Failures map[string]string `json:"failures,omitempty"` // "scenario: contestant" that could not run, and why
}

// writeJSON writes all results as one JSON document.
func writeJSON(w io.Writer, d document, all []*results) error {
	for _, r := range all {
		d.Rows = append(d.Rows, r.rows()...)
		for name, err := range r.failures {
			if d.Failures == nil {
				d.Failures = map[string]string{}
			}
			d.Failures[r.scenario+": "+name] = err.Error()
		}
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(d)
}

// number writes three significant digits, whole numbers from 100 on.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) || math.Abs(v) >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 9.995:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// oneCell makes text fit into one cell of a table.
func oneCell(s string) string {
	return strings.NewReplacer("\n", " ", "|", "\\|").Replace(s)
}

// median of values, 0 of none. The order of values is kept.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return s[n/2]
	default:
		return (s[n/2-1] + s[n/2]) / 2
	}
}

// percentile is the smallest of sorted values that p percent of them do not exceed
// (nearest rank), 0 of none.
func percentile(sorted []int64, p float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
