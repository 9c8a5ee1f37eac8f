package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"sluice/internal/admin"
	"sluice/internal/config"
	"sluice/internal/httpx"
	"sluice/internal/logs"
	"sluice/internal/origin"
	"sluice/internal/process"
	"sluice/internal/script"
	"sluice/internal/store"
)

// originLock is held by an origin with a supervisor.
const originLock = "origin.lock"

// runOrigin is the origin, until ctx ends and what is being answered has ended or had its time, until it
// has done its work (quit), or until its supervisor is gone. Its ports are open. Without a supervisor it has no channels.
func runOrigin(ctx context.Context, c *config.Config, d *originDoors, p *self, again reread) error {
	if d.lifeline != nil {
		lock, err := enter(c.RunDirectory(), originLockPath(c.RunDirectory()), roleOrigin)
		if err != nil {
			return err
		}
		defer leave(lock, p.log)
	}
	w := &originWorker{self: p, doors: d, again: again, stores: newStores(p.log)}
	w.held.Store(c)
	err := w.run(ctx, c)
	return errors.Join(err, w.stores.close())
}

// originWorker is a process that is an origin.
type originWorker struct {
	self   *self
	doors  *originDoors
	again  reread
	stores *stores
	origin *origin.Origin

	held atomic.Pointer[config.Config] // what holds
	told origin.Config                 // what the origin is told of it; of run, then of reload
}

func (w *originWorker) run(ctx context.Context, c *config.Config) error {
	conf, err := prepareOrigin(c, w.stores, w.self.log)
	if err != nil {
		return err
	}
	o, err := w.options(c)
	if err != nil {
		return err
	}
	if w.origin, err = origin.New(conf, o); err != nil {
		return err
	}
	w.told = conf
	web, endWeb := context.WithCancel(context.WithoutCancel(ctx)) // the admin port shows the last request, too
	defer endWeb()
	parts := []func(context.Context) error{w.sweep, func(stop context.Context) error {
		defer endWeb()
		return w.serve(ctx, stop)
	}}
	if w.doors.lifeline != nil {
		parts = append(parts, func(ctx context.Context) error {
			err := process.Lifeline(ctx, w.doors.lifeline)
			if err != nil {
				endWeb() // the next one needs the port
			}
			return err
		})
	}
	said := []any{logs.Listen, w.doors.urls(c)}
	if l := w.doors.listeners[doorOriginAdmin]; l != nil {
		cert, err := adminCertificate(c, w.self.log)
		if err != nil {
			return err
		}
		parts = append(parts, func(context.Context) error { return w.serveAdmin(web, l, cert) })
		said = append(said, logs.Admin, visit(l.Addr().String(), c.Origin.Admin.TLS))
	}
	if err := w.self.ready(said...); err != nil {
		return err
	}
	return w.self.while(ctx, process.Answers{Reload: w.reload}, func(ctx context.Context) error { return process.Together(ctx, parts...) })
}

// prepareOrigin makes of a configuration what the origin is told, with what has to be opened for it.
func prepareOrigin(c *config.Config, s *stores, log *slog.Logger) (origin.Config, error) {
	conf, err := c.OriginConfig()
	if err != nil {
		return conf, err
	}
	if conf.Rules != nil {
		for _, w := range conf.Rules.Warnings() {
			log.Warn("rules", logs.Reason, w)
		}
	}
	for path, sink := range conf.Sinks {
		if sink.Type == "" {
			sink.Type = store.TypeOf(path, "")
			conf.Sinks[path] = sink
		}
	}
	if conf.Hook, err = originHook(c, log); err != nil {
		return conf, err
	}
	return conf, s.fill(&conf, c)
}

