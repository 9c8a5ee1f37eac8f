package iothread

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/duplex"
	"sluice/internal/flow"
	"sluice/internal/logs"
)

// goroutines stand in for threads on systems without epoll: one accepts at each socket,
// two carry each session (package duplex).
type goroutines struct {
	desk   flow.Desk
	log    *slog.Logger // lets a line through once a second
	buffer int
	group  *duplex.Group

	ids, accepted, acceptErrors atomic.Uint64

	mu      sync.Mutex      // guards what follows
	ctx     context.Context // of Run; nil before
	ended   bool
	gates   []*gate
	greeted map[uint64]*guest // those that the group does not have yet
	all     sync.WaitGroup
}

// gate is a listening socket.
type gate struct {
	socket   net.Listener
	local    flow.Addr
	listener atomic.Pointer[flow.Listener]

	mu     sync.Mutex    // guards what follows
	paused chan struct{} // closed when it goes on; nil while it is not paused
	shut   bool
}

// setTime is what the listeners of the standard library have.
type setTime interface{ SetDeadline(t time.Time) error }

func newGoroutines(c Config, desk flow.Desk, log *slog.Logger) (*goroutines, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	return &goroutines{
		desk: desk, log: logs.Limited(log), buffer: c.Buffer, group: duplex.New(desk, c.Buffer), greeted: make(map[uint64]*guest),
	}, nil
}

// Run carries sessions until ctx ends: then it closes its listening sockets, resets what sessions are left
// (flow.CauseDrain) and returns when all of them were told to the Desk. It is called once.
func (g *goroutines) Run(ctx context.Context) error {
	g.mu.Lock()
	g.ctx = ctx
	for _, gate := range g.gates {
		g.all.Go(func() { g.accept(ctx, gate) })
	}
	g.mu.Unlock()
	<-ctx.Done()
	g.mu.Lock()
	g.ended = true
	for _, gate := range g.gates {
		gate.close()
	}
	g.gates = nil
	g.mu.Unlock()
	g.all.Wait()
	g.group.Wait()
	return nil
}

// Listen accepts clients at a listening socket, which is the pool's from then on, also
// when there is an error.
func (g *goroutines) Listen(l *flow.Listener, socket *os.File) error {
	defer socket.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return fmt.Errorf("listener %s: %w", l.Name, errEnded)
	}
	inner, err := net.FileListener(socket) // has a copy
	if err != nil {
		return fmt.Errorf("listener %s: take over the socket of %s: %w", l.Name, l.Addr, err)
	}
	if u, ok := inner.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // who has opened it removes its file
	}
	gate := &gate{socket: inner, local: flow.FromNet(inner.Addr())}
	gate.listener.Store(l)
	g.gates = append(g.gates, gate)
	if ctx := g.ctx; ctx != nil {
		g.all.Go(func() { g.accept(ctx, gate) })
	}
	return nil
}

// Change gives another Listener to the socket that has one of the same name and address:
// sessions that come from now on have it. Those that run keep theirs.
func (g *goroutines) Change(l *flow.Listener) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, gate := range g.gates {
		if gate.is(l.Name, l.Addr) {
			gate.listener.Store(l)
			return nil
		}
	}
	return fmt.Errorf("listener %s does not listen on %s", l.Name, l.Addr)
}

// Pause stops accepting at the sockets of a listener (clients wait in the kernel's queue),
// or goes on. It does not wait for anything.
func (g *goroutines) Pause(name string, on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, gate := range g.gates {
		if gate.listener.Load().Name == name {
			gate.pause(on)
		}
	}
}

// Close closes the listening socket at addr of a listener; its sessions go on. It returns when the
// socket is closed.
func (g *goroutines) Close(name string, addr flow.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gates = slices.DeleteFunc(g.gates, func(gate *gate) bool {
		is := gate.is(name, addr)
		if is {
			gate.close()
		}
		return is
	})
}

// Views implements flow.Core.
func (g *goroutines) Views() []flow.View {
	views := g.group.Views()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range g.greeted {
		views = append(views, v.view)
	}
	return views
}

// End implements flow.Core.
func (g *goroutines) End(match func(flow.View) bool, why flow.Cause, reset bool) int {
	g.mu.Lock()
	n := 0
	for _, v := range g.greeted {
		if match(v.view) && v.stop(flow.Plan{Cause: why, Reset: reset}) {
			n++
		}
	}
	g.mu.Unlock()
	return n + g.group.End(match, why, reset)
}

// Count implements flow.Core.
func (g *goroutines) Count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.greeted) + g.group.Count()
}

// Figures returns what is known: not how the bytes went.
func (g *goroutines) Figures() Figures {
	return Figures{Accepted: g.accepted.Load(), AcceptErrors: g.acceptErrors.Load()}
}

// is says whether this is the socket that is called so.
func (x *gate) is(name string, addr flow.Addr) bool {
	l := x.listener.Load()
	return l.Name == name && (l.Addr == addr || x.local == addr)
}

func (x *gate) pause(on bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case on && x.paused == nil:
		x.paused = make(chan struct{})
		_ = x.socket.(setTime).SetDeadline(time.Unix(1, 0)) // a listener that is closed accepts nothing either
	case !on && x.paused != nil:
		_ = x.socket.(setTime).SetDeadline(time.Time{})
		close(x.paused)
		x.paused = nil
	}
}

func (x *gate) close() {
	x.pause(false)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.shut = true
	x.socket.Close()
}

// state says whether the gate is closed, and what to wait for while it is paused.
func (x *gate) state() (shut bool, paused <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.shut, x.paused
}

// accept lets clients in until the gate is closed.
func (g *goroutines) accept(ctx context.Context, x *gate) {
	var pause time.Duration
	for {
		c, err := x.socket.Accept()
		shut, paused := x.state()
		switch {
		case err == nil:
			if paused != nil { // the pause came while it was accepted
				<-paused
			}
			pause = 0
			g.accepted.Add(1)
			g.all.Go(func() { g.serve(ctx, x, c.(duplex.Conn)) })
		case shut:
			return
		case paused != nil:
			<-paused
		case errors.Is(err, os.ErrDeadlineExceeded): // of a pause that is over
		default:
			pause = min(max(2*pause, acceptFirst), acceptMost)
			g.acceptErrors.Add(1)
			g.log.Error("clients wait: cannot accept", slog.Any(logs.Error, err), slog.Duration(logs.Delay, pause))
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}
