package main

import "testing"

func TestParseIdle(t *testing.T) {
	const stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 10 20 30 400 50 60 70 80 5 0\ncpu10 1 1 1 1 1 1 1 1 0 0\nintr 1\n"
	if got, err := parseIdle(stat, 1); err != nil || got != 450 {
		t.Errorf("got %d, %v; want 450", got, err)
	}
	for _, bad := range []string{stat[:30], "cpu1 1 2 3 x 5 6 7 8\n", "cpu1 1 2 3 4 x 6 7 8\n", ""} {
		if got, err := parseIdle(bad, 1); err == nil {
			t.Errorf("%q: read %d", bad, got)
		}
	}
}

func TestBusyShare(t *testing.T) {
	tests := []struct {
		ticks uint64
		ns    int64
		want  float64
	}{
		{0, 1e9, 1},
		{100, 1e9, 0},
		{150, 2e9, 0.25},
		{101, 1e9, 0}, // the two clocks are not read at once
	}
	for _, test := range tests {
		if got := busyShare(test.ticks, test.ns); got != test.want {
			t.Errorf("%d idle ticks of %d ns: %v busy, want %v", test.ticks, test.ns, got, test.want)
		}
	}
}

func TestParseSNMP(t *testing.T) {
	const snmp = "Ip: Forwarding OutRequests\nIp: 1 2345\nUdp: InDatagrams OutDatagrams\nUdp: 7 8\n"
	tests := []struct {
		group, name string
		want        uint64
		bad         bool
	}{
		{"Ip", "OutRequests", 2345, false},
		{"Udp", "OutDatagrams", 8, false},
		{"Udp", "OutRequests", 0, true},
		{"Tcp", "OutSegs", 0, true},
	}
	for _, test := range tests {
		got, err := parseSNMP(snmp, test.group, test.name)
		if got != test.want || (err != nil) != test.bad {
			t.Errorf("%s %s: %d, %v", test.group, test.name, got, err)
		}
	}
}

func TestParseMemory(t *testing.T) {
	pss, err := parsePss("00400000-7ffe [rollup]\nRss:            8000 kB\nPss:            1234 kB\nPss_Anon:       10 kB\n")
	if err != nil || pss != 1234<<10 {
		t.Errorf("Pss %d, %v; want %d", pss, err, 1234<<10)
	}
	if _, err := parsePss("Rss: 1 kB\n"); err == nil {
		t.Error("no Pss, no error")
	}
	tcp, err := parseTCPMemory("sockets: used 15\nTCP: inuse 1 orphan 0 tw 3 alloc 1 mem 96\nUDP: inuse 0 mem 7\n", 4096)
	if err != nil || tcp != 96*4096 {
		t.Errorf("TCP memory %d, %v; want %d", tcp, err, 96*4096)
	}
	if _, err := parseTCPMemory("UDP: inuse 0 mem 7\n", 4096); err == nil {
		t.Error("no TCP line, no error")
	}
}

func TestParseParent(t *testing.T) {
	tests := []struct {
		stat string
		want int
		bad  bool
	}{
		{"12 (sluice) S 7 12 12 0", 7, false},
		{"12 (odd) name) R 8 1) S 9 12", 9, false},
		{"12 (x) S", 0, true},
		{"", 0, true},
	}
	for _, test := range tests {
		got, err := parseParent(test.stat)
		if got != test.want || (err != nil) != test.bad {
			t.Errorf("%q: %d, %v; want %d", test.stat, got, err, test.want)
		}
	}
}
