package app

import (
	"context"
	"runtime"

	"sluice/internal/config"
	"sluice/internal/engine"
	"sluice/internal/logs"
	"sluice/internal/process"
)

// runGNG is one engine, until ctx ends or no gws is found.
func runGNG(ctx context.Context, c *config.Config, id string, p *self, again reread) error {
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
	reload := func() {
		now, err := again(c)
		if err == nil {
			err = e.Reload(now.conf.Engine(id, build()))
		}
		if err != nil {
			tellKept(p.log, err)
			return
		}
		*c = now.conf
		p.level.Set(c.Log.Level)
		now.tell(p.log)
	}
	return p.while(ctx, process.Answers{Reload: reload, Reset: e.Reset}, e.Run)
}
