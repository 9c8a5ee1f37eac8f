package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"sluice/internal/admin"
	"sluice/internal/config"
	"sluice/internal/httpx"
	"sluice/internal/logs"
	"sluice/internal/process"
	"sluice/internal/relay"
)

// runRelay is the relay with its admin port, until ctx ends and its sessions have ended or had their
// time, or until its supervisor is gone.
func runRelay(ctx context.Context, c *config.Config, d *relayDoors, p *self, again reread) error {
	lock, err := d.lock(c.RunDirectory())
	if err != nil {
		return err
	}
	defer leave(lock, p.log)
	w := &relayWorker{self: p, doors: d, again: again}
	return w.run(ctx, c)
}

// lock is that of the run directory. Of those that have a supervisor there may be several: each has
// its own, by which the next supervisor knows that it is still there.
func (d *relayDoors) lock(dir string) (*process.Lock, error) {
	name := relayLock
	if d.lifeline != nil {
		name = relayLockOf(os.Getpid())
	}
	return enter(dir, filepath.Join(dir, name), roleRelay)
}

// relayWorker is a process that relays.
type relayWorker struct {
	self  *self
	doors *relayDoors
	again reread
	relay *relay.Relay

	held    atomic.Pointer[config.Config] // what holds; of the goroutine of reload
	retired atomic.Bool
	endWeb  context.CancelFunc
}

func (w *relayWorker) run(ctx context.Context, c *config.Config) error {
	w.held.Store(c)
	conf, err := c.RelayConfig()
	if err != nil {
		return err
	}
	if err := w.self.openSessions(c); err != nil {
		return err
	}
	web, endWeb := context.WithCancel(context.Background())
	defer endWeb()
	w.endWeb = endWeb
	runtime.GOMAXPROCS(relayProcs(conf.Threads))
	if w.relay, err = relay.New(conf, w.options(&conf)); err != nil {
		return err
	}
	l, err := w.adminListener()
	if err == nil {
		err = w.ready(l)
	}
	if err != nil {
		w.relay.Close()
		return err
	}
	return w.self.while(ctx, process.Answers{Reload: w.reload}, func(ctx context.Context) error {
		return w.relayAll(ctx, web, l)
	})
}

// options are what the relay has of this process.
func (w *relayWorker) options(c *relay.Config) relay.Options {
	w.doors.known(c)
	o := relay.Options{Log: w.self.log, Version: build(), Inherited: w.doors.sockets}
	if w.self.sessions != nil {
		o.Record = w.self.sessions.Put
	}
	if w.doors.link != nil {
		o.Retired = w.retire
	}
	return o
}

func (w *relayWorker) ready(l net.Listener) error {
	var addrs []string
	for _, a := range w.relay.Addrs() {
		addrs = append(addrs, a.String())
	}
	args := []any{logs.Listen, strings.Join(addrs, ",")}
	if l != nil {
		args = append(args, logs.Admin, visit(l.Addr().String(), w.held.Load().Relay.Admin.TLS))
	}
	return w.self.ready(args...)
}

// relayAll relays, with what runs beside: the admin port until the last session has ended, and a look
// whether the supervisor is there. The end of web ends these.
func (w *relayWorker) relayAll(ctx, web context.Context, l net.Listener) error {
	stop, end := context.WithCancelCause(ctx)
	defer end(nil)
	var beside sync.WaitGroup
	if l != nil {
		beside.Go(func() {
			if err := w.serveAdmin(web, l); err != nil {
				end(err)
			}
		})
	}
	if w.doors.lifeline != nil {
		beside.Go(func() {
			if err := process.Lifeline(web, w.doors.lifeline); err != nil {
				w.endWeb() // the next one needs the port
				end(err)
			}
		})
	}
	err := w.relay.Run(stop, w.self.asked.Kill)
	w.endWeb()
	beside.Wait()
	if cause := context.Cause(stop); err == nil && ctx.Err() == nil && stop.Err() != nil {
		err = cause
	}
	return err
}

// adminListener is the admin port, nil if there is none. What a trusted proxy says of a connection
// comes before TLS.
func (w *relayWorker) adminListener() (net.Listener, error) {
	l, err := w.doors.adminListener()
	if l == nil || err != nil {
		return nil, err
	}
	log := logs.Limited(w.self.log)
	l = httpx.ProxyListener(l, func() []netip.Prefix { return w.held.Load().Proxies }, func(err error) {
		log.Info("connection to the admin port closed", logs.Reason, err)
	})
	c := w.held.Load()
	if !c.Relay.Admin.TLS {
		return l, nil
	}
	cert, err := certificate(c, w.self.log)
	if err != nil {
		l.Close()
		return nil, err
	}
	return tls.NewListener(l, cert), nil
}

// serveAdmin serves the admin port of the relay. It ends with web, and before that with an error
// only.
func (w *relayWorker) serveAdmin(web context.Context, l net.Listener) error {
	return serveWeb(web, httpx.NewServer(admin.Relay(w.relay), httpx.Options{}, w.self.log), l)
}

// retire has the supervisor start the next process. What is asked of the admin port is that one's business.
func (w *relayWorker) retire() {
	w.retired.Store(true)
	w.endWeb()
	if err := w.doors.link.Retire(); err != nil {
		w.self.log.Error("the supervisor does not hear that this process retires", logs.Error, err)
		return
	}
	w.self.log.Info("Retire limit reached. Told parent about this.") // as tcprelay says it
}

// reload reads the configuration again; new sockets have come from the supervisor, which passes them
// on once: those of a configuration that was of no use are kept for the next one.
func (w *relayWorker) reload() {
	if w.retired.Load() {
		return
	}
	now, err := w.again(w.held.Load())
	var conf relay.Config
	if err == nil {
		conf, err = now.conf.RelayConfig()
	}
	if err == nil {
		err = w.doors.hear()
	}
	if err == nil {
		err = w.relay.Reload(conf, w.doors.sockets)
	}
	if err != nil {
		tellKept(w.self.log, err)
		return
	}
	w.held.Store(&now.conf)
	w.doors.forget(&conf)
	w.self.level.Set(now.conf.Log.Level)
	now.tell(w.self.log)
}

// The locks of relays in a run directory.
const relayLock = "relay.lock"

func relayLockOf(pid int) string { return fmt.Sprintf("relay-%s.lock", strconv.Itoa(pid)) }
