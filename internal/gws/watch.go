package gws

import (
	"time"

	"sluice/internal/handoff"
	"sluice/internal/logs"
)

// watchTick is how long an engine may say nothing at all once it was asked something.
const watchTick = 15 * time.Second

// watch gives up engines that hang, until Run ends. Who waits for a channel that may be
// silent without end has no time-out of its own; but an engine that is alive answers a
// Query, and that is asked of it.
func (s *Server) watch() {
	for s.pause(s.watching) {
		s.askAwaited()
	}
}

func (s *Server) askAwaited() {
	for _, e := range s.awaited() {
		if e.asked && e.heard.Load() == e.heardAt {
			s.log.Warn("engine does not answer", logs.Engine, e.hello.Engine)
			e.conn.Close() // its reader ends, and with it all that waits; if it lives it comes back
			continue
		}
		e.asked, e.heardAt = true, e.heard.Load()
		_ = e.sent(e.conn.Send(handoff.Query{ID: s.nextQuery(e)})) // the answer is heard, and dropped
	}
}

// awaited are the engines that somebody waits for without limit. The others need not
// answer any more.
func (s *Server) awaited() []*engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*engine
	for _, e := range s.engines {
		if e.awaitedLocked() {
			out = append(out, e)
		} else {
			e.asked = false
		}
	}
	return out
}

func (e *engine) awaitedLocked() bool {
	for _, a := range e.pending {
		if a.client.patience == 0 {
			return true
		}
	}
	return false
}

func (s *Server) nextQuery(e *engine) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.lastQuery++
	return e.lastQuery
}
