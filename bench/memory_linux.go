package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// historyDepth is how much every channel keeps when nothing else is configured, and
// historyWait is surely longer.
const (
	historyDepth = 10 * time.Second
	historyWait  = 12 * time.Second
)

// held is the memory of a server at one moment, in bytes.
type held struct {
	processes int64 // proportional set size of all of them
	tcp       int64 // the kernel's socket buffers, of the whole machine
}

// memory measures what more clients, or more channels, cost once the histories are full.
func (s *scenario) memory(ctx context.Context, c contestant, _ options) (m measured, err error) {
	stage, err := s.raise(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	few, err := stage.held(ctx, s.fewer)
	if err != nil {
		return nil, err
	}
	many, err := stage.held(ctx, s.clients)
	if err != nil {
		return nil, err
	}
	return s.judgeMemory(few, many), nil
}

// held brings the crowd to n clients and reads what all of it occupies. Who holds how
// much is said on standard error.
func (st *stage) held(ctx context.Context, n int) (h held, err error) {
	if err := st.fill(n); err != nil {
		return h, err
	}
	if err := pause(ctx, historyWait); err != nil {
		return h, err
	}
	pids, err := st.server.pids()
	if err != nil {
		return h, err
	}
	fmt.Fprintf(os.Stderr, "  %d clients:", n)
	for _, pid := range pids {
		pss, err := memoryOf(pid)
		if err != nil {
			return h, err
		}
		role, err := roleOf(pid)
		if err != nil {
			return h, err
		}
		fmt.Fprintf(os.Stderr, " %s %d KiB", role, pss>>10)
		h.processes += pss
	}
	fmt.Fprintln(os.Stderr)
	h.tcp, err = tcpMemory()
	return h, err
}

// judgeMemory makes the figures of what fewer and all clients occupy: the slope a client
// when all watch one channel, or a channel when each watches its own.
func (s *scenario) judgeMemory(few, many held) measured {
	more := float64(s.clients - s.fewer)
	m := measured{
		clientTCP:  float64(many.tcp-few.tcp) / more / (1 << 10),
		baseMemory: float64(few.processes) / (1 << 20),
		baseTCP:    float64(few.tcp) / (1 << 20),
	}
	slope := float64(many.processes-few.processes) / more
	if s.channels == 1 {
		m[clientMemory] = slope / (1 << 10)
	} else {
		m[channelExtra] = (slope - float64(s.rate)/8*historyDepth.Seconds()) / (1 << 10)
	}
	return m
}
