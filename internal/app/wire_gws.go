package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/admin"
	"sluice/internal/alias"
	"sluice/internal/auth"
	"sluice/internal/config"
	"sluice/internal/gws"
	"sluice/internal/httpx"
	"sluice/internal/logs"
	"sluice/internal/process"
)

// runGWS is the web service with its admin port, until ctx ends or its supervisor is
// gone. Its ports are open, and the socket for engines is when its parent has left it.
func runGWS(ctx context.Context, c *config.Config, d *doors, p *self, again reread) error {
	lock, err := enter(c.RunDirectory(), filepath.Join(c.RunDirectory(), gwsLock), roleGWS)
	if err != nil {
		return err
	}
	defer leave(lock, p.log)
	if err := d.openLocal(c); err != nil {
		return err
	}
	if err := p.openAccess(c); err != nil {
		return err
	}
	cert, err := certificate(c, p.log)
	if err != nil {
		return err
	}
	// A supervisor ends the engines itself, and lets them live when it starts gws anew.
	f := &front{self: p, again: again, keepEngines: d.lifeline != nil, asked: make(chan struct{}, 1), read: make(chan []alias.List)}
	if c.HasOrigin() && c.Origin.UserPort {
		f.elsewhere = elsewhere(c.OriginSocket(), func() []netip.Prefix { return f.held.Load().conf.Proxies }, p.log)
	}
	s, err := f.prepare(ctx, *c)
	if err != nil {
		return err
	}
	if f.server, err = gws.New(s.gws, d.forUsers(c, cert), d.handoff, p.log); err != nil {
		return err
	}
	f.hold(s)
	parts := []func(context.Context) error{
		f.server.Run,
		f.keep,
		func(ctx context.Context) error { return f.serveAdmin(ctx, d.admin, cert) },
	}
	if d.lifeline != nil {
		parts = append(parts, func(ctx context.Context) error { return process.Lifeline(ctx, d.lifeline) })
	}
	users, adminURL := d.urls(c)
	if err := p.ready(logs.Listen, users, logs.Admin, adminURL, logs.File, c.SocketPath()); err != nil {
		return err
	}
	return p.while(ctx, process.Answers{Reload: f.ask}, func(ctx context.Context) error { return process.Together(ctx, parts...) })
}

// front is the web service with what may change while it runs. keep's goroutine changes it.
type front struct {
	self        *self
	again       reread
	keepEngines bool // whatever the configuration says
	server      *gws.Server
	elsewhere   http.Handler      // what is no request of ours; nil = nobody's
	asked       chan struct{}     // one request to read the configuration again
	read        chan []alias.List // lists that have become others
	held        atomic.Pointer[stance]
}

// stance is a configuration with what it makes of gws. It is never modified.
type stance struct {
	conf  config.Config // with the channels of the lists
	gws   gws.Config
	guard *auth.Guard
	lists *alias.Watcher
}

// prepare reads what c refers to. Lists that cannot be read leave what c has of them.
func (f *front) prepare(ctx context.Context, c config.Config) (*stance, error) {
	rights, err := c.AuthConfig()
	if err != nil {
		return nil, err
	}
	s := &stance{conf: c}
	if s.guard, err = auth.New(rights, f.self.log); err != nil {
		return nil, err
	}
	limited := logs.Limited(f.self.log)
	s.lists = alias.NewWatcher(c.Places(), 0, c.Refresh, func(_ string, err error) { tellList(limited, err) })
	lists, err := s.lists.Load(ctx)
	f.tellLists(lists, err)
	leftOut, err := s.conf.SetLists(lists)
	f.tellLeftOut(leftOut)
	if err != nil {
		if f.held.Load() != nil {
			return nil, err
		}
		f.self.log.Error("lists of channels not in use", logs.Error, short(err)) // what there is beside them is served
	}
	return s, f.complete(s)
}

// complete makes of the configuration of s what gws is told.
func (f *front) complete(s *stance) (err error) {
	if s.gws, err = s.conf.GWS(build()); err != nil {
		return err
	}
	s.gws.Guard, s.gws.Elsewhere = s.guard, f.elsewhere
	if f.self.access != nil {
		s.gws.Access = f.self.access
	}
	s.gws.KeepEngines = s.gws.KeepEngines || f.keepEngines
	return nil
}

func (f *front) hold(s *stance) {
	f.held.Store(s)
	f.self.level.Set(s.conf.Log.Level)
}

// ask has the configuration be read again. It does not wait.
func (f *front) ask() {
	select {
	case f.asked <- struct{}{}:
	default: // somebody has asked already
	}
}

// guardLinger is how long a guard lives on that another one has replaced: somebody may be
// about to ask it.
const guardLinger = time.Second

