package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the processes of the server occupy, and whether it grows; watch_linux.go reads it.

// holding is what one process has at one moment.
type holding struct {
	pid         int
	name        string // such as "gng -n 1"
	memory      int64  // resident set size, bytes
	descriptors int
	threads     int
	kinds       map[string]int // descriptors by what they are: "socket", "anon_inode:[eventpoll]"
}

// sample is the state of all processes at one moment.
type sample struct {
	at        time.Duration // since the beginning
	processes []holding     // by process id
}

// parseHolding reads the resident set and the threads from a /proc/PID/status.
func parseHolding(status string) (memory int64, threads int, err error) {
	for line := range strings.Lines(status) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "VmRSS:":
			var kib int64
			if kib, err = strconv.ParseInt(f[1], 10, 64); err != nil {
				return 0, 0, fmt.Errorf("/proc/PID/status: VmRSS: %w", err)
			}
			memory = kib << 10
		case "Threads:":
			if threads, err = strconv.Atoi(f[1]); err != nil {
				return 0, 0, fmt.Errorf("/proc/PID/status: Threads: %w", err)
			}
		}
	}
	if memory == 0 || threads == 0 {
		return 0, 0, fmt.Errorf("/proc/PID/status has no VmRSS or no Threads: %q", status)
	}
	return memory, threads, nil
}

// quantity is one thing that must not grow: at most by share of itself and by more.
type quantity struct {
	name  string
	of    func(holding) int64
	share float64
	more  int64
	unit  int64 // of what is printed
}

// quantities are what is judged. A quarter of a soak may have what another has not: a
// source that comes back fills a history of 5 MiB anew, and the viewers of one that is off
// wait with gws, which has their descriptors until it answers.
func quantities() []quantity {
	return []quantity{
		{"resident KiB", func(h holding) int64 { return h.memory }, 0.05, 6 << 20, 1 << 10},
		{"descriptors", func(h holding) int64 { return int64(h.descriptors) }, 0.05, 40, 1},
		{"threads", func(h holding) int64 { return int64(h.threads) }, 0, 3, 1},
	}
}

// growth compares the peaks of the first quarter of samples with those of the last one,
// and says what grew by more than it may, of each process.
func growth(samples []sample) []string {
	n := len(samples) / 4
	if n == 0 {
		return []string{"too few samples to see a growth"}
	}
	var grown []string
	for _, p := range samples[0].processes {
		for _, q := range quantities() {
			before, after := peak(samples[:n], p.pid, q), peak(samples[len(samples)-n:], p.pid, q)
			if after > before+int64(float64(before)*q.share)+q.more {
				grown = append(grown, fmt.Sprintf("%s (%d): %s grew from %d to %d", p.name, p.pid, q.name, before/q.unit, after/q.unit))
			}
		}
	}
	return grown
}

func peak(samples []sample, pid int, q quantity) int64 {
	var most int64
	for _, s := range samples {
		for _, p := range s.processes {
			if p.pid == pid {
				most = max(most, q.of(p))
			}
		}
	}
	return most
}

// left says which descriptors are more than before.
func left(before, after sample) []string {
	var more []string
	for _, p := range after.processes {
		i := slices.IndexFunc(before.processes, func(q holding) bool { return q.pid == p.pid })
		if i >= 0 && p.descriptors > before.processes[i].descriptors {
			more = append(more, fmt.Sprintf("%s (%d): %d descriptors without a client, %d before the first: %s",
				p.name, p.pid, p.descriptors, before.processes[i].descriptors, newKinds(before.processes[i].kinds, p.kinds)))
		}
	}
	return more
}

// newKinds names the kinds of descriptors that there are more of.
func newKinds(before, after map[string]int) string {
	var more []string
	for _, kind := range slices.Sorted(maps.Keys(after)) {
		if n := after[kind] - before[kind]; n > 0 {
			more = append(more, fmt.Sprintf("%d more %s", n, kind))
		}
	}
	return strings.Join(more, ", ")
}

// kindOf is what a link in /proc/PID/fd names, without the number of the single one.
func kindOf(link string) string {
	kind, _, _ := strings.Cut(link, ":[")
	if kind == "socket" || kind == "pipe" {
		return kind
	}
	return link
}

// String is the sum of all processes, for a line of progress.
func (s sample) String() string {
	var sum holding
	for _, p := range s.processes {
		sum.memory += p.memory
		sum.descriptors += p.descriptors
		sum.threads += p.threads
	}
	return fmt.Sprintf("%d MiB resident, %d descriptors, %d threads", sum.memory>>20, sum.descriptors, sum.threads)
}
