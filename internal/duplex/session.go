package duplex

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/flow"
)

// The sides of a session, in arrays that have one entry for each.
const (
	client = iota
	remote
)

// ending is how a session ends.
type ending struct {
	cause flow.Cause
	err   error
	reset [2]bool // these sides get a reset
}

// session is a flow.Session that is carried.
type session struct {
	group   *Group
	s       *flow.Session // of the goroutine that begins, then of the pump that ends last
	parent  context.Context
	alone   func() bool   // has the end of parent end the session no longer
	wake    chan struct{} // at most one wake waits
	limits  limits
	pumping atomic.Int32 // pumps that run
	resting atomic.Bool  // they are those of a quiet session

	begun time.Time       // of all times below
	moved [2]atomic.Int64 // bytes that were taken by that side
	quiet atomic.Int64    // when a byte was carried last, a time.Duration

	mu     sync.Mutex         // guards what follows
	legs   [2]*leg            // nil = there is none yet
	over   bool               // it ends, and how is final
	how    ending             // as far as it is known
	cancel context.CancelFunc // of steps; nil when there are no more
	half   time.Duration      // when a side ended; or never
	timer  *time.Timer        // calls look; nil = none
	seen   flow.View          // what changes with each step only
}

func newSession(ctx context.Context, g *Group, s *flow.Session) *session {
	x := &session{group: g, s: s, parent: ctx, wake: make(chan struct{}, 1), begun: time.Now(), half: never}
	x.limits = limits{idle: s.Listener.Idle, half: s.Listener.HalfClose}
	s.Waker, s.Thread, s.ClientFD, s.RemoteFD = g, -1, -1, -1
	x.note()
	return x
}

// note copies what others may see.
func (x *session) note() {
	x.mu.Lock()
	defer x.mu.Unlock()
	pool, remote := x.s.Destination()
	x.seen = flow.View{
		ID: x.s.ID, Listener: x.s.Listener.Name, Client: x.s.Client, Pool: pool, Remote: remote,
		Begun: x.s.Begun, Connected: x.s.Connected,
	}
}

func (x *session) view() flow.View {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := x.seen
	v.Quiet = x.now() - time.Duration(x.quiet.Load())
	v.Up, v.Down = uint64(x.moved[remote].Load()), uint64(x.moved[client].Load())
	for _, l := range x.legs {
		v.TLS = v.TLS || l != nil && l.tls != nil
	}
	return v
}

func (x *session) now() time.Duration { return time.Since(x.begun) }

// takeClient makes the client the first side.
func (x *session) takeClient(c Conn) error {
	l, err := newLeg(c)
	if err != nil {
		c.Close()
		return err
	}
	l.name, l.cause, l.sctp = "client", flow.CauseClient, x.s.Peer.Network == flow.SCTP
	x.s.ClientFD = l.descriptor()
	x.adopt(client, l)
	return l.options(x.s.Listener)
}

// adopt makes l a side of the session.
func (x *session) adopt(side int, l *leg) {
	l.buffers, l.limit = x.group.buffers, x.s.Listener.Buffer
	x.mu.Lock()
	defer x.mu.Unlock()
	x.legs[side] = l
	if x.over {
		l.stop()
	}
}

// begin takes a session from its client to its pumps, or to its end. It needs a large stack:
// its goroutine ends where the pumps begin.
func (x *session) begin(c Conn, p flow.Plan) {
	x.alone = context.AfterFunc(x.parent, x.drain)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	x.cancels(cancel)
	if err := x.takeClient(c); err != nil {
		p = flow.Plan{Step: flow.End, Cause: flow.CauseError, Err: err}
	}
	leave := x.attend()
	x.carry(ctx, p)
	leave()
	x.cancels(nil)
	if x.isOver() {
		x.end()
		return
	}
	x.touch()
	x.look()
	x.pumping.Store(2)
	go x.pump(client, remote)
	go x.pump(remote, client)
}

// cancels says what ends the steps when the session ends.
func (x *session) cancels(cancel context.CancelFunc) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cancel = cancel
	if x.over && cancel != nil {
		cancel()
	}
}

