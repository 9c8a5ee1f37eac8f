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

// Serve carries a session that begins with plan, on the caller's goroutine and one more, to
// its end, and tells the desk of it. client is a socket or what Server has made of
// one, and is closed at the end; head was read from it already and is relayed first.
// The end of ctx ends the session with flow.CauseDrain and resets it. Only the steps End,
// Dial and Wait can come after a Dial.
//
// A side that ends is ended at the other, and the session goes on in the other direction.
// With SCTP, which has no half-closed connections, it is over when an SCTP side ends or the remote
// of an SCTP client does; a remote of SCTP learns of the client's end when all is over. A reset is passed on as a reset, and so is a TLS connection that
// breaks off inside a record. One that ends without close_notify between records is ended at
// the other side, too, but without close_notify: it proves no more than it has proved here.
func (g *Group) Serve(ctx context.Context, s *flow.Session, client Conn, head []byte, plan flow.Plan) {
	x := newSession(ctx, g, s)
	if err := x.takeClient(client, head); err != nil {
		plan = flow.Plan{Step: flow.End, Cause: flow.CauseError, Err: err}
	}
	g.add(s, x)
	x.carry(plan)
	x.close()
	g.remove(s)
	g.desk.Close(s)
}

func (g *Group) add(s *flow.Session, x *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[s] = x
}

func (g *Group) remove(s *flow.Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, s)
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
