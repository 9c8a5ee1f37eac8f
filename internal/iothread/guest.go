package iothread

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/duplex"
	"sluice/internal/flow"
)

// errNoMore ends a session whose Desk looks on where nothing can come.
var errNoMore = errors.New("the client's first bytes were looked at in vain")

func clientError(err error) error { return fmt.Errorf("client: %w", err) }

// guest is a session on goroutines before it has a remote: it looks and waits.
type guest struct {
	s     *flow.Session
	conn  duplex.Conn
	raw   syscall.RawConn
	desk  flow.Desk
	buf   []byte // nil while nothing is looked at
	limit time.Time
	woken chan struct{}
	view  flow.View // as it was in the beginning

	mu   sync.Mutex // guards what follows
	end  *flow.Plan // what it is to end with
	stir chan struct{}
}

// serve carries a session from its beginning.
func (g *goroutines) serve(ctx context.Context, x *gate, c duplex.Conn) {
	l := x.listener.Load()
	peer := flow.FromNet(c.RemoteAddr())
	s := &flow.Session{
		ID: g.ids.Add(1), Listener: l, Peer: peer, Client: peer, Local: flow.FromNet(c.LocalAddr()),
		Begun: time.Now(), Thread: -1, ClientFD: -1, RemoteFD: -1,
	}
	v := &guest{
		s: s, conn: c, desk: g.desk, woken: make(chan struct{}, 1), stir: make(chan struct{}),
		view: flow.View{ID: s.ID, Listener: l.Name, Client: peer, Begun: s.Begun},
	}
	s.Waker = v
	g.mu.Lock()
	g.greeted[s.ID] = v
	g.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { v.stop(flow.Plan{Cause: flow.CauseDrain, Reset: true}) })
	plan := v.receive(g.buffer)
	stop()
	g.mu.Lock()
	delete(g.greeted, s.ID)
	g.mu.Unlock()
	if ordered := v.ordered(); ordered != nil { // the last order was heard
		plan = *ordered
	}
	_ = c.SetReadDeadline(time.Time{}) // an error is seen at the next read
	if plan.Step == flow.Take {
		g.desk.Take(s, c)
		return
	}
	g.group.Start(ctx, s, c, plan)
}

// receive asks the Desk until it wants something that a guest does not do.
func (v *guest) receive(buffer int) flow.Plan {
	plan := v.desk.Open(v.s)
	if plan.Step == flow.End {
		return plan
	}
	if err := v.ready(); err != nil {
		return flow.Plan{Cause: flow.CauseError, Err: err}
	}
	for {
		v.limit = time.Time{}
		if plan.Within > 0 {
			v.limit = time.Now().Add(plan.Within)
		}
		switch plan.Step {
		case flow.Look:
			v.buf = make([]byte, buffer)
			plan = v.look()
			v.buf = nil
		case flow.Wait:
			plan = v.wait()
		default:
			return plan
		}
	}
}

// ready sets the options of the client's socket.
func (v *guest) ready() (err error) {
	known, ok := v.conn.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T is no socket", v.conn)
	}
	if v.raw, err = known.SyscallConn(); err != nil {
		return err
	}
	t, ok := v.conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	l := v.s.Listener
	k := net.KeepAliveConfig{Enable: !l.KeepAlive.Off, Idle: orSystem(l.KeepAlive.Idle), Interval: orSystem(l.KeepAlive.Interval), Count: l.KeepAlive.Count}
	if k.Count == 0 {
		k.Count = -1
	}
	err = errors.Join(t.SetNoDelay(l.NoDelay), t.SetKeepAliveConfig(k))
	if l.DSCP != 0 {
		ctl := v.raw.Control(func(fd uintptr) { err = errors.Join(err, setDSCP(int(fd), v.s.Local, l.DSCP)) })
		err = errors.Join(err, ctl)
	}
	return err
}

// orSystem is d as package net has it: negative is the system's choice.
func orSystem(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// look shows the Desk what the client has sent, which stays where it is.
func (v *guest) look() flow.Plan {
	seen, stale := 0, 0
	for {
		n, last, err := v.peek(seen, &stale)
		if ordered := v.ordered(); ordered != nil {
			return *ordered
		}
		if err != nil {
			return flow.Plan{Cause: flow.CauseClient, Err: clientError(err), Reset: true}
		}
		plan := v.desk.Look(v.s, v.buf[:n], last)
		if plan.Skip > 0 {
			if _, err := io.ReadFull(v.conn, v.buf[:min(plan.Skip, n)]); err != nil {
				return flow.Plan{Cause: flow.CauseClient, Err: clientError(err), Reset: true}
			}
		}
		switch {
		case plan.Step != flow.Look || plan.Skip > 0:
			return plan
		case last:
			return flow.Plan{Cause: flow.CauseError, Err: errNoMore}
		}
		if seen = n; plan.Within > 0 {
			v.limit = time.Now().Add(plan.Within)
		}
	}
}

// peek waits until there are more than seen bytes, or there will be no more. A poller may
// remember readiness from before, once: who is woken twice for nothing was woken for an end.
func (v *guest) peek(seen int, stale *int) (n int, last bool, err error) {
	v.setTime()
	wait := v.raw.Read(func(fd uintptr) bool {
		n, _, err = unix.Recvfrom(int(fd), v.buf, unix.MSG_PEEK)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			n, err = 0, nil
			return false
		case err != nil || n == 0 || n == len(v.buf):
			last = true
			return true
		case n > seen:
			*stale = 0
			return true
		}
		*stale++
		last = *stale > 2
		return last
	})
	if errors.Is(wait, os.ErrDeadlineExceeded) {
		return max(n, 0), true, nil
	}
	return max(n, 0), last, errors.Join(err, wait)
}

// setTime bounds the next read by the time of the step, unless it is over anyway.
func (v *guest) setTime() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.end == nil {
		_ = v.conn.SetReadDeadline(v.limit)
	}
}

// wait waits for a wake.
func (v *guest) wait() flow.Plan {
	begun := time.Now()
	var over <-chan time.Time
	if !v.limit.IsZero() {
		timer := time.NewTimer(time.Until(v.limit))
		defer timer.Stop()
		over = timer.C
	}
	late := false
	select {
	case <-v.woken:
	case <-v.stir:
		return *v.ordered()
	case <-over:
		late = true
	}
	v.s.Queued += time.Since(begun)
	return v.desk.Again(v.s, late)
}

// WakeSession implements flow.Waker.
func (v *guest) WakeSession(*flow.Session) {
	select {
	case v.woken <- struct{}{}:
	default:
	}
}

// stop has the session end so; it says whether it was the first to.
func (v *guest) stop(p flow.Plan) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.end != nil {
		return false
	}
	v.end = &p
	close(v.stir)
	_ = v.conn.SetReadDeadline(time.Unix(1, 0))
	return true
}

func (v *guest) ordered() *flow.Plan {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.end
}
