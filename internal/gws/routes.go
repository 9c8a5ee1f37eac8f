package gws

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/logs"
)

// session names what runs of a route, wherever: the tags of its channel, without the number
// of a copy, and of its target.
type session struct{ channel, target string }

func sessionOf(channel, target string) session {
	if strings.HasPrefix(channel, "FILE://") { // in others the tilde stands for credentials
		channel, _, _ = strings.Cut(channel, "~")
	}
	return session{channel, target}
}

// route is a Route and what became of it.
type route struct {
	Route
	session session
	next    time.Time // when it may be begun
	asked   bool      // an engine is asked just now
	over    bool      // it has run, or is refused for good
}

func (r *route) due(now time.Time, running bool) bool {
	return !running && !r.asked && !now.Before(r.next) && (r.Restart || !r.over)
}

// checkRoutes says which of them cannot be.
func checkRoutes(routes []Route) error {
	seen := make(map[session]string)
	for _, r := range routes {
		if len(r.Channel.Sources) == 0 {
			return fmt.Errorf("route %s has no source", r.Name)
		}
		key := sessionOf(r.Channel.Tag(), r.Target.End.Tag())
		if other, taken := seen[key]; taken {
			return fmt.Errorf("routes %s and %s go from %s to %s both", other, r.Name, key.channel, key.target)
		}
		seen[key] = r.Name
	}
	return nil
}

// routesAfter are the routes of another configuration: what goes from and to the same ends
// goes on.
func routesAfter(before []*route, list []Route) []*route {
	known := make(map[session]*route, len(before))
	for _, r := range before {
		known[r.session] = r
	}
	after := make([]*route, len(list))
	for i, r := range list {
		key := sessionOf(r.Channel.Tag(), r.Target.End.Tag())
		after[i] = &route{session: key}
		if old := known[key]; old != nil {
			after[i] = old
		}
		after[i].Route = r
	}
	return after
}

// sendRoutes begins the routes that are due and ends those that are not to be.
func (s *Server) sendRoutes(now time.Time) {
	for _, x := range s.excessRoutes(now) {
		s.log.Info("route is not to run here", logs.Channel, x.drop.Channel, logs.Client, x.drop.Client, logs.Engine, x.engine.hello.Engine)
		_ = x.engine.sent(x.engine.conn.Send(x.drop)) // lost with the engine: its next report tells
	}
	for _, b := range s.dueRoutes(now) {
		s.group.Go(func() { s.begin(b) })
	}
}

// stray is a session that is to be dropped.
type stray struct {
	engine *engine
	drop   handoff.Drop
}

// excessRoutes are sessions that nobody has asked for and that are no route of the
// configuration, or that another engine runs as well: one that was thought lost has come
// back. The first engine that has one keeps it.
func (s *Server) excessRoutes(now time.Time) []stray {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.settled) {
		return nil
	}
	wanted := make(map[session]bool, len(s.routes))
	for _, r := range s.routes {
		wanted[r.session] = true
	}
	var all []stray
	for _, e := range s.engines {
		for id, key := range e.routes {
			if e.ready && !wanted[key] {
				delete(e.routes, id)
				all = append(all, stray{e, handoff.Drop{Channel: e.clients[id].tag, Client: key.target}})
			}
			if e.ready {
				wanted[key] = false
			}
		}
	}
	return all
}

// beginning is a route for which an engine is to be asked.
type beginning struct {
	route  *route
	client *client
}

// dueRoutes are the routes that no engine has and that may be begun, counted as clients
// that are let in.
func (s *Server) dueRoutes(now time.Time) []beginning {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.settled) || s.stopping || s.readyLocked() == 0 {
		return nil
	}
	running := make(map[session]bool)
	for _, e := range s.engines {
		for _, key := range e.routes {
			running[key] = true
		}
		for _, c := range e.late { // or about to
			if c.attach.Peer == "" {
				running[sessionOf(c.tag, c.attach.Tag())] = true
			}
		}
	}
	var due []beginning
	for _, r := range s.routes {
		if r.due(now, running[r.session]) {
			r.asked = true
			due = append(due, beginning{r, s.letInLocked(r)})
		}
	}
	return due
}

// letInLocked makes the client of a route. No limit holds for it: it is the operator's.
func (s *Server) letInLocked(r *route) *client {
	target := r.Target
	c := &client{conf: s.config(), tag: r.Channel.Tag(), carrier: errand{}, attach: handoff.Attach{
		Channel: r.Channel, Start: r.Channel.Start, Slow: r.Channel.Slow, Target: &target,
	}}
	c.patience = patienceOf(c.conf, c.attach)
	s.ownLocked(c)
	s.tally.enter(c.tag, c.addr)
	s.tally.pending++
	return c
}

// begin asks engines for a route.
func (s *Server) begin(b beginning) {
	engine, out := s.handOver(b.client)
	s.decided(b.client, out.verdict)
	name := s.settle(b.route, out)
	what := []any{"route", name, logs.Channel, b.client.tag, logs.Client, b.client.attach.Tag(), logs.Engine, engine}
	switch out.verdict {
	case started:
		s.log.Info("route runs", what...)
	case stopped:
	default:
		s.turned.Warn("route not begun", append(what, logs.Code, out.code, logs.Reason, out.reason)...)
	}
}

// settle notes what became of a route that was to be begun, and says its name. What is
// wrong with the route itself (a file that is there already, an end that is not permitted)
// is not tried again and again.
func (s *Server) settle(r *route, out outcome) (name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.asked = false
	r.next = time.Now().Add(pinAgain)
	r.over = r.over || out.verdict == refused && out.code < http.StatusInternalServerError
	return r.Name
}

// routeRunsLocked notes a client of e that nobody has asked for.
func (e *engine) routeRunsLocked(id uint64, channel, target string) {
	e.routes[id] = sessionOf(channel, target)
}

// routeEndedLocked notes that a client of e has ended, if it was a route.
func (s *Server) routeEndedLocked(e *engine, id uint64, now time.Time) {
	key, is := e.routes[id]
	if !is {
		return
	}
	delete(e.routes, id)
	for _, r := range s.routes {
		if r.session == key {
			r.next, r.over = now.Add(pinAgain), true
		}
	}
}
