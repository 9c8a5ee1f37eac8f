package gws

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/logs"
	"sluice/internal/report"
)

// engine is one attached engine and what gws believes of it.
type engine struct {
	hello handoff.Hello
	conn  *handoff.Conn

	// Guarded by Server.mu.
	greeted   bool                // its first Report is in
	ready     bool                // greeted, and it has not said Bye: it may be given clients
	channels  map[string]*holding // by tag
	clients   map[uint64]belief   // started and not ended, by the ID of the Attach
	routes    map[uint64]session  // those of the clients that nobody has asked for
	pending   map[uint64]*attempt
	late      map[uint64]*client // sessions that were given up, and that it may yet begin; not counted
	queries   map[uint64]*query
	lastQuery uint64
	last      report.Engine // its latest whole report

	snapshot handoff.Gather // the reader's
	heard    atomic.Uint64  // messages that have come
	asked    bool           // the watcher's: a Query was sent to hear something
	heardAt  uint64         // the watcher's: heard as it was then
}

// holding is what gws believes that an engine has of a channel. One that is neither open
// nor pinned nor coming is forgotten.
type holding struct {
	open   bool   // it said so, or has started a client
	pinned bool   // it said so, or was told to
	coming int    // clients on their way there
	rate   uint64 // bits a second
	told   uint64 // likewise, in the Rates of which there are more to come

	since time.Time // when it was opened, for the access log; zero = the log knows of no opening
}

// belief is a client that runs at an engine.
type belief struct {
	tag    string // of its channel
	client string // its own
	addr   netip.Addr
	visit  *visit    // nil = it was there before this gws
	since  time.Time // when it was started
}

// errProtocol marks a peer that breaks the rules of docs/handoff.md.
var errProtocol = errors.New("protocol violated")

// serveEngine reads from one connection until it ends, and is its only reader.
func (s *Server) serveEngine(c *handoff.Conn) {
	defer s.disown(c)
	if c.SetReadDeadline(time.Now().Add(s.greet)) != nil {
		return // closed: Run ends
	}
	e, err := s.welcome(c)
	if err != nil {
		s.log.Warn("engine refused", logs.Reason, err)
		return
	}
	for err == nil {
		var m handoff.Message
		var fd int
		if m, fd, err = c.Recv(); err == nil {
			e.heard.Add(1)
			err = s.handle(e, m, fd)
		}
	}
	c.Close() // before its clients are told: it hears of no more
	s.lose(e, err)
}

// welcome reads Hello and answers with Welcome, or with Bye and the reason.
func (s *Server) welcome(c *handoff.Conn) (*engine, error) {
	m, fd, err := c.Recv()
	if err != nil {
		return nil, fmt.Errorf("no Hello: %w", err)
	}
	hello, ok := m.(handoff.Hello)
	if !ok {
		drop(fd)
		return nil, fmt.Errorf("%w: %T in place of Hello", errProtocol, m)
	}
	e, err := s.enroll(hello, c)
	if err != nil {
		c.Send(handoff.Bye{Reason: err.Error()}) // it may be gone; the log has the reason
		return nil, err
	}
	if err := c.Send(handoff.Welcome{Version: handoff.Version, PID: os.Getpid()}); err != nil {
		s.lose(e, err)
		return nil, err
	}
	return e, nil
}

// enroll makes an engine of a Hello. It gets no clients before its first Report.
func (s *Server) enroll(h handoff.Hello, c *handoff.Conn) (*engine, error) {
	if h.Version != handoff.Version {
		return nil, fmt.Errorf("engine %q (version %q) speaks format %d, gws (version %q) format %d: restart the older with the newer program",
			h.Engine, h.Build, h.Version, s.config().Build, handoff.Version)
	}
	if h.Engine == "" {
		return nil, errors.New("an engine needs a name")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.engines {
		if e.hello.Engine == h.Engine {
			return nil, fmt.Errorf("engine %q is attached already, as process %d: give each engine a name of its own", h.Engine, e.hello.PID)
		}
	}
	if len(s.engines) >= s.config().MaxEngines {
		return nil, fmt.Errorf("engine %q is one too many: there are %d", h.Engine, len(s.engines))
	}
	e := &engine{
		hello: h, conn: c,
		channels: make(map[string]*holding), clients: make(map[uint64]belief), routes: make(map[uint64]session),
		pending: make(map[uint64]*attempt), late: make(map[uint64]*client), queries: make(map[uint64]*query),
	}
	s.engines = append(s.engines, e)
	return e, nil
}

// handle takes one message of an engine. An error ends the connection.
func (s *Server) handle(e *engine, m handoff.Message, fd int) error {
	switch m := m.(type) {
	case handoff.Started:
		s.onStarted(e, m)
	case handoff.Refused:
		s.onRefused(e, m)
	case handoff.ClientEnd:
		s.onClientEnd(e, m)
	case handoff.ChannelOpen:
		s.onChannelOpen(e, m)
	case handoff.ChannelEnd:
		s.onChannelEnd(e, m)
	case handoff.Rates:
		s.onRates(e, m)
	case handoff.Report:
		return s.onReport(e, m)
	case handoff.Bye:
		s.onBye(e, m)
	default:
		drop(fd)
		return fmt.Errorf("%w: %T is not for an engine to say", errProtocol, m)
	}
	return nil
}

// drop closes a descriptor that nobody asked for.
func drop(fd int) {
	if fd >= 0 {
		syscall.Close(fd)
	}
}

// lose strikes an enrolled engine off whose connection ended with err, and ends what
// waited for it.
func (s *Server) lose(e *engine, err error) {
	out := outcome{verdict: expelled, reason: "the engine was cut off: " + err.Error()}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		out = outcome{verdict: gone, reason: "the engine is gone"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping { // it was gws that left: the engine keeps the client
		out = outcome{verdict: stopped}
	}
	i := slices.Index(s.engines, e)
	s.engines = slices.Delete(s.engines, i, i+1)
	if i < s.turn {
		s.turn-- // the turn stays with whose it is
	}
	s.settled = time.Now().Add(settleTime)
	channels, clients := len(e.channels), len(e.clients)
	for id := range e.pending {
		s.answerLocked(e, id, out)
	}
	for id := range e.clients {
		s.forgetLocked(e, id, 0, out.reason)
	}
	for tag := range e.channels {
		s.endedLocked(e, tag, 0, out.reason)
	}
	for id, q := range e.queries {
		delete(e.queries, id)
		close(q.answer)
	}
	if !s.stopping {
		s.log.Warn("engine lost", logs.Engine, e.hello.Engine, logs.Reason, err, "channels", channels, "clients", clients)
	}
}
