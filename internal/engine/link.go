package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/handoff"
	"sluice/internal/logs"
	"sluice/internal/loop"
	"sluice/internal/netx"
)

// keepIDs is how many IDs of Attach are remembered, to refuse a repetition.
const keepIDs = 4096

// stallMargin is how much later than Stall the kernel gives a client up.
const stallMargin = 10 * time.Second

// keepLink keeps the connection to gws until live ends, and the one that then exists
// until linger ends, so that the last messages arrive. It returns an error when gws
// could not be reached ReconnectAttempts times in a row.
func (e *Engine) keepLink(live, linger context.Context) error {
	seen := newRecent(keepIDs)
	for failures := 0; ; {
		began := time.Now()
		before, _ := os.Stat(e.conf.Socket) // an error is no socket
		attached, err := e.link(live, linger, seen)
		if live.Err() != nil {
			return nil
		}
		if attached {
			failures = 0
			e.logLost(err)
		} else if failures++; failures == 1 {
			e.log.Warn("gws cannot be reached, trying again", logs.Error, err,
				"attempts", e.conf.ReconnectAttempts, logs.Delay, e.conf.ReconnectDelay)
		}
		if failures >= e.conf.ReconnectAttempts {
			return fmt.Errorf("gws was not reached in %d attempts: %w", failures, err)
		}
		if attached && time.Since(began) > e.conf.ReconnectDelay {
			continue // the next one may be there already
		}
		if !e.pause(live, before) {
			return nil
		}
	}
}

// lookEvery is how often an engine that waits looks whether gws has come.
const lookEvery = 25 * time.Millisecond

