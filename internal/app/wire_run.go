package app

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/netx"
	"sluice/internal/process"
)

// runAll is `sluice run`.
func runAll(ctx context.Context, s *settings) error {
	signal.Ignore(syscall.SIGPIPE)
	asked := process.Signals(ctx)
	defer asked.End()
	c, err := s.load()
	if err != nil {
		return err
	}
	c.RunDir = c.RunDirectory() // it depends on the user
	return runModules(asked, c, roleRun, s.again, nil)
}

// runModules opens the ports and goes on as the user of the configuration, with all its modules. begun, if it is not nil, is
// called once there is a log.
func runModules(asked *process.Asked, c config.Config, role string, again reread, begun func(*self)) error {
	s, err := openSockets(asked.Stop, &c)
	defer s.close()
	if err != nil {
		return err
	}
	if switches(&c) {
		if err := settle(&c, true); err != nil {
			return err
		}
	}
	p := &self{role: role, asked: asked}
	if err = p.begin(&c); err == nil {
		logSource(p.log, &c)
		if err := missingInterface(&c); err != nil {
			p.log.Warn("configuration", logs.Reason, err)
		}
		if begun != nil {
			begun(p)
		}
		err = superviseAll(c, s, p, again)
	}
	p.end(err)
	return err
}

// sockets are the ports of a `sluice run`.
type sockets struct {
	doors  *doors
	relay  *relayDoors  // nil = no relay is run
	origin *originDoors // nil = no origin is
}

// openSockets opens the ports of all modules. What it returns is to be closed, also with an error.
func openSockets(ctx context.Context, c *config.Config) (s sockets, err error) {
	if s.doors, err = openDoors(ctx, c); err != nil {
		return s, err
	}
	if s.relay, err = openRelay(ctx, c); err != nil {
		return s, err
	}
	s.origin, err = openOrigin(ctx, c)
	return s, err
}

// close closes all of them.
func (s sockets) close() {
	if s.doors != nil {
		s.doors.close()
	}
	if s.relay != nil {
		s.relay.close()
	}
	if s.origin != nil {
		s.origin.close()
	}
}

// superviseAll supervises, and passes on what signals ask.
func superviseAll(c config.Config, s sockets, p *self, again reread) error {
	m, err := newModules(c, s, p.log)
	if err != nil {
		return err
	}
	defer m.close()
	reload := func() {
		now, err := again(&m.conf)
		if err == nil && now.conf.HasRelay() != (m.relay != nil) {
			now.keep(&m.conf, "relay")
		}
		if err == nil && (now.conf.HasOrigin() != (m.origin != nil) || otherDoors(&now.conf, &m.conf)) {
			now.keep(&m.conf, "origin")
		}
		if err == nil {
			err = usable(&now.conf)
		}
		if err == nil {
			err = m.reload(p.asked.Stop, now.conf)
		}
		if err != nil {
			tellKept(p.log, err)
			return
		}
		p.level.Set(now.conf.Log.Level)
		now.tell(p.log)
	}
	do := process.Answers{
		Reload: reload,
		Rotate: func() { m.tell(p.asked.Stop, syscall.SIGUSR1) },
		Reset:  func() { m.tell(p.asked.Stop, syscall.SIGUSR2) },
	}
	return p.while(p.asked.Stop, do, func(ctx context.Context) error { return m.run(ctx, p.asked.Kill) })
}

// missingInterface says that groups are to be joined on an interface that is not there. It may come: that is no
// mistake yet.
func missingInterface(c *config.Config) error {
	if err := netx.CheckInterface(c.Interface); err != nil {
		return fmt.Errorf("interface: %w; no group can be joined until it comes", err)
	}
	return nil
}

// switches says whether `sluice run` goes on as another user.
func switches(c *config.Config) bool { return c.User != "" && os.Geteuid() == 0 }
