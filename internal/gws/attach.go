package gws

import (
	"errors"
	"net/http"
	"net/netip"
	"os"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/httpx"
	"sluice/internal/logs"
)

// client is a request that may go to an engine.
type client struct {
	conf     *Config // as it was when the request came: it holds throughout
	proto    string  // of HTTP, as in http.Request.Proto
	tag      string  // the channel's
	addr     netip.Addr
	patience time.Duration // how long an engine may take to answer; 0 = as long as the client stays
	attach   handoff.Attach
	header   [][2]string // what a stream is announced with

	visit     *visit // who asked, for the access log; nil of a route
	elsewhere string // URL where it goes while its channel is unavailable; "" = nowhere

	carrier carrier
}

// attempt is one Attach that waits for its answer.
type attempt struct {
	id     uint64
	client *client
	answer chan outcome // of capacity 1; exactly one, by whoever takes it out of engine.pending
}

// verdict is how an attempt ended.
type verdict int

const (
	started  verdict = iota // the client is the engine's
	refused                 // nothing was written; gws answers
	gone                    // the engine closed its end: it writes no more
	expelled                // gws closed the connection: the engine may yet write
	silent                  // no answer in time
	stopped                 // Run ends
	unsent                  // the engine never got it
)

type outcome struct {
	verdict  verdict
	code     int  // of refused
	bySource bool // it was refused because a source cannot be had, or delivers nothing
	reason   string
}

// stream sees a request that enter has let in through to one answer.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, c *client) {
	defer s.group.Done()
	var err error
	if c.carrier, err = s.carrierOf(w, r, c); err != nil {
		s.decided(c, refused)
		s.log.Error("client not carried", logs.Client, c.attach.Tag(), logs.Error, err)
		s.recordDenied(c.visit, c.tag, http.StatusInternalServerError, err.Error())
		httpx.Error(w, http.StatusInternalServerError, "this connection cannot carry a stream")
		return
	}
	defer c.carrier.close()
	engine, out := s.handOver(c)
	s.decided(c, out.verdict)
	what := []any{logs.Client, c.attach.Tag(), logs.Channel, c.tag, logs.Engine, engine}
	switch out.verdict {
	case started:
		if err := c.carrier.carry(); err != nil {
			s.log.Info("client cut off", append(what, logs.Reason, err)...)
		}
	case stopped:
		c.carrier.giveUp(out)
	case refused:
		s.log.Info("client refused", append(what, logs.Code, out.code, logs.Reason, out.reason)...)
		no := s.refusalOf(c, out)
		s.recordDenied(c.visit, c.tag, no.code, out.reason)
		c.carrier.refuse(no)
	default:
		c.carrier.giveUp(out)
		s.log.Warn("client cut off", append(what, logs.Reason, out.reason)...)
		s.recordDenied(c.visit, c.tag, 0, out.reason)
	}
}

// handOver asks one engine after the other until there is an answer, and says whose it
// is. Only an engine that is gone and has written nothing is followed by another.
func (s *Server) handOver(c *client) (engine string, _ outcome) {
	tried := make(map[string]bool)
	for {
		e, a := s.assign(c, tried)
		if e == nil {
			return "", outcome{verdict: refused, code: http.StatusServiceUnavailable, reason: noEngine}
		}
		out := s.try(e, a)
		switch {
		case out.verdict == unsent:
			s.turned.Info("client not handed over", logs.Client, c.attach.Tag(), logs.Channel, c.tag, logs.Engine, e.hello.Engine, logs.Reason, out.reason)
		case out.verdict == gone && c.carrier.untouched():
			s.log.Info("client goes to another engine", logs.Client, c.attach.Tag(), logs.Channel, c.tag, logs.Engine, e.hello.Engine)
		default:
			return e.hello.Engine, out
		}
	}
}

// assign picks an engine that was not tried and notes an attempt there; nil when none
// is left.
func (s *Server) assign(c *client, tried map[string]bool) (*engine, *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.pickLocked(c.tag, tried, c.conf.Spread, c.conf.Split)
	if e == nil {
		return nil, nil
	}
	s.lastID++
	a := &attempt{id: s.lastID, client: c, answer: make(chan outcome, 1)}
	e.pending[a.id] = a
	s.holdLocked(e, c.tag).coming++
	tried[e.hello.Engine] = true
	return e, a
}

// pickLocked is pick for the engines as they are; nil when there is none.
func (s *Server) pickLocked(tag string, tried map[string]bool, spread Spread, split bool) *engine {
	list := make([]candidate, len(s.engines))
	for i, e := range s.engines {
		list[i] = candidate{
			carries: e.channels[tag] != nil, tried: !e.ready || tried[e.hello.Engine],
			channels: len(e.channels), clients: len(e.clients) + len(e.pending),
		}
	}
	i := pick(list, s.turn, spread, split)
	if i < 0 {
		return nil
	}
	if split || !list[i].carries {
		s.turn = (i + 1) % len(list)
	}
	return s.engines[i]
}

// try hands the client to e and waits for what becomes of it.
func (s *Server) try(e *engine, a *attempt) outcome {
	c := a.client
	c.attach.ID = a.id
	heard := e.heard.Load()
	if err := e.sent(c.carrier.hand(e.conn, c.attach)); err != nil {
		s.withdraw(e, a)
		return outcome{verdict: unsent, reason: err.Error()}
	}
	var late <-chan time.Time // never, without a limit: then watch looks after e
	if c.patience > 0 {
		timer := time.NewTimer(c.patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case out := <-a.answer:
		return out
	case <-late:
		if s.giveUp(e, a) {
			if e.heard.Load() == heard {
				e.conn.Close() // it hangs: nobody else is to wait for it; if it lives it comes back
			}
			return outcome{verdict: silent, reason: "the engine did not answer in time"}
		}
	case <-s.stop:
		if s.withdraw(e, a) {
			return outcome{verdict: stopped}
		}
	}
	return <-a.answer
}

// sent passes on the error of a Send. An engine that does not read is cut off: its
// reader sees to the rest.
func (e *engine) sent(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		e.conn.Close()
	}
	return err
}

// giveUp is withdraw for an attempt that was not answered in time. Who has a socket finds it
// closed when the engine comes to it; a session with a target may yet begin.
func (s *Server) giveUp(e *engine, a *attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := s.withdrawLocked(e, a.id) != nil
	if took && a.client.attach.Target != nil {
		e.late[a.id] = a.client
	}
	return took
}

// withdraw takes an attempt back; it reports false when its answer is there already.
func (s *Server) withdraw(e *engine, a *attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.withdrawLocked(e, a.id) != nil
}
