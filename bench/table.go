package main

import (
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
	gaps         figure = "gaps"
	delivered    figure = "delivered %"
	pace         figure = "sent %"
	packetsPerGB figure = "1000 IP packets/GB"
	warmPacket   figure = "first packet, warm, ms"
	warmPicture  figure = "first picture, warm, ms"
	coldPacket   figure = "first packet, cold, ms"
	slowPacket   figure = "first packet, 128 kbit/s, slowest, ms"
	zapPictures  figure = "stays of 1 s with a picture %"
	zapDelay     figure = "first picture of these, ms"
	clientMemory figure = "memory a client KiB"
	clientTCP    figure = "TCP memory a client KiB"
	baseMemory   figure = "memory at the fewer clients MiB"
)

var figures = [...]figure{
	cpuPerGB, serverBusy, loadBusy, ageP50, ageP99, gaps, delivered, pace, packetsPerGB,
	warmPacket, warmPicture, coldPacket, slowPacket, zapPictures, zapDelay, clientMemory, clientTCP, baseMemory,
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
}

// target is what sluice is held to: at most (or at least) limit, times the
// yardstick's figure if perYardstick.
type target struct {
	figure       figure
	limit        float64
	perYardstick bool
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

// of combines the runs of one contestant: gaps by their worst, the rest by the median.
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
	if f == gaps {
		return slices.Max(values), true
	}
	return median(values), true
}

// writeTable writes all results as one Markdown table, a line a figure.
func writeTable(w io.Writer, all []*results) error {
	var b strings.Builder
	b.WriteString("| scenario | figure | sluice | yardstick | ratio | target | held | others |\n")
	b.WriteString("|---|---|---:|---:|---:|---|---|---|\n")
	for _, r := range all {
		for _, f := range figures {
			if line, ok := r.line(f); ok {
				b.WriteString("| " + strings.Join(line, " | ") + " |\n")
			}
		}
		for _, name := range r.names {
			if err := r.failures[name]; err != nil {
				fmt.Fprintf(&b, "| %s | could not run: %s | | | | | | %s |\n", r.scenario, name, oneCell(err.Error()))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line is the table's line of one figure, false when nobody has it.
func (r *results) line(f figure) ([]string, bool) {
	value, ok := r.of("sluice", f)
	yard, hasYard := r.of(r.yardstick, f)
	var others []string
	for _, name := range r.names {
		if v, has := r.of(name, f); has && name != "sluice" && name != r.yardstick {
			others = append(others, name+" "+number(v))
		}
	}
	if !ok && !hasYard && others == nil {
		return nil, false
	}
	line := []string{r.scenario, string(f), "", "", "", "", "", strings.Join(others, ", ")}
	if ok {
		line[2] = number(value)
	}
	if hasYard {
		line[3] = number(yard) + " (" + r.yardstick + ")"
	}
	if ok && hasYard && yard != 0 {
		line[4] = number(value / yard)
	}
	var said []string
	held := true
	for _, t := range r.targets {
		if t.figure != f || t.perYardstick && !hasYard {
			continue
		}
		said = append(said, t.String())
		held = held && ok && t.held(value, yard)
	}
	if said != nil {
		line[5], line[6] = strings.Join(said, ", "), "no"
	}
	if said != nil && held {
		line[6] = "yes"
	}
	return line, true
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
