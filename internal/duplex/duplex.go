// Package duplex carries sessions on goroutines, two each: those with TLS on either side, and
// on systems without I/O threads all of them. A session that waits holds no buffer.
package duplex

import (
	"context"
	"net"

	"sluice/internal/flow"
)

// Group is the sessions on goroutines. All methods may be called from any goroutine.
type Group struct{ todo int }

// New makes a group whose sessions the desk decides about. buffer is the size of the
// buffers, which sessions share, in bytes; 0 = 32 KiB.
func New(desk flow.Desk, buffer int) *Group { panic("not built yet") }

// Conn is a connection that can end its side.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Serve carries a session that begins with plan, on the caller's goroutine and one more, to
// its end, and tells the desk of it. client is the connection to the client, after a handshake
// if it is TLS, and is closed at the end; head was read from it already and is relayed first.
// The end of ctx ends it with flow.CauseDrain. Only the steps End, Dial and Wait can come
// after a Dial.
func (g *Group) Serve(ctx context.Context, s *flow.Session, client Conn, head []byte, plan flow.Plan) {
	panic("not built yet")
}

// WakeSession implements flow.Waker.
func (g *Group) WakeSession(s *flow.Session) { panic("not built yet") }

// Views implements flow.Core.
func (g *Group) Views() []flow.View { panic("not built yet") }

// End implements flow.Core.
func (g *Group) End(match func(flow.View) bool, why flow.Cause, reset bool) int {
	panic("not built yet")
}

// Count implements flow.Core.
func (g *Group) Count() int { panic("not built yet") }
