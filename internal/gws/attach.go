package gws

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/httpx"
	"sluice/internal/logs"
	"sluice/internal/netx"
	"sluice/internal/request"
	"sluice/internal/uri"
)

// client is a request whose socket was taken from net/http.
type client struct {
	conn   net.Conn
	sock   syscall.Conn // the same
	proto  string
	tag    string // the channel's
	attach handoff.Attach
}

// attempt is one Attach that waits for its answer.
type attempt struct {
	id        uint64
	tag, peer string
	answer    chan outcome // of capacity 1; exactly one, by whoever takes it out of engine.pending
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
	unsent                  // the engine never got the socket
)

type outcome struct {
	verdict verdict
	code    int // of refused
	reason  string
}

// stream takes the request's socket and sees it through to one answer. What the client
// sent after its request is dropped.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, req request.Request, peer netip.AddrPort) {
	if !s.enter() {
		httpx.Error(w, http.StatusServiceUnavailable, noEngine)
		return
	}
	defer s.group.Done()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.log.Error("socket not taken", logs.Client, clientTag(peer.String()), logs.Reason, err)
		httpx.Error(w, http.StatusInternalServerError, "this connection cannot carry a stream")
		return
	}
	defer conn.Close() // the descriptor only: no shutdown, the engine has the connection
	c := &client{conn: conn, proto: r.Proto, tag: req.Source.Tag(), attach: handoff.Attach{
		Channel: s.c.Lineup.From(uri.Source{req.Source}), Peer: peer.String(), Head: s.head(r.Proto),
	}}
	var ok bool
	if c.sock, ok = conn.(syscall.Conn); !ok {
		s.refuse(c, "", outcome{code: http.StatusInternalServerError, reason: "this connection has no socket to hand over"})
		return
	}
	s.handOver(c)
}

// handOver asks one engine after the other until there is an answer. Only an engine
// that is gone and has written nothing is followed by another.
func (s *Server) handOver(c *client) {
	tried := make(map[string]bool)
	for {
		e, a := s.assign(c, tried)
		if e == nil {
			s.refuse(c, "", outcome{code: http.StatusServiceUnavailable, reason: noEngine})
			return
		}
		before, errBefore := netx.TCPWritten(c.sock)
		out := s.try(e, a, c)
		switch out.verdict {
		case started, stopped:
			return
		case refused:
			s.refuse(c, e.hello.Engine, out)
			return
		case unsent:
			continue
		case gone:
			after, errAfter := netx.TCPWritten(c.sock)
			if errBefore == nil && errAfter == nil && before == after {
				s.log.Info("client goes to another engine", logs.Client, clientTag(c.attach.Peer), logs.Channel, c.tag, logs.Engine, e.hello.Engine)
				continue
			}
		case silent, expelled:
			shutdown(c.conn)
		}
		s.log.Warn("client cut off", logs.Client, clientTag(c.attach.Peer), logs.Channel, c.tag, logs.Engine, e.hello.Engine, logs.Reason, out.reason)
		return
	}
}

// assign picks an engine that was not tried and notes an attempt there; nil when none
// is left.
func (s *Server) assign(c *client, tried map[string]bool) (*engine, *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]candidate, len(s.engines))
	for i, e := range s.engines {
		list[i] = candidate{carries: e.carries(c.tag), tried: !e.ready || tried[e.hello.Engine]}
	}
	i := pick(list, s.turn, s.c.Spread, s.c.Split)
	if i < 0 {
		return nil, nil
	}
	if !list[i].carries {
		s.turn = (i + 1) % len(list)
	}
	s.lastID++
	e := s.engines[i]
	a := &attempt{id: s.lastID, tag: c.tag, peer: c.attach.Peer, answer: make(chan outcome, 1)}
	e.pending[a.id] = a
	tried[e.hello.Engine] = true
	return e, a
}

// try hands the socket to e and waits for what becomes of it.
func (s *Server) try(e *engine, a *attempt, c *client) outcome {
	c.attach.ID = a.id
	if err := e.sent(e.conn.SendSocket(c.attach, c.sock)); err != nil {
		s.withdraw(e, a)
		return outcome{verdict: unsent}
	}
	timer := time.NewTimer(s.c.AnswerTimeout)
	defer timer.Stop()
	select {
	case out := <-a.answer:
		return out
	case <-timer.C:
		if s.withdraw(e, a) {
			e.conn.Close() // it hangs: nobody else is to wait for it; if it lives it comes back
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

// withdraw takes an attempt back; it reports false when its answer is there already.
func (s *Server) withdraw(e *engine, a *attempt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waiting := e.pending[a.id]
	delete(e.pending, a.id)
	return waiting
}

// refuse answers with an error on a socket that is gws's alone again, and closes so
// that the client gets all of it: a close with input unread would be a reset.
func (s *Server) refuse(c *client, engine string, out outcome) {
	s.log.Info("client refused", logs.Client, clientTag(c.attach.Peer), logs.Channel, c.tag, logs.Engine, engine, logs.Code, out.code, logs.Reason, out.reason)
	if c.conn.SetDeadline(time.Now().Add(grace)) != nil || httpx.WriteError(c.conn, c.proto, out.code, out.reason) != nil {
		return // the client is gone
	}
	shutdown(c.conn)
	io.Copy(io.Discard, c.conn)
}

// shutdown ends the connection whoever else holds it: nobody can write to it any more,
// and the client sees its end.
func shutdown(c net.Conn) {
	if t, ok := c.(interface{ CloseWrite() error }); ok {
		t.CloseWrite()
	}
}
