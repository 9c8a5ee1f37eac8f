package main

import (
	"math"
	"testing"
)

func TestJudgeMemory(t *testing.T) {
	few := held{processes: 10 << 20, tcp: 1 << 20}
	clients := scenario{channels: 1, clients: 300, fewer: 200, rate: 1_000_000}
	m := clients.judgeMemory(few, held{processes: few.processes + 100*3<<10, tcp: few.tcp + 100*2<<10})
	if m[clientMemory] != 3 || m[clientTCP] != 2 || m[baseMemory] != 10 || m[baseTCP] != 1 {
		t.Errorf("clients: %v", m)
	}
	channels := scenario{channels: 100, clients: 100, fewer: 10, rate: 1_000_000}
	m = channels.judgeMemory(few, held{processes: few.processes + 90*(1_250_000+200<<10), tcp: few.tcp})
	if _, has := m[clientMemory]; has || math.Abs(m[channelExtra]-200) > 0.01 {
		t.Errorf("channels: %v", m)
	}
}