// options are what the origin has of this process.
func (w *originWorker) options(c *config.Config) (o origin.Options, err error) {
	cert, err := originCertificate(c, w.self.log)
	if err != nil {
		return o, err
	}
	if o.Doors, err = w.doors.forClients(c, cert); err != nil {
		return o, err
	}
	if l := w.doors.listeners[doorUploads]; l != nil {
		o.Uploads = origin.Door{Listener: l, Local: true}
	}
	if w.doors.lifeline != nil {
		o.Channels = channels{c.WatchSocket()}
	}
	said := slog.New(always{w.self.log.Handler()})
	o.Requests = func(line string) { logs.Normal(said, line) }
	o.Log, o.Version = w.self.log, build()
	return o, nil
}

// always is a handler whose lines are written whatever the level of the log is.
type always struct{ slog.Handler }

// Enabled implements slog.Handler.
func (always) Enabled(context.Context, slog.Level) bool { return true }

// lostGrace is how long requests may go on when the supervisor is gone: the next one waits for the ports.
const lostGrace = orphanTime / 2

// serve serves until stop ends. What is being answered then has its time, which is short when it was not the
// end of the process, ctx, that was asked for.
func (w *originWorker) serve(ctx, stop context.Context) error {
	kill, end := context.WithCancelCause(w.self.asked.Kill)
	defer end(nil)
	defer context.AfterFunc(stop, func() {
		grace := lostGrace
		if ctx.Err() != nil {
			grace = w.held.Load().Grace
		}
		pause(kill, grace)
		end(errors.New("the time for an orderly end is over"))
	})()
	return w.origin.Run(stop, kill)
}

// sweep closes stores that the configuration does not name any more, until ctx ends.
func (w *originWorker) sweep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.stores.idle:
			if err := w.stores.sweep(); err != nil {
				w.self.log.Warn("directory of the origin not closed", logs.Error, err)
			}
		}
	}
}

// reload reads the configuration again, with its files of rules and users.
func (w *originWorker) reload() {
	now, err := w.again(w.held.Load())
	var conf origin.Config
	if err == nil {
		conf, err = prepareOrigin(&now.conf, w.stores, w.self.log)
	}
	if err == nil {
		err = w.origin.Reload(conf)
	}
	if err != nil {
		w.stores.keep(&w.told)
		tellKept(w.self.log, err)
		return
	}
	w.told = conf
	w.stores.keep(&conf)
	w.held.Store(&now.conf)
	w.self.level.Set(now.conf.Log.Level)
	now.tell(w.self.log)
}

// adminCertificate is for the admin port of the origin; nil when that is plain.
func adminCertificate(c *config.Config, log *slog.Logger) (*tls.Config, error) {
	if !c.Origin.Admin.TLS {
		return nil, nil
	}
	return serverTLS(c.TLS, log)
}

// serveAdmin serves the admin port of the origin until web ends. What a trusted proxy says of a connection comes before TLS.
func (w *originWorker) serveAdmin(web context.Context, l net.Listener, cert *tls.Config) error {
	log := logs.Limited(w.self.log)
	l = httpx.ProxyListener(l, func() []netip.Prefix { return w.held.Load().Proxies }, func(err error) {
		log.Info("connection to the admin port closed", logs.Reason, err)
	})
	if cert != nil {
		l = tls.NewListener(l, cert)
	}
	return serveWeb(web, httpx.NewServer(admin.Origin(w.origin), httpx.Options{}, w.self.log), l)
}

// usableOrigin says what keeps the origin from being started with c, besides ports: it opens what the origin will open,
// and closes it.
func usableOrigin(c *config.Config, log *slog.Logger) (err error) {
	s := newStores(log)
	defer func() { err = errors.Join(err, s.close()) }()
	conf, err := prepareOrigin(c, s, log)
	if err != nil {
		return err
	}
	if _, err := originCertificate(c, log); err != nil {
		return err
	}
	if conf.Script == nil {
		return nil
	}
	hook, err := script.New(*conf.Script)
	if err != nil {
		return fmt.Errorf("origin.js: %w", err)
	}
	hook.Close()
	return nil
}
