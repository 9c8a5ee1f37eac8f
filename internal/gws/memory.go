package gws

import (
	"runtime/debug"
	"time"
)

const (
	// burst is how many requests at once leave so much behind that it is worth a
	// collection: some ten KiB each, for the time until their sockets are handed over.
	burst = 100
	// memoryTick is how often it is looked whether a burst is over.
	memoryTick = 2 * time.Second
)

// giveBack gives the memory of a burst back to the system when the burst is over. Go's
// collector would keep it until the next one that fills the heap, which without requests
// never comes. It returns when Run ends.
func (s *Server) giveBack() {
	for s.pause(memoryTick) {
		if s.burstIsOver() {
			debug.FreeOSMemory()
		}
	}
}

// burstIsOver says so once after each burst.
func (s *Server) burstIsOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mostPending < burst || s.tally.pending > 0 {
		return false
	}
	s.mostPending = 0
	return true
}
