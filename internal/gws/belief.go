package gws

import (
	"net/http"
	"net/netip"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/logs"
	"sluice/internal/report"
)

// Each function takes one message of an engine, in the order in which it came.

func (s *Server) onStarted(e *engine, m handoff.Started) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := e.late[m.ID]
	switch a := e.pending[m.ID]; {
	case a != nil:
		c = a.client
		s.holdLocked(e, c.tag).open = true
		s.answerLocked(e, m.ID, outcome{verdict: started})
	case c != nil: // counted out when it was given up
		s.holdLocked(e, c.tag).open = true
		s.tally.enter(c.tag, c.addr)
		delete(e.late, m.ID)
	default:
		return // given up before: the engine will find the connection ended
	}
	s.failures.forget(c.tag)
	e.clients[m.ID] = startedNow(c)
	s.recordClientLocked(logs.ClientOpen, e, e.clients[m.ID], 0, "")
	if c.attach.Peer == "" {
		e.routeRunsLocked(m.ID, c.tag, c.attach.Tag())
	}
	s.log.Info("client started", logs.Channel, c.tag, logs.Client, c.attach.Tag(), logs.Engine, e.hello.Engine)
}

func (s *Server) onRefused(e *engine, m handoff.Refused) {
	out := outcome{verdict: refused, code: m.Code, reason: m.Reason}
	if out.code < 400 || http.StatusText(out.code) == "" {
		out.code = http.StatusInternalServerError
	}
	out.bySource = out.code == http.StatusBadGateway || out.code == http.StatusServiceUnavailable || out.code == http.StatusGatewayTimeout
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := e.pending[m.ID]; a != nil && out.code == http.StatusGatewayTimeout {
		s.failures.note(a.client.tag, time.Now()) // a 503 may be the client's own doing; ChannelEnd tells
	}
	delete(e.late, m.ID)
	s.answerLocked(e, m.ID, out)
}

// answerLocked ends the attempt with that ID, unless there is none: it was given up, or
// never made.
func (s *Server) answerLocked(e *engine, id uint64, out outcome) {
	if a := s.withdrawLocked(e, id); a != nil {
		a.answer <- out
	}
}

// withdrawLocked takes an attempt off those that wait; nil when it is not among them.
func (s *Server) withdrawLocked(e *engine, id uint64) *attempt {
	a := e.pending[id]
	if a == nil {
		return nil
	}
	delete(e.pending, id)
	e.channels[a.client.tag].coming--
	s.releaseLocked(e, a.client.tag)
	return a
}

func (s *Server) onClientEnd(e *engine, m handoff.ClientEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := e.clients[m.ID]; ok {
		s.forgetLocked(e, m.ID, m.Bytes, m.Reason)
		s.log.Info("client ended", logs.Channel, b.tag, logs.Client, b.client, logs.Engine, e.hello.Engine, "bytes", m.Bytes, logs.Reason, m.Reason)
	}
}

func (s *Server) onChannelOpen(e *engine, m handoff.ChannelOpen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holdLocked(e, m.Tag).open = true
	s.recordOpenLocked(e, m.Tag)
	s.log.Info("channel opened", logs.Channel, m.Tag, logs.Engine, e.hello.Engine)
}

func (s *Server) onChannelEnd(e *engine, m handoff.ChannelEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Failed {
		s.failures.note(m.Tag, time.Now())
	}
	s.endedLocked(e, m.Tag, m.Bytes, m.Reason)
	s.unpinnedLocked(m.Tag, time.Now())
	s.log.Info("channel ended", logs.Channel, m.Tag, logs.Engine, e.hello.Engine, logs.Reason, m.Reason)
}

// onRates takes what was told for the whole truth once the last part is there.
func (s *Server) onRates(e *engine, m handoff.Rates) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range m.Channels {
		if h := e.channels[r.Tag]; h != nil {
			h.told = r.Bps
		}
	}
	if m.More {
		return
	}
	for tag, h := range e.channels {
		s.setRateLocked(tag, h, h.told)
		h.told = 0
	}
}

