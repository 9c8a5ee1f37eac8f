package main

import (
	"fmt"
	"strconv"
	"strings"
)

// The readings of /proc, as text; proc_linux.go fetches it.

// coreTime is what one core did since the start of the system, in ticks.
type coreTime struct{ busy, all uint64 }

// parseCore reads the line of one core in /proc/stat. Waiting for a disk is idle;
// time that the hypervisor took is busy: the core could not be used.
func parseCore(stat string, core int) (coreTime, error) {
	name := "cpu" + strconv.Itoa(core)
	for line := range strings.Lines(stat) {
		f := strings.Fields(line)
		if len(f) < 9 || f[0] != name {
			continue
		}
		var t coreTime
		for i, s := range f[1:9] { // user nice system idle iowait irq softirq steal
			v, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				return coreTime{}, fmt.Errorf("/proc/stat: %s: %w", name, err)
			}
			t.all += v
			if i != 3 && i != 4 {
				t.busy += v
			}
		}
		return t, nil
	}
	return coreTime{}, fmt.Errorf("/proc/stat has no %s", name)
}

// share is the busy part of the time between two readings, 0 to 1.
func (t coreTime) share(before coreTime) float64 {
	if t.all == before.all {
		return 0
	}
	return float64(t.busy-before.busy) / float64(t.all-before.all)
}

// parseSNMP reads one counter of /proc/net/snmp, such as Ip OutRequests.
func parseSNMP(snmp, group, name string) (uint64, error) {
	var names []string
	for line := range strings.Lines(snmp) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != group+":" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i := range min(len(names), len(f)) {
			if names[i] == name {
				return strconv.ParseUint(f[i], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("/proc/net/snmp has no %s %s", group, name)
}

// parsePss reads the proportional set size of a smaps_rollup, in bytes.
func parsePss(rollup string) (int64, error) {
	for line := range strings.Lines(rollup) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("smaps_rollup has no Pss")
}

// parseTCPMemory reads the memory of all TCP sockets from /proc/net/sockstat, in bytes.
func parseTCPMemory(sockstat string, page int) (int64, error) {
	for line := range strings.Lines(sockstat) {
		f := strings.Fields(line)
		if len(f) > 2 && f[0] == "TCP:" && f[len(f)-2] == "mem" {
			pages, err := strconv.ParseInt(f[len(f)-1], 10, 64)
			return pages * int64(page), err
		}
	}
	return 0, fmt.Errorf("/proc/net/sockstat has no TCP mem")
}

// parseParent reads the parent's PID from a /proc/PID/stat. The name in brackets may
// hold anything, brackets and blanks included.
func parseParent(stat string) (int, error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 2 {
		return 0, fmt.Errorf("/proc/PID/stat is too short: %q", stat)
	}
	return strconv.Atoi(f[1])
}
