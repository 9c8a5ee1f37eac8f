package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/config"
	"sluice/internal/process"
)

// runAll is `sluice run`: it opens the ports and goes on as the user of the configuration,
// with all its modules.
func runAll(ctx context.Context, s *settings) error {
	signal.Ignore(syscall.SIGPIPE)
	asked := process.Signals(ctx)
	defer asked.End()
	c, err := s.load()
	if err != nil {
		return err
	}
	c.RunDir = c.RunDirectory() // it depends on the user
	d, err := openDoors(asked.Stop, &c)
	if err != nil {
		return err
	}
	defer d.close()
	r, err := openRelay(asked.Stop, &c)
	if err != nil {
		return err
	}
	if r != nil {
		defer r.close()
	}
	if switches(&c) {
		if err := settle(&c, true); err != nil {
			return err
		}
	}
	p := &self{role: roleRun, asked: asked}
	if err = p.begin(&c); err == nil {
		logSource(p.log, &c)
		err = superviseAll(c, d, r, p, s.again)
	}
	p.end(err)
	return err
}

// superviseAll supervises, and passes on what signals ask.
func superviseAll(c config.Config, d *doors, r *relayDoors, p *self, again reread) error {
	m, err := newModules(c, d, r, p.log)
	if err != nil {
		return err
	}
	defer m.close()
	reload := func() {
		now, err := again(&m.conf)
		if err == nil && now.conf.HasRelay() != (m.relay != nil) {
			now.keepRelay(&m.conf)
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

// switches says whether `sluice run` goes on as another user.
func switches(c *config.Config) bool { return c.User != "" && os.Geteuid() == 0 }
