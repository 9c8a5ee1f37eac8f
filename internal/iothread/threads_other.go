//go:build !linux

package iothread

import (
	"log/slog"

	"sluice/internal/flow"
)

// Threads is the pool. All methods but Run may be called from any goroutine. This system has no
// epoll, so goroutines stand in.
type Threads struct{ *goroutines }

// New makes the threads; nothing is accepted before Run.
func New(c Config, desk flow.Desk, log *slog.Logger) (*Threads, error) {
	g, err := newGoroutines(c, desk, log)
	if err != nil {
		return nil, err
	}
	return &Threads{g}, nil
}
