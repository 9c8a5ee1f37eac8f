package gws

import (
	"net/http"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/logs"
	"sluice/internal/report"
)

// Each function takes one message of an engine, in the order in which it came.

func (s *Server) onStarted(e *engine, m handoff.Started) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := e.answerLocked(m.ID, outcome{verdict: started})
	if a == nil {
		return // given up before: the engine will find the connection ended
	}
	e.channels[a.tag] = true
	e.clients[a.id] = belief{tag: a.tag, client: clientTag(a.peer)}
	s.log.Info("client started", logs.Channel, a.tag, logs.Client, clientTag(a.peer), logs.Engine, e.hello.Engine)
}

func (s *Server) onRefused(e *engine, m handoff.Refused) {
	out := outcome{verdict: refused, code: m.Code, reason: m.Reason}
	if out.code < 400 || http.StatusText(out.code) == "" {
		out.code = http.StatusInternalServerError
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.answerLocked(m.ID, out)
}

// answerLocked ends the attempt with that ID; nil when there is none: it was given up,
// or never made.
func (e *engine) answerLocked(id uint64, out outcome) *attempt {
	a := e.pending[id]
	if a != nil {
		delete(e.pending, id)
		a.answer <- out
	}
	return a
}

func (s *Server) onClientEnd(e *engine, m handoff.ClientEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := e.clients[m.ID]; ok {
		delete(e.clients, m.ID)
		s.log.Info("client ended", logs.Channel, b.tag, logs.Client, b.client, logs.Engine, e.hello.Engine, "bytes", m.Bytes, logs.Reason, m.Reason)
	}
}

func (s *Server) onChannelOpen(e *engine, m handoff.ChannelOpen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.channels[m.Tag] = true
	s.log.Info("channel opened", logs.Channel, m.Tag, logs.Engine, e.hello.Engine)
}

func (s *Server) onChannelEnd(e *engine, m handoff.ChannelEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(e.channels, m.Tag)
	s.log.Info("channel ended", logs.Channel, m.Tag, logs.Engine, e.hello.Engine, logs.Reason, m.Reason)
}

// onBye keeps new clients away; what the engine still has to say is heard to its end.
func (s *Server) onBye(e *engine, m handoff.Bye) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ready = false
	s.log.Info("engine leaves", logs.Engine, e.hello.Engine, logs.Reason, m.Reason)
}

func (s *Server) onReport(e *engine, m handoff.Report) error {
	if m.Query != 0 {
		s.answerQuery(e, m)
		return nil
	}
	whole, done := e.snapshot.Add(m)
	if !done {
		return nil
	}
	if s.replaceBelief(e, whole) {
		return e.conn.SetReadDeadline(time.Time{}) // greeted: from now on it may be silent
	}
	return nil
}

// replaceBelief takes a snapshot for true. It reports whether it was the first.
func (s *Server) replaceBelief(e *engine, whole report.Engine) (first bool) {
	channels, clients := make(map[string]bool), make(map[uint64]belief)
	for _, ch := range whole.Channels {
		if ch.State != "ended" { // its last clients are still being served
			channels[ch.Tag] = true
		}
		for _, cl := range ch.Clients {
			clients[cl.ID] = belief{tag: ch.Tag, client: cl.Tag}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, b := range e.clients {
		if _, ok := clients[id]; !ok {
			s.log.Info("client ended", logs.Channel, b.tag, logs.Client, b.client, logs.Engine, e.hello.Engine, logs.Reason, "not known: events of the engine were lost")
		}
	}
	e.channels, e.clients, e.last = channels, clients, whole
	if e.greeted {
		return false
	}
	e.greeted, e.ready = true, true
	s.log.Info("engine attached", logs.Engine, e.hello.Engine, logs.PID, e.hello.PID, "build", e.hello.Build, "channels", len(channels), "clients", len(clients))
	return true
}

// carries reports whether a client of that channel belongs to e: the channel runs
// there, or another client for it is on its way there.
func (e *engine) carries(tag string) bool {
	if e.channels[tag] {
		return true
	}
	for _, a := range e.pending {
		if a.tag == tag {
			return true
		}
	}
	return false
}
