package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	floodLength = 3 * time.Second
	floodSize   = 2_000_000 // bytes of a segment
)

// flood measures a memory store that is given more than it may have.
func (s *scenario) flood(ctx context.Context, _ *rig, server *server) (measured, error) {
	pids, err := server.pids()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, floodLength, errFloodOver)
	defer cancel()
	var taken, refused atomic.Int64
	var group sync.WaitGroup
	lost := make(chan error, s.clients)
	for i := range s.clients {
		group.Go(func() { lost <- pour(ctx, server, i, &taken, &refused) })
	}
	m, err := watchFlood(ctx, server, pids)
	cancel()
	group.Wait()
	for range s.clients {
		if failed := <-lost; err == nil {
			err = failed
		}
	}
	if err != nil {
		return nil, err
	}
	all := float64(taken.Load() + refused.Load())
	if taken.Load()*floodSize < 2*floodLimit<<20 {
		return nil, fmt.Errorf("%d uploads of %d bytes were taken: that is no flood", taken.Load(), floodSize)
	}
	m[floodTaken] = float64(taken.Load()) / floodLength.Seconds()
	m[floodRefused] = 100 * float64(refused.Load()) / all
	return m, nil
}

var errFloodOver = fmt.Errorf("the flood has lasted %v", floodLength)

// pour uploads segments of a representation until ctx is over.
func pour(ctx context.Context, server *server, representation int, taken, refused *atomic.Int64) error {
	content := fileOf(floodSize)
	for n := 1; ; n++ {
		status, err := upload(ctx, server, fmt.Sprintf("v%d/seg-%06d.m4s", representation, n), content)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("upload to a full store: %w", err)
		case status == http.StatusCreated:
			taken.Add(1)
		case status == http.StatusInsufficientStorage:
			refused.Add(1)
		default:
			return fmt.Errorf("upload to a full store: status %d", status)
		}
	}
}

// watchFlood looks at the store until ctx is over.
func watchFlood(ctx context.Context, server *server, pids []int) (measured, error) {
	m := measured{}
	for {
		status, err := server.ask(ctx, "/status?format=json")
		if ctx.Err() != nil {
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		used, err := usageOf(status)
		if err != nil {
			return nil, err
		}
		memory, _, err := occupied(pids)
		if err != nil {
			return nil, err
		}
		m[storeMost] = max(m[storeMost], float64(used)/(1<<20))
		m[floodMemory] = max(m[floodMemory], float64(memory)/(1<<20))
		_ = pause(ctx, 10*time.Millisecond) // the next look tells that it is over
	}
}
