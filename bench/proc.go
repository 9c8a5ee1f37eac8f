package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// The readings of /proc, as text; proc_linux.go fetches it.

// ticksPerSecond is the unit of /proc/stat: USER_HZ, 100 on every port of Linux but
// two that are gone.
const ticksPerSecond = 100

// parseIdle reads how long one core had nothing to do since the start of the system,
// in ticks, from /proc/stat. Waiting for a disk is idle too.
//
// The other columns are no help: they count what ran when the tick came, and a server
// that a timer wakes has often ended its work by then.
func parseIdle(stat string, core int) (uint64, error) {
	name := "cpu" + strconv.Itoa(core)
	for line := range strings.Lines(stat) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] != name {
			continue
		}
		idle, err := strconv.ParseUint(f[4], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %s: %w", name, err)
		}
		wait, err := strconv.ParseUint(f[5], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %s: %w", name, err)
		}
		return idle + wait, nil
	}
	return 0, fmt.Errorf("/proc/stat has no %s", name)
}

// busyShare is the part of a time in nanoseconds that was not idle, 0 to 1.
func busyShare(idleTicks uint64, nanoseconds int64) float64 {
	return max(0, 1-float64(idleTicks)/ticksPerSecond/(float64(nanoseconds)/1e9))
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

// parseRole makes a name of a /proc/PID/cmdline: the program without the way to it, and
// the word behind it if that is no option.
func parseRole(cmdline string) string {
	words := strings.Split(strings.TrimSuffix(cmdline, "\x00"), "\x00")
	name := filepath.Base(words[0])
	if len(words) > 1 && words[1] != "" && !strings.HasPrefix(words[1], "-") {
		name += " " + words[1]
	}
	return name
}
