// Package engine is the gng role: one process that receives channels and sends them
// to clients whose sockets gws hands over.
//
//	gws ──(Attach + socket)──► link ──► loop ──► clients
//	 ▲                          │         │
//	 └──(Started, Refused, …)── queue ◄───┘ observer
//
// The loop does the work and never waits for anybody. The link keeps the connection
// to gws: while there is none the streams go on, and when gws is back it is told what
// runs. Between the two stands a bounded queue; what does not fit is replaced by a
// report of everything.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"sluice/internal/endpoint/all"
	"sluice/internal/handoff"
	"sluice/internal/logs"
	"sluice/internal/loop"
	"sluice/internal/netx"
	"sluice/internal/report"
)

// Config of an engine. Zero fields take the defaults.
type Config struct {
	ID     string // required: unique among the engines of one gws
	Socket string // required: path of the handoff socket of gws
	Build  string // version of the program, as gws and the reports show it

	Interface     string // name of the interface that groups are joined on; if empty, the system's choice
	ReceiveBuffer int    // SO_RCVBUF of a source, in bytes; if zero, netx.DefaultReceiveBuffer
	Uploads       string // path of the UNIX socket where the origin gives its uploads; if empty, there are none

	Sources  []netip.Prefix // networks that a request's sources may be in; of the configuration's own any may
	Targets  []netip.Prefix // networks that a request's targets may be in; likewise
	ReadFrom []string       // directories whose files a request may name
	WriteTo  []string       // directories into which a request may have a stream written

	Memory int64         // bytes of the histories of all channels of this engine; if zero, no limit
	Renew  time.Duration // how often memberships of groups are renewed; if zero, never
	Stall  time.Duration // a client that takes nothing for so long is closed; if zero 20 s

	ReconnectAttempts int           // tries to reach gws before the engine ends; if zero 60
	ReconnectDelay    time.Duration // between two tries; if zero 1 s
}

// Validate says what is missing or makes no sense.
func (c Config) Validate() error {
	switch {
	case c.ID == "":
		return errors.New("an engine needs an ID")
	case c.Socket == "":
		return errors.New("an engine needs the path of the handoff socket")
	case c.Memory < 0:
		return errors.New("the memory cannot be negative")
	case c.Renew < 0:
		return errors.New("the time between two renewals cannot be negative")
	case c.Stall < 0 || c.ReconnectDelay < 0 || c.ReconnectAttempts < 0:
		return errors.New("stall and reconnect settings cannot be negative")
	case c.ReceiveBuffer < 0:
		return errors.New("the receive buffer cannot be negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.ReconnectAttempts == 0 {
		c.ReconnectAttempts = 60
	}
	if c.ReconnectDelay == 0 {
		c.ReconnectDelay = time.Second
	}
	if c.Stall == 0 {
		c.Stall = 20 * time.Second
	}
	return c
}

// Engine is made by New and runs once.
type Engine struct {
	conf     Config // but for stall it holds as long as the engine
	log      *slog.Logger
	opener   *all.Opener
	loop     *loop.Loop
	queue    *queue
	sessions *sessions
	started  time.Time
	stall    atomic.Int64 // Config.Stall, in nanoseconds
}

// New makes an engine that is not connected yet.
func New(c Config, log *slog.Logger) (*Engine, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	e := &Engine{conf: c, log: log, queue: newQueue(), opener: all.New(c.ends(log)), started: time.Now()}
	e.stall.Store(int64(c.Stall))
	e.sessions = newSessions(e.opener, e.queue)
	conf := c.loop()
	conf.Opener, conf.Log = e.opener, log
	conf.Observer = &observer{queue: e.queue, sessions: e.sessions, log: log, limited: logs.Limited(log)}
	var err error
	if e.loop, err = loop.New(conf); err != nil {
		return nil, fmt.Errorf("engine %s: %w", c.ID, err)
	}
	return e, nil
}

// ends is the part of c that the ends are opened by.
func (c Config) ends(log *slog.Logger) all.Config {
	return all.Config{
		Interface: c.Interface, ReceiveBuffer: c.ReceiveBuffer, Version: c.Build, Uploads: c.Uploads, Log: log,
		Sources: c.Sources, Targets: c.Targets, ReadFrom: c.ReadFrom, WriteTo: c.WriteTo,
	}
}

// loop is the part of c that the loop runs by.
func (c Config) loop() loop.Config {
	return loop.Config{Memory: c.Memory, Renew: c.Renew, Stall: c.Stall}
}

// Reload has c hold from now on: Memory, Renew and Stall for all there is, what requests may
// name, and the interface of targets, for what is opened. All else stays as it is until the
// engine is started anew. With an error nothing has changed.
func (e *Engine) Reload(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c = c.withDefaults()
	if err := e.loop.Adjust(c.loop()); err != nil {
		return err
	}
	e.stall.Store(int64(c.Stall))
	e.opener.Reload(c.ends(e.log))
	return nil
}

// Reset ends all channels and clients; the engine goes on.
func (e *Engine) Reset() {
	e.sessions.drop("", "")
	_ = e.loop.Reset() // an error is its end
}

// Run serves until ctx ends, and then returns nil once the clients have got what was
// left. Without a gws it goes on serving, but returns an error when ReconnectAttempts
// are used up.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Bye comes before anything that the end of the loop makes: nobody new comes.
	loopCtx, endLoop := context.WithCancel(context.WithoutCancel(ctx))
	defer endLoop()
	stop := context.AfterFunc(ctx, func() {
		e.queue.answer(handoff.Bye{Reason: "the engine ends"})
		endLoop()
	})
	defer stop()
	linked := make(chan struct{})
	linkCtx, unlink := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(linked)
		// Without gws nobody can ask for anything any more: the loop ends as well.
		cancel(e.keepLink(ctx, linkCtx))
	}()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		e.watchLinks(loopCtx)
	}()
	defer context.AfterFunc(loopCtx, e.sessions.end)()
	err := e.loop.Run(loopCtx)
	cancel(err)
	endLoop()
	<-watched
	e.sessions.wait()
	if err := e.opener.Close(); err != nil {
		e.log.Debug("what the sources shared was not closed cleanly", logs.Error, err)
	}
	// The link outlives the loop, so that gws hears of the last clients.
	e.queue.close()
	unlink()
	<-linked
	if err == nil {
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			err = cause
		}
	}
	return err
}

// watchLinks has the loop look after its groups when interfaces have changed.
func (e *Engine) watchLinks(ctx context.Context) {
	err := netx.WatchLinks(ctx, func() { _ = e.loop.LinksChanged() }) // an error is its end
	if err != nil {
		e.log.Warn("interfaces are not watched: groups on one that goes and comes back are not joined again", logs.Error, err)
	}
}

// report is all the engine carries.
func (e *Engine) report(ctx context.Context) report.Engine {
	r := report.Engine{ID: e.conf.ID, PID: os.Getpid(), Version: e.conf.Build, Started: e.started}
	channels, err := e.loop.Report(ctx)
	if err != nil {
		r.Error = err.Error()
	}
	r.Channels = channels
	return r
}