// onBye keeps new clients away; what the engine still has to say is heard to its end.
func (s *Server) onBye(e *engine, m handoff.Bye) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ready = false
	logs.Normal(s.log, "engine leaves", logs.Engine, e.hello.Engine, logs.Reason, m.Reason)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replaceChannelsLocked(e, whole.Channels)
	s.replaceClientsLocked(e, whole.Channels)
	e.last = whole
	if e.greeted {
		return false
	}
	e.greeted, e.ready = true, true
	s.settled = time.Now().Add(settleTime)
	logs.Normal(s.log, "engine attached", logs.Engine, e.hello.Engine, logs.PID, e.hello.PID, "build", e.hello.Build, "channels", len(e.channels), "clients", len(e.clients))
	return true
}

func (s *Server) replaceChannelsLocked(e *engine, told []report.Channel) {
	there := make(map[string]bool)
	for _, ch := range told {
		if ch.State == report.ChannelClosed { // its last clients are still being served
			continue
		}
		there[ch.Tag] = true
		h := s.holdLocked(e, ch.Tag)
		h.open, h.pinned = true, ch.Pinned
		if e.greeted {
			s.recordOpenLocked(e, ch.Tag) // the event was lost
		} else {
			h.since = past(ch.Since)
		}
		s.setRateLocked(ch.Tag, h, ch.Rate)
	}
	for tag := range e.channels {
		if !there[tag] {
			s.endedLocked(e, tag, 0, eventsLost)
		}
	}
}

// eventsLost is why something is over of which no event has told.
const eventsLost = "not known: events of the engine were lost"

// replaceClientsLocked leaves out who waits for a Started that is still to be read:
// then it will be counted.
func (s *Server) replaceClientsLocked(e *engine, told []report.Channel) {
	there := make(map[uint64]bool)
	for _, ch := range told {
		for _, cl := range ch.Clients {
			there[cl.ID] = true
			if _, known := e.clients[cl.ID]; known || e.pending[cl.ID] != nil || e.late[cl.ID] != nil {
				continue
			}
			peer, _ := netip.ParseAddrPort(cl.Addr) // one that makes no sense counts for no address
			b := belief{tag: ch.Tag, client: cl.Tag, addr: peer.Addr().Unmap().WithZone(""), since: past(cl.Since)}
			e.clients[cl.ID] = b
			if cl.Addr == "" {
				e.routeRunsLocked(cl.ID, b.tag, b.client)
			}
			s.tally.enter(b.tag, b.addr)
		}
	}
	for id, b := range e.clients {
		if !there[id] {
			s.forgetLocked(e, id, 0, eventsLost)
			s.log.Info("client ended", logs.Channel, b.tag, logs.Client, b.client, logs.Engine, e.hello.Engine, logs.Reason, eventsLost)
		}
	}
}

// forgetLocked strikes a started client off, which got so many bytes.
func (s *Server) forgetLocked(e *engine, id uint64, bytes uint64, reason string) {
	b := e.clients[id]
	s.recordClientLocked(logs.ClientClose, e, b, bytes, reason)
	s.routeEndedLocked(e, id, time.Now())
	delete(e.clients, id)
	s.tally.leave(b.tag, b.addr)
}

// holdLocked is what e has of a channel; it is created empty.
func (s *Server) holdLocked(e *engine, tag string) *holding {
	h := e.channels[tag]
	if h == nil {
		h = new(holding)
		e.channels[tag] = h
		s.tally.hold(tag)
	}
	return h
}

// endedLocked notes that e does not receive a channel any more.
func (s *Server) endedLocked(e *engine, tag string, bytes uint64, reason string) {
	s.recordEndLocked(e, tag, bytes, reason)
	if h := e.channels[tag]; h != nil {
		h.open, h.pinned = false, false
		s.setRateLocked(tag, h, 0)
		s.releaseLocked(e, tag)
	}
}

// releaseLocked forgets a channel that e has nothing to do with any more.
func (s *Server) releaseLocked(e *engine, tag string) {
	if h := e.channels[tag]; !h.open && !h.pinned && h.coming == 0 {
		s.setRateLocked(tag, h, 0)
		delete(e.channels, tag)
		s.tally.drop(tag)
	}
}

// setRateLocked notes what e receives of a channel. Where several engines have it, the
// highest counts: one of them may have just begun.
func (s *Server) setRateLocked(tag string, h *holding, rate uint64) {
	if h.rate == rate {
		return
	}
	h.rate = rate
	if rate > 0 {
		s.failures.forget(tag)
	}
	for _, e := range s.engines {
		if other := e.channels[tag]; other != nil {
			rate = max(rate, other.rate)
		}
	}
	s.tally.setRate(tag, rate)
}