// pause waits ReconnectDelay, or until another socket stands where that of gws is to be than
// before the last attempt. It reports false when ctx ends.
func (e *Engine) pause(ctx context.Context, before os.FileInfo) bool {
	late := time.NewTimer(e.conf.ReconnectDelay)
	defer late.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for came := false; ; {
		select {
		case <-look.C:
			if came { // and had the time to listen
				return true
			}
			now, err := os.Stat(e.conf.Socket)
			came = err == nil && (before == nil || !os.SameFile(before, now))
		case <-late.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// link is one connection from its beginning to its end; attached says whether gws was
// reached at all.
func (e *Engine) link(live, linger context.Context, seen *recent) (attached bool, err error) {
	conn, err := e.connect(live)
	if err != nil {
		return false, err
	}
	return true, e.speak(linger, conn, seen)
}

func (e *Engine) logLost(err error) {
	var bye *byeError
	if errors.As(err, &bye) {
		logs.Normal(e.log, "gws ends: the streams go on", logs.Reason, bye.reason)
		return
	}
	e.log.Warn("connection to gws lost: the streams go on", logs.Error, err)
}

// byeError is what gws gave as the reason to end the connection.
type byeError struct{ reason string }

func (e *byeError) Error() string { return "gws said good-bye: " + e.reason }

// connect reaches gws and agrees with it on who is who.
func (e *Engine) connect(ctx context.Context) (*handoff.Conn, error) {
	conn, err := handoff.Dial(ctx, e.conf.Socket)
	if err != nil {
		return nil, err
	}
	if err := e.introduce(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (e *Engine) introduce(ctx context.Context, conn *handoff.Conn) error {
	e.queue.clear()
	err := conn.Send(handoff.Hello{
		Version: handoff.Version, Engine: e.conf.ID, PID: os.Getpid(), Build: e.conf.Build, Started: e.started,
	})
	if err == nil {
		err = e.sendReport(ctx, conn, 0)
	}
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return err
	}
	// A gws that has closed already may have said why; one that is just starting accepts
	// the connection later.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	m, fd, err := conn.Recv()
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case handoff.Welcome:
		logs.Normal(e.log, "attached to gws", logs.PID, m.PID)
		return nil
	case handoff.Bye:
		return &byeError{m.Reason}
	default:
		closeIf(fd)
		return fmt.Errorf("gws answered Hello with %T", m)
	}
}

// speak serves one connection until it breaks, or until the queue was closed and
// everything in it is sent. When it is this engine that breaks it off, the clients that
// nothing was written to are given up first: gws will see the end, and give them to
// another engine. Sessions with a target that wait for the first byte are given up in any
// case: the next gws does not hear of them, and would begin a route once more.
func (e *Engine) speak(ctx context.Context, conn *handoff.Conn, seen *recent) error {
	defer conn.Close()
	queries := make(chan uint64, 16)
	told := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		err := e.tell(ctx, conn, queries)
		if !endedByGws(err) { // else listen hears what was said before, and then the end
			_ = conn.SetReadDeadline(time.Unix(0, 1)) // ends listen
		}
		told <- err
	}()
	err := e.listen(ctx, conn, queries, seen)
	cancel()
	e.sessions.cutOff()
	if first := <-told; errors.Is(err, os.ErrDeadlineExceeded) {
		err = first
	}
	switch {
	case err == nil:
	case endedByGws(err):
		e.loop.AbandonAway()
	default:
		e.loop.Abandon()
	}
	return err
}

// endedByGws says whether err means that gws closed the connection, or is about to.
func endedByGws(err error) bool {
	var bye *byeError
	return errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.As(err, &bye)
}

// listen does what gws says. Targets that it is still opening are given up with ctx.
func (e *Engine) listen(ctx context.Context, conn *handoff.Conn, queries chan<- uint64, seen *recent) error {
	for {
		m, fd, err := conn.Recv()
		if lost, ok := m.(handoff.Attach); ok && errors.Is(err, netx.ErrNoRoom) {
			e.log.Warn("client refused", logs.Client, lost.Tag(), logs.Error, err)
			e.queue.answer(handoff.Refused{ID: lost.ID, Code: http.StatusServiceUnavailable, Reason: "the engine can open no more connections"})
			continue
		}
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case handoff.Attach:
			e.attach(ctx, m, fd, seen)
		case handoff.Drop:
			e.sessions.drop(m.Channel, m.Client)
			if e.loop.Drop(m.Channel, m.Client) != nil {
				e.log.Debug("nothing dropped: the engine ends", logs.Channel, m.Channel, logs.Client, m.Client)
			}
		case handoff.Reset:
			e.Reset()
		case handoff.Pin:
			if e.loop.Pin(m.Channel) != nil {
				e.log.Debug("channel not pinned: the engine ends", logs.Channel, m.Channel.Tag())
			}
		case handoff.Unpin:
			if e.loop.Unpin(m.Tag) != nil {
				e.log.Debug("channel not unpinned: the engine ends", logs.Channel, m.Tag)
			}
		case handoff.Query:
			select {
			case queries <- m.ID:
			default: // gws asks faster than it listens: this one gets no answer
			}
		case handoff.Bye:
			return &byeError{m.Reason}
		default:
			return fmt.Errorf("gws sent %T, which is an engine's to send", m)
		}
	}
}

// attach gives a client to the loop, or refuses it. One with a target of its own becomes a
// session.
func (e *Engine) attach(ctx context.Context, m handoff.Attach, fd int, seen *recent) {
	if !seen.add(m.ID) {
		// Not an answer for gws: the first one with this ID has its own.
		closeIf(fd)
		e.log.Error("gws repeated an Attach", "id", m.ID, logs.Client, m.Tag())
		return
	}
	if m.Target != nil {
		e.sessions.begin(ctx, m, e.give)
		return
	}
	if err := e.give(m, fd); err != nil {
		unix.Close(fd)
		if !errors.Is(err, loop.ErrEnded) { // then gws finds another for whom has no answer
			e.queue.answer(handoff.Refused{ID: m.ID, Code: http.StatusInternalServerError, Reason: err.Error()})
		}
	}
}

func closeIf(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// give gives the loop a client whose socket is fd; with an error that stays the caller's.
func (e *Engine) give(m handoff.Attach, fd int) error {
	// The loop judges who is stuck; the kernel only ends what the loop cannot.
	if err := netx.PrepareClient(fd, netx.ClientOptions{Timeout: time.Duration(e.stall.Load()) + stallMargin}); err != nil {
		return err
	}
	return e.loop.Attach(m.Channel, loop.Client{
		ID: m.ID, FD: fd, Addr: m.Peer, Tag: m.Tag(), Away: m.Target != nil, Head: m.Head, Start: startOf(m), Slow: m.Slow,
	})
}

// tell sends what waits in the queue, and the answers to queries, until ctx ends or
// the queue is closed and empty.
func (e *Engine) tell(ctx context.Context, conn *handoff.Conn, queries <-chan uint64) error {
	for {
		select {
		case <-ctx.Done():
			return e.flush(context.WithoutCancel(ctx), conn)
		case id := <-queries:
			if err := e.sendReport(ctx, conn, id); err != nil {
				return err
			}
		case <-e.queue.ready:
			if err := e.flush(ctx, conn); err != nil {
				return err
			}
		}
	}
}

// flush sends all that waits in the queue.
func (e *Engine) flush(ctx context.Context, conn *handoff.Conn) error {
	items, lost, closed := e.queue.take()
	for _, m := range items {
		if err := conn.Send(m); err != nil {
			return err
		}
	}
	if lost && !closed {
		return e.sendReport(ctx, conn, 0)
	}
	return nil
}

// sendReport answers query, in as many messages as it takes.
func (e *Engine) sendReport(ctx context.Context, conn *handoff.Conn, query uint64) error {
	for _, part := range handoff.SplitReport(query, e.report(ctx)) {
		if err := conn.Send(part); err != nil {
			return err
		}
	}
	return nil
}

// recent remembers the last n IDs.
type recent struct {
	set  map[uint64]bool
	ring []uint64
	next int
}

func newRecent(n int) *recent { return &recent{set: map[uint64]bool{}, ring: make([]uint64, 0, n)} }

// add remembers id and says whether it is new.
func (r *recent) add(id uint64) bool {
	if r.set[id] {
		return false
	}
	r.set[id] = true
	if len(r.ring) < cap(r.ring) {
		r.ring = append(r.ring, id)
		return true
	}
	delete(r.set, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % len(r.ring)
	return true
}