// carry does what the plans say, until there is a remote or the session is over.
func (x *session) carry(ctx context.Context, p flow.Plan) {
	for !x.isOver() {
		switch p.Step {
		case flow.Dial:
			var connected bool
			if p, connected = x.dial(ctx, p); connected {
				return
			}
		case flow.Wait:
			p = x.wait(ctx, p.Within)
		case flow.End:
			x.finish(ending{cause: p.Cause, err: p.Err, reset: [2]bool{client: p.Reset}})
		default:
			x.finish(ending{cause: flow.CauseError, err: fmt.Errorf("step %d cannot be done on goroutines", p.Step)})
		}
	}
}

// wait lasts until the session is woken, or within is over, if it is not zero.
func (x *session) wait(ctx context.Context, within time.Duration) flow.Plan {
	begun, late := time.Now(), false
	var end <-chan time.Time
	if within > 0 {
		t := time.NewTimer(within)
		defer t.Stop()
		end = t.C
	}
	select {
	case <-x.wake:
	case <-end:
		late = true
	case <-ctx.Done():
	}
	x.s.Queued += time.Since(begun)
	if x.ceased() {
		return flow.Plan{}
	}
	p := x.group.desk.Again(x.s, late)
	x.note()
	return p
}

// ceased says that there is nothing to ask the desk any more.
func (x *session) ceased() bool {
	if x.parent.Err() != nil {
		x.drain() // it is on its way
	}
	return x.isOver()
}

// dial connects to a remote, or asks what else is to be done.
func (x *session) dial(ctx context.Context, p flow.Plan) (next flow.Plan, connected bool) {
	x.s.Remote = p.Target
	x.note()
	err := x.connect(ctx, p)
	if x.ceased() {
		return flow.Plan{}, false
	}
	if err != nil {
		next = x.group.desk.Failed(x.s, err)
	} else {
		x.s.Connected = time.Now()
		x.group.desk.Connected(x.s)
	}
	x.note()
	return next, err == nil
}

// connect makes the remote the second side.
func (x *session) connect(ctx context.Context, p flow.Plan) error {
	if p.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.Within)
		defer cancel()
	}
	c, err := flow.Connect(ctx, p.Target.From, p.Target.Addr)
	if err != nil {
		return err
	}
	l, err := x.greet(ctx, c, p.Target)
	if err != nil {
		c.Close()
		return fmt.Errorf("%s has taken the connection: %w", p.Target.Addr, err)
	}
	x.s.RemoteFD = l.descriptor()
	x.adopt(remote, l)
	return nil
}

// greet says to a remote what is said before the session.
func (x *session) greet(ctx context.Context, c net.Conn, to *flow.Target) (*leg, error) {
	l, err := newLeg(c)
	if err != nil {
		return nil, err
	}
	l.name, l.cause, l.sctp = "remote", flow.CauseRemote, to.Addr.Network == flow.SCTP
	if err := l.options(x.s.Listener); err != nil {
		return nil, err
	}
	if len(to.Prelude) > 0 {
		stop := context.AfterFunc(ctx, l.stop)
		_, err := c.Write(to.Prelude)
		if !stop() && ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("it does not take what comes first: %w", cause(err))
		}
	}
	if to.TLS != nil {
		l.tls = tls.Client(l.socket, to.TLS)
		if err := l.tls.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", cause(err))
		}
	}
	return l, nil
}

// drain ends a session whose context has ended.
func (x *session) drain() {
	x.finish(ending{cause: flow.CauseDrain, reset: [2]bool{true, true}})
}

// finish ends a session and says how, unless it is over already.
func (x *session) finish(how ending) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return false
	}
	x.how = how
	x.finishLocked()
	return true
}

// finishLocked ends a session as how says: what it waits for ends at once.
func (x *session) finishLocked() {
	x.over = true
	if x.cancel != nil {
		x.cancel()
	}
	for _, l := range x.legs {
		if l != nil {
			l.stop()
		}
	}
	if x.timer != nil {
		x.timer.Stop()
	}
}

func (x *session) isOver() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.over
}

// end closes both sides and says how it was. It comes last.
func (x *session) end() {
	x.alone()
	for side, l := range x.legs {
		if l != nil {
			l.close(x.how.reset[side])
		}
	}
	x.s.Cause, x.s.Err = x.how.cause, x.how.err
	x.s.Up, x.s.Down = uint64(x.moved[remote].Load()), uint64(x.moved[client].Load())
	x.group.remove(x.s)
}
