// Package duplex carries sessions on goroutines, two each: those with TLS on either side, and
// on systems without I/O threads all of them. A session that waits holds no buffer.
package duplex

import (
	"context"
	"net"
	"sync"

	"sluice/internal/flow"
)

// Group is the sessions on goroutines. All methods may be called from any goroutine.
type Group struct {
	desk    flow.Desk
	buffers *buffers
	running sync.WaitGroup // the sessions

	mu       sync.Mutex // guards what follows; never held when the desk is called
	sessions map[*flow.Session]*session
}

// New makes a group whose sessions the desk decides about. buffer is the size of the
// buffers, which sessions share, in bytes; 0 = 64 KiB, which is also the most that is
// taken: no message of SCTP may be longer.
func New(desk flow.Desk, buffer int) *Group {
	if buffer <= 0 || buffer > maxBuffer {
		buffer = maxBuffer
	}
	return &Group{desk: desk, buffers: newBuffers(buffer), sessions: make(map[*flow.Session]*session)}
}

// Conn is a connection that can end its side.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Start carries a session that begins with plan to its end, on goroutines of its own, and tells
// the desk of it. client is a socket or what Server has made of one, and is closed at the
// end. The end of ctx ends the session with flow.CauseDrain and resets it. Only the steps End,
// Dial and Wait can be carried out. When Start returns the session can be woken, seen and ended.
//
// A side that ends is ended at the other, and the session goes on in the other direction.
// With SCTP, which has no half-closed connections, it is over when an SCTP side ends or the remote
// of an SCTP client does; a remote of SCTP learns of the client's end when all is over. A
// reset is passed on as a reset, and so is a TLS connection that breaks off inside a
// record. One that ends between records but without close_notify is ended at the other side
// without it, too: nothing is claimed that was not said.
func (g *Group) Start(ctx context.Context, s *flow.Session, client Conn, plan flow.Plan) {
	x := newSession(ctx, g, s)
	g.add(s, x)
	go x.begin(client, plan)
}

// Wait returns when no session runs, and the desk was told of all ends. None may be started
// meanwhile.
func (g *Group) Wait() { g.running.Wait() }

func (g *Group) add(s *flow.Session, x *session) {
	g.running.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[s] = x
}

// remove tells the desk of the end of a session.
func (g *Group) remove(s *flow.Session) {
	g.mu.Lock()
	delete(g.sessions, s)
	g.mu.Unlock()
	g.desk.Close(s)
	g.running.Done()
}

// WakeSession implements flow.Waker.
func (g *Group) WakeSession(s *flow.Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if x := g.sessions[s]; x != nil {
		select {
		case x.wake <- struct{}{}:
		default: // it was woken already and has not looked yet
		}
	}
}

// Views implements flow.Core.
func (g *Group) Views() []flow.View {
	all := g.all()
	views := make([]flow.View, len(all))
	for i, x := range all {
		views[i] = x.view()
	}
	return views
}

// End implements flow.Core.
func (g *Group) End(match func(flow.View) bool, why flow.Cause, reset bool) int {
	n := 0
	for _, x := range g.all() {
		if match(x.view()) && x.finish(ending{cause: why, reset: [2]bool{reset, reset}}) {
			n++
		}
	}
	return n
}

func (g *Group) all() []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*session, 0, len(g.sessions))
	for _, x := range g.sessions {
		all = append(all, x)
	}
	return all
}

// Count implements flow.Core.
func (g *Group) Count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}
