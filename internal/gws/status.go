package gws

import (
	"cmp"
	"context"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/report"
)

// query is a Query that waits for its Report.
type query struct {
	parts  handoff.Gather     // the reader's
	answer chan report.Engine // of capacity 1; closed when the engine is lost
}

// Status asks every engine at the same time and sums up; one that is still being
// greeted expects its Welcome, and is left out. An engine that does not answer
// within 2 s, or 5 s when it does not even read, is shown as it last was, with its
// Error set. The result shares memory with later ones: read only.
func (s *Server) Status(ctx context.Context) report.Status {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	s.mu.Lock()
	engines := slices.DeleteFunc(slices.Clone(s.engines), func(e *engine) bool { return !e.greeted })
	refused := s.refused
	s.mu.Unlock()

	answers := make([]report.Engine, len(engines))
	var all sync.WaitGroup
	for i, e := range engines {
		all.Go(func() { answers[i] = s.ask(ctx, e) })
	}
	all.Wait()
	slices.SortFunc(answers, func(a, b report.Engine) int { // "2" before "10"
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	sum := totals(answers)
	sum.Refused = refused.report()
	return report.Status{
		Name: "sluice", Version: s.config().Build, PID: os.Getpid(), Started: s.started, Now: time.Now(),
		Engines: answers, Totals: sum,
	}
}

func totals(engines []report.Engine) report.Totals {
	var t report.Totals
	for _, e := range engines {
		t.Channels += len(e.Channels)
		for _, ch := range e.Channels {
			t.RateIn += ch.Rate
			t.Clients += len(ch.Clients)
			for _, cl := range ch.Clients {
				t.RateOut += cl.Rate
			}
		}
	}
	return t
}

// ask gets the report of one engine. Who it is comes from its Hello.
func (s *Server) ask(ctx context.Context, e *engine) report.Engine {
	whole, problem := s.askReport(ctx, e)
	whole.ID, whole.PID, whole.Version, whole.Started = e.hello.Engine, e.hello.PID, e.hello.Build, e.hello.Started
	whole.Error = cmp.Or(problem, whole.Error)
	return whole
}

func (s *Server) askReport(ctx context.Context, e *engine) (whole report.Engine, problem string) {
	s.mu.Lock()
	e.lastQuery++
	id, q := e.lastQuery, &query{answer: make(chan report.Engine, 1)}
	e.queries[id] = q
	s.mu.Unlock()

	if err := e.sent(e.conn.Send(handoff.Query{ID: id})); err != nil {
		problem = "could not be asked: " + err.Error()
	} else {
		select {
		case whole, ok := <-q.answer:
			if ok {
				return whole, ""
			}
			problem = "lost while it was asked"
		case <-ctx.Done():
			problem = "did not answer in time"
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(e.queries, id)
	return e.last, problem
}

// answerQuery joins the parts of an answer. One that nobody waits for any more, or that
// was never asked for, is dropped.
func (s *Server) answerQuery(e *engine, m handoff.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := e.queries[m.Query]
	if q == nil {
		return
	}
	if whole, done := q.parts.Add(m); done {
		delete(e.queries, m.Query)
		e.last = whole
		q.answer <- whole
	}
}

// enough reports whether there are as many engines that may be given clients as have to
// be.
func (s *Server) enough(conf *Config) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readyLocked() >= conf.MinEngines
}

// readyLocked is how many engines may be given clients.
func (s *Server) readyLocked() (n int) {
	for _, e := range s.engines {
		if e.ready {
			n++
		}
	}
	return n
}

// Drop implements admin.Service. What an engine is still opening is dropped, too.
func (s *Server) Drop(channel, client string) bool {
	engines := s.enginesWith(func(e *engine) bool { return e.hasLocked(channel) })
	tell(engines, handoff.Drop{Channel: channel, Client: client})
	return len(engines) > 0
}

// hasLocked reports whether e has to do with a channel: it may be one that has ended, and
// whose last clients get what is left of it.
func (e *engine) hasLocked(channel string) bool {
	if e.channels[channel] != nil {
		return true
	}
	for _, b := range e.clients {
		if b.tag == channel {
			return true
		}
	}
	return false
}

// Reset implements admin.Service.
func (s *Server) Reset() (engines int) {
	return tell(s.enginesWith(func(*engine) bool { return true }), handoff.Reset{})
}

// enginesWith are the greeted engines of which is says so; it is called with the mutex held.
func (s *Server) enginesWith(is func(*engine) bool) []*engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*engine
	for _, e := range s.engines {
		if e.greeted && is(e) {
			out = append(out, e)
		}
	}
	return out
}

// tell sends m to all of them at the same time, and says how many have got it: an engine
// that does not read is waited for 5 s. What is lost with an engine was lost anyway.
func tell(engines []*engine, m handoff.Message) int {
	var told atomic.Int64
	var all sync.WaitGroup
	for _, e := range engines {
		all.Go(func() {
			if e.sent(e.conn.Send(m)) == nil {
				told.Add(1)
			}
		})
	}
	all.Wait()
	return int(told.Load())
}
