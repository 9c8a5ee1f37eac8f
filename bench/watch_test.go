package main

import (
	"strings"
	"testing"
)

func TestParseHolding(t *testing.T) {
	memory, threads, err := parseHolding("Name:\tsluice\nVmPeak:\t 900 kB\nVmRSS:\t   1234 kB\nThreads:\t9\n")
	if err != nil || memory != 1234<<10 || threads != 9 {
		t.Errorf("%d bytes, %d threads, %v", memory, threads, err)
	}
	for _, bad := range []string{"", "VmRSS: 1 kB\n", "Threads: 1\n", "VmRSS: x kB\nThreads: 1\n", "VmRSS: 1 kB\nThreads: x\n"} {
		if _, _, err := parseHolding(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseRole(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/sluice\x00gng\x00--id\x001\x00": "sluice gng",
		"sluice\x00--quiet\x00":                   "sluice",
		"gws\x00":                                 "gws",
		"":                                        ".",
	} {
		if got := parseRole(line); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
}

// series is a soak of one process.
func series(of func(i int) holding) []sample {
	var all []sample
	for i := range 40 {
		h := of(i)
		h.pid, h.name = 7, "gng"
		all = append(all, sample{processes: []holding{h}})
	}
	return all
}

func TestGrowth(t *testing.T) {
	calm := holding{memory: 100 << 20, descriptors: 200, threads: 9}
	tests := map[string]struct {
		samples []sample
		want    string // part of the only complaint; "" is none
	}{
		"calm": {series(func(int) holding { return calm }), ""},
		"up and down": {series(func(i int) holding {
			h := calm
			h.memory -= int64(i%4) * 10 << 20
			h.descriptors -= i % 4 * 20
			return h
		}), ""},
		"memory": {series(func(i int) holding {
			h := calm
			h.memory += int64(i) << 19
			return h
		}), "resident KiB grew from 107008 to 122368"},
		"descriptors": {series(func(i int) holding {
			h := calm
			h.descriptors += 2 * i
			return h
		}), "descriptors grew from 218 to 278"},
		"threads": {series(func(i int) holding {
			h := calm
			h.threads += i / 6
			return h
		}), "threads grew from 10 to 15"},
		"too short": {series(func(int) holding { return calm })[:3], "too few samples"},
	}
	for name, test := range tests {
		got := growth(test.samples)
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestLeft(t *testing.T) {
	before := sample{processes: []holding{{pid: 7, name: "gng", descriptors: 20}, {pid: 8, name: "gws", descriptors: 20}}}
	after := sample{processes: []holding{{pid: 7, name: "gng", descriptors: 21, kinds: map[string]int{"socket": 1, "pipe": 2}}, {pid: 8, name: "gws", descriptors: 19}}}
	if got := left(before, after); len(got) != 1 || !strings.Contains(got[0], "gng (7): 21 descriptors without a client, 20 before the first: 2 more pipe, 1 more socket") {
		t.Errorf("got %q", got)
	}
	if got := left(after, after); got != nil {
		t.Errorf("the same: %q", got)
	}
}

func TestKindOf(t *testing.T) {
	for link, want := range map[string]string{
		"socket:[1234]": "socket", "pipe:[7]": "pipe", "anon_inode:[eventpoll]": "anon_inode:[eventpoll]",
		"/memfd:sluice-history (deleted)": "/memfd:sluice-history (deleted)", "": "",
	} {
		if got := kindOf(link); got != want {
			t.Errorf("%q is a %q, want %q", link, got, want)
		}
	}
}
