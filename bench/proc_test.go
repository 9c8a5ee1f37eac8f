package main

import "testing"

func TestParseCore(t *testing.T) {
	const stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 10 20 30 400 50 60 70 80 5 0\ncpu10 1 1 1 1 1 1 1 1 0 0\nintr 1\n"
	got, err := parseCore(stat, 1)
	if want := (coreTime{busy: 270, all: 720}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseCore(stat, 2); err == nil {
		t.Error("a core that is not there was read")
	}
	if _, err := parseCore("cpu1 1 2 3 x 5 6 7 8\n", 1); err == nil {
		t.Error("a word was read as a number")
	}
	if share := (coreTime{busy: 30, all: 150}).share(coreTime{busy: 10, all: 110}); share != 0.5 {
		t.Errorf("share %v, want 0.5", share)
	}
	if share := got.share(got); share != 0 {
		t.Errorf("share of no time %v, want 0", share)
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
