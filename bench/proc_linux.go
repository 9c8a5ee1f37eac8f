package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// reading is the state of the machine at one moment.
type reading struct {
	time         int64  // clock()
	cpu          int64  // nanoseconds that the server's processes ran
	server, load uint64 // idle ticks of the two cores
	sent         int64  // bytes of each channel
	packets      uint64 // IP packets sent in this namespace, UDP not counted
	overflown    uint64 // datagrams lost in full receive buffers of this namespace
	segments     uint64 // TCP segments sent in this namespace, as a wire would carry them
}

func read(pids []int) (reading, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return reading{}, err
	}
	snmp, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		return reading{}, err
	}
	r := reading{time: clock()}
	if r.server, err = parseIdle(string(stat), serverCore); err != nil {
		return reading{}, err
	}
	if r.load, err = parseIdle(string(stat), loadCore); err != nil {
		return reading{}, err
	}
	ip, err := parseSNMP(string(snmp), "Ip", "OutRequests")
	if err != nil {
		return reading{}, err
	}
	udp, err := parseSNMP(string(snmp), "Udp", "OutDatagrams")
	if err != nil {
		return reading{}, err
	}
	r.packets = ip - udp
	if r.overflown, err = parseSNMP(string(snmp), "Udp", "RcvbufErrors"); err != nil {
		return reading{}, err
	}
	if r.segments, err = parseSNMP(string(snmp), "Tcp", "OutSegs"); err != nil {
		return reading{}, err
	}
	r.cpu, err = cpuTime(pids)
	return r, err
}

// cpuTime sums the CPU clocks of processes, ended threads included: user and system
// time in nanoseconds, whatever interrupts ran in it included.
func cpuTime(pids []int) (int64, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of <linux/posix-timers.h>
	var sum int64
	for _, pid := range pids {
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
			return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
		}
		sum += ts.Nano()
	}
	return sum, nil
}

// memoryOf is the proportional set size of a process, in bytes.
func memoryOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	pss, err := parsePss(string(text))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return pss, nil
}

// roleOf names a process by the first word or two of its command line.
func roleOf(pid int) (string, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return parseRole(string(line)), err
}

func tcpMemory() (int64, error) {
	text, err := os.ReadFile("/proc/self/net/sockstat")
	if err != nil {
		return 0, err
	}
	return parseTCPMemory(string(text), os.Getpagesize())
}

// family lists a process and all that descend from it.
func family(root int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue // not a process
		}
		parent, err := parseParent(string(text))
		if err != nil {
			return nil, err
		}
		children[parent] = append(children[parent], pid)
	}
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	slices.Sort(pids)
	return pids, nil
}
