package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"sluice/internal/admin"
	"sluice/internal/config"
	"sluice/internal/engine"
	"sluice/internal/gws"
	"sluice/internal/httpx"
	"sluice/internal/logs"
	"sluice/internal/netx"
	"sluice/internal/process"
)

// The files of the run directory, beside the socket.
const (
	supervisorLock = "supervisor.lock"
	gwsLock        = "gws.lock"
)

// engineLock is the file that the engine id holds locked.
func engineLock(dir, id string) string { return filepath.Join(dir, "engine-"+id+".lock") }

// runGNG is one engine, until ctx ends or no gws is found.
func runGNG(ctx context.Context, c config.Config, id string, p *self) error {
	lock, err := enter(c.RunDirectory(), engineLock(c.RunDirectory(), id), "engine "+id)
	if err != nil {
		return err
	}
	defer leave(lock, p.log)
	// The loop has a thread of its own. With one processor the scheduler would take it
	// away in every sleep of the loop, and more than a second one would stand idle.
	runtime.GOMAXPROCS(2)
	e, err := engine.New(c.Engine(id, build()), p.log)
	if err != nil {
		return err
	}
	if err := p.ready(logs.File, c.SocketPath()); err != nil {
		return err
	}
	return p.while(ctx, process.Answers{}, e.Run)
}

// runGWS is the web service with its admin port, until ctx ends or its supervisor is
// gone. Its ports are open, and the socket for engines is when its parent has left it.
func runGWS(ctx context.Context, c config.Config, d *doors, p *self) error {
	lock, err := enter(c.RunDirectory(), filepath.Join(c.RunDirectory(), gwsLock), roleGWS)
	if err != nil {
		return err
	}
	defer leave(lock, p.log)
	if err := d.openHandoff(c); err != nil {
		return err
	}
	if err := p.openAccess(&c); err != nil {
		return err
	}
	conf, err := c.GWS(build())
	if err != nil {
		return err
	}
	if p.access != nil {
		conf.Access = p.access
	}
	// A supervisor ends the engines itself, and lets them live when it starts gws anew.
	conf.KeepEngines = conf.KeepEngines || d.lifeline != nil
	server, err := gws.New(conf, []gws.Door{{Listener: d.user}}, d.handoff, p.log)
	if err != nil {
		return err
	}
	web := httpx.NewServer(admin.Handler(server, func() admin.Settings { return admin.Settings{Cache: c.Report.Cache, Statistics: c.Report.Statistics} }), httpx.Options{}, p.log)
	parts := []func(context.Context) error{
		server.Run,
		func(ctx context.Context) error { return serve(ctx, web, d.admin) },
	}
	if d.lifeline != nil {
		parts = append(parts, func(ctx context.Context) error { return process.Lifeline(ctx, d.lifeline) })
	}
	if err := p.ready(logs.Listen, urlOf(d.user), logs.Admin, urlOf(d.admin), logs.File, c.SocketPath()); err != nil {
		return err
	}
	return p.while(ctx, process.Answers{}, func(ctx context.Context) error { return process.Together(ctx, parts...) })
}

// adminGrace is how long answers of the admin port may take when gws ends.
const adminGrace = time.Second

// serve serves web on l until ctx ends.
func serve(ctx context.Context, web *http.Server, l net.Listener) error {
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

// enter makes the run directory and takes a module's lock in it.
func enter(dir, lock, name string) (*process.Lock, error) {
	if err := process.OpenRunDir(dir); err != nil {
		return nil, err
	}
	l, err := process.Acquire(lock)
	var held *process.HeldError
	if errors.As(err, &held) {
		return nil, fmt.Errorf("another %s is active in %s (pid %d); stop it or give --run-dir", name, dir, held.PID)
	}
	return l, err
}

func leave(lock *process.Lock, log *slog.Logger) {
	if err := lock.Release(); err != nil {
		log.Warn("lock not removed", logs.Error, err)
	}
}

// doors are the sockets at which gws is asked.
type doors struct {
	user, admin *net.TCPListener
	handoff     *net.UnixListener
	lifeline    *os.File // of the supervisor; nil when there is none
}

// The names of inherited descriptors.
const (
	doorUser     = "user"
	doorAdmin    = "admin"
	doorHandoff  = "handoff"
	doorLifeline = "lifeline"
)

// inheritDoors takes what the parent process has left.
func inheritDoors() (*doors, error) {
	files, err := netx.Inherited()
	if err != nil {
		return nil, err
	}
	d := &doors{lifeline: files[doorLifeline]}
	delete(files, doorLifeline)
	for name, f := range files {
		l, err := net.FileListener(f)
		f.Close()
		if err == nil {
			err = d.put(name, l)
		}
		if err != nil {
			d.close()
			return nil, fmt.Errorf("inherited socket %s: %w", name, err)
		}
	}
	return d, nil
}

func (d *doors) put(name string, l net.Listener) error {
	tcp, isTCP := l.(*net.TCPListener)
	unix, isUnix := l.(*net.UnixListener)
	switch {
	case name == doorUser && isTCP:
		d.user = tcp
	case name == doorAdmin && isTCP:
		d.admin = tcp
	case name == doorHandoff && isUnix:
		d.handoff = unix
	default:
		l.Close()
		return fmt.Errorf("no use for a %s listener of that name", l.Addr().Network())
	}
	return nil
}

// openPorts opens the ports that are not there yet: those below 1024 need root.
func (d *doors) openPorts(c config.Config) (err error) {
	if d.user == nil {
		if d.user, err = netx.ListenTCP(c.Listen[0].Address); err != nil {
			return fmt.Errorf("user port: %w", err)
		}
	}
	if d.admin == nil {
		if d.admin, err = netx.ListenTCP(c.Admin.Address); err != nil {
			return fmt.Errorf("admin port: %w", err)
		}
	}
	return nil
}

// openHandoff opens the socket for engines. Its file belongs to the user of the process,
// since only that user's engines may connect.
func (d *doors) openHandoff(c config.Config) (err error) {
	if d.handoff == nil {
		if d.handoff, err = netx.ListenHandoff(c.SocketPath()); err != nil {
			return fmt.Errorf("socket for engines: %w", err)
		}
	}
	return nil
}

// close closes what is open; what is closed already does not mind.
func (d *doors) close() {
	if d.user != nil {
		d.user.Close()
	}
	if d.admin != nil {
		d.admin.Close()
	}
	if d.handoff != nil {
		d.handoff.Close()
	}
	if d.lifeline != nil {
		d.lifeline.Close()
	}
}

// files are copies of the doors for a child, with their names.
func (d *doors) files() (names []string, files []*os.File, err error) {
	for _, l := range []struct {
		name string
		file func() (*os.File, error)
	}{{doorUser, d.user.File}, {doorAdmin, d.admin.File}, {doorHandoff, d.handoff.File}} {
		f, err := l.file()
		if err != nil {
			closeAll(files)
			return nil, nil, fmt.Errorf("copy the socket %s: %w", l.name, err)
		}
		names, files = append(names, l.name), append(files, f)
	}
	return names, files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// urlOf is the URL of l as this machine reaches it.
func urlOf(l net.Listener) string { return visit(l.Addr().String()) }