// keep runs what the present stance wants beside the server, and changes the stance, until
// ctx ends.
func (f *front) keep(ctx context.Context) error {
	var guards sync.WaitGroup
	defer guards.Wait()
	for ctx.Err() == nil {
		s := f.held.Load()
		guardCtx, retire := context.WithCancel(ctx)
		guards.Go(func() {
			if err := s.guard.Run(guardCtx); err != nil {
				f.self.log.Error("authorization", logs.Error, err)
			}
		})
		f.follow(ctx, s.lists)
		guards.Go(func() {
			pause(ctx, guardLinger)
			retire()
		})
	}
	return nil
}

// follow changes the channels as their lists change, until a configuration was read that
// is of use, or ctx ends.
func (f *front) follow(ctx context.Context, lists *alias.Watcher) {
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		lists.Run(watching, func(now []alias.List) {
			select {
			case f.read <- now:
			case <-watching.Done():
			}
		})
	})
	defer watcher.Wait()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-f.read:
			f.takeLists(now)
		case <-f.asked:
			if f.reload(ctx) {
				return
			}
		}
	}
}

// reload reads the configuration again, and what it refers to; it says whether that holds
// now.
func (f *front) reload(ctx context.Context) bool {
	old := f.held.Load()
	now, err := f.again(&old.conf)
	var s *stance
	if err == nil {
		for _, ch := range old.conf.Channels { // for lists that cannot be read now
			if ch.List != "" {
				now.conf.Channels = append(now.conf.Channels, ch)
			}
		}
		s, err = f.prepare(ctx, now.conf)
	}
	if err == nil {
		err = f.server.Reload(s.gws)
	}
	if err != nil {
		tellKept(f.self.log, err)
		return false
	}
	f.hold(s)
	now.tell(f.self.log)
	return true
}

// takeLists gives the present stance other lists.
func (f *front) takeLists(lists []alias.List) {
	s := *f.held.Load()
	leftOut, err := s.conf.SetLists(lists)
	if err == nil {
		err = f.complete(&s)
	}
	if err == nil {
		err = f.server.Reload(s.gws)
	}
	if err != nil {
		f.self.log.Error("lists of channels not in use: those before stay", logs.Error, short(err))
		return
	}
	f.hold(&s)
	f.tellLists(lists, nil)
	f.tellLeftOut(leftOut)
}

// tellLeftOut logs what of the lists is not in use.
func (f *front) tellLeftOut(lines []string) {
	for _, line := range lines {
		f.self.log.Warn("list of channels", logs.Reason, line)
	}
}

// tellLists logs what was read of the lists, and what could not be.
func (f *front) tellLists(lists []alias.List, err error) {
	for _, l := range lists {
		if l.Name != "" {
			logs.Normal(f.self.log, "list of channels read", logs.File, l.Name, "channels", len(l.Channels))
		}
		for _, w := range l.Warnings {
			f.self.log.Warn("list of channels", logs.Reason, w)
		}
	}
	var all interface{ Unwrap() []error }
	if err != nil && errors.As(err, &all) {
		for _, err := range all.Unwrap() {
			tellList(f.self.log, err)
		}
	}
}

// tellList logs that a list could not be read.
func tellList(log *slog.Logger, err error) {
	log.Error("list of channels not read: what was read before stays", logs.Error, short(err))
}

// serveAdmin serves the admin port until ctx ends; cert is for one over TLS. What a trusted
// proxy says of a connection comes before TLS.
func (f *front) serveAdmin(ctx context.Context, l net.Listener, cert *tls.Config) error {
	settings := func() admin.Settings {
		r := f.held.Load().conf.Report
		return admin.Settings{Cache: r.Cache, Statistics: r.Statistics}
	}
	log := logs.Limited(f.self.log)
	l = httpx.ProxyListener(l, func() []netip.Prefix { return f.held.Load().conf.Proxies }, func(err error) {
		log.Info("connection to the admin port closed", logs.Reason, err)
	})
	if f.held.Load().conf.Admin.TLS {
		l = tls.NewListener(l, cert)
	}
	return serveWeb(ctx, httpx.NewServer(admin.Handler(f.server, settings), httpx.Options{}, f.self.log), l)
}

// adminGrace is how long answers of the admin port may take when gws ends.
const adminGrace = time.Second

// serveWeb serves web on l until ctx ends.
func serveWeb(ctx context.Context, web *http.Server, l net.Listener) error {
	return process.Together(ctx,
		func(context.Context) error {
			if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("admin port: %w", err)
			}
			return nil
		},
		func(ctx context.Context) error {
			<-ctx.Done()
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminGrace)
			defer cancel()
			if web.Shutdown(late) != nil {
				return web.Close()
			}
			return nil
		})
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
