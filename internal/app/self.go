package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/process"
)

// self is what a process has beside its work: its logs, its pid file, the signals that it
// gets and, when it is a daemon, who waits for it to be up.
type self struct {
	role   string
	log    *slog.Logger
	access *logs.Access // of gws; nil = none
	asked  *process.Asked
	level  slog.LevelVar // of log

	sessions *logs.Lines // the session log of a relay; nil = none

	born    *process.Born // nil = no daemon
	syslog  *logs.Syslog  // nil = none
	file    *logs.RotatingFile
	pidFile *process.Lock // nil = none
	ends    []func()      // of what was begun, in this order
}

// begin opens the logs and writes the pid file. All that it makes belongs to the user of
// the process, so call it as the one who stays.
func (p *self) begin(c *config.Config) error {
	if c.PIDFile != "" {
		lock, err := process.WritePID(c.PIDFile)
		if err != nil {
			return fmt.Errorf("%w%s", err, ownHint(err, "needs a directory that it may write to: what it makes it must be able to remove"))
		}
		p.pidFile = lock
	}
	var out io.Writer = os.Stderr
	if c.Log.File != "" {
		var err error
		if p.file, err = logs.OpenFile(logFile(c)); err != nil {
			return err
		}
		out = p.file
	}
	p.level.Set(c.Log.Level)
	log, written := logs.NewQueued(out, p.role, &p.level)
	p.log = log
	p.ends = append(p.ends, written)
	if p.born != nil {
		return p.beginDaemon(c)
	}
	return nil
}

func logFile(c *config.Config) logs.FileConfig {
	return logs.FileConfig{Path: c.Log.File, MaxSize: c.Log.MaxSize, MaxFiles: c.Log.MaxFiles, Time: c.Log.Time}
}

// beginDaemon does what only a daemon needs: it has no standard error.
func (p *self) beginDaemon(c *config.Config) error {
	if c.Log.Syslog {
		p.syslog = logs.NewSyslog(p.role, p.log)
		p.ends = append(p.ends, p.syslog.Close)
		p.log = p.syslog.Errors(p.log)
	}
	crash, err := os.OpenFile(c.Log.File, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	defer crash.Close()
	if err := debug.SetCrashOutput(crash, debug.CrashOptions{}); err != nil {
		return fmt.Errorf("where to write a crash: %w", err)
	}
	return nil
}

// openAccess opens the access log, if there is to be one.
func (p *self) openAccess(c *config.Config) (err error) {
	if c.Access.File == "" {
		return nil
	}
	p.access, err = logs.OpenAccess(logs.FileConfig{Path: c.Access.File, MaxSize: c.Access.MaxSize, MaxFiles: c.Access.MaxFiles}, p.log)
	return err
}

// openSessions opens the session log of a relay, if there is to be one.
func (p *self) openSessions(c *config.Config) (err error) {
	f := c.Relay.SessionLog
	if f.File == "" {
		return nil
	}
	p.sessions, err = logs.OpenLines("session log", logs.FileConfig{Path: f.File, MaxSize: f.MaxSize, MaxFiles: f.MaxFiles}, p.log)
	return err
}

// ownHint is for an error about files that this user has no right to.
func ownHint(err error, wants string) string {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Sprintf(" (user %d %s)", os.Geteuid(), wants)
	}
	return ""
}

// ready tells all who wait that the process does its work now.
func (p *self) ready(args ...any) error {
	logs.Normal(p.log, "ready", args...)
	if p.syslog != nil {
		p.syslog.Say("started, version " + build())
	}
	return p.born.Up()
}

// while runs, and meanwhile does what signals ask: logs are rotated, besides what do says.
func (p *self) while(ctx context.Context, do process.Answers, run func(context.Context) error) error {
	rotate := do.Rotate
	do.Rotate = func() {
		p.rotate()
		if rotate != nil {
			rotate()
		}
	}
	listening, cancel := context.WithCancel(ctx)
	var answered sync.WaitGroup
	answered.Go(func() { p.asked.Answer(listening, do) })
	defer answered.Wait()
	defer cancel()
	return run(ctx)
}

func (p *self) rotate() {
	var err error
	if p.file != nil {
		err = p.file.Rotate()
	}
	if p.access != nil {
		err = errors.Join(err, p.access.Rotate())
	}
	if p.sessions != nil {
		err = errors.Join(err, p.sessions.Rotate())
	}
	if err != nil {
		p.log.Warn("log not rotated", logs.Error, err)
	}
}

// end tells of the end and closes what begin has opened. err is why the process ends; it
// is logged where standard error may not be read.
func (p *self) end(err error) {
	if p.access != nil {
		p.tellClose(p.access.Close())
	}
	if p.sessions != nil {
		p.tellClose(p.sessions.Close())
	}
	if p.pidFile != nil {
		if err := p.pidFile.Release(); err != nil && p.log != nil {
			p.log.Warn("pid file not removed", logs.Error, err)
		}
	}
	if p.log != nil {
		p.tellEnd(err)
	}
	for i := len(p.ends) - 1; i >= 0; i-- {
		p.ends[i]()
	}
	if p.file != nil {
		p.file.Close()
	}
}

// tellClose tells that a log was not written to its end.
func (p *self) tellClose(err error) {
	if err != nil {
		p.log.Warn("a log is not whole", logs.Error, err)
	}
}

func (p *self) tellEnd(err error) {
	if err != nil && p.file != nil {
		p.log.Log(context.Background(), logs.Crit, "stopped", logs.Error, err)
		return
	}
	if err != nil {
		return // standard error has it
	}
	reason := "done"
	if cause := context.Cause(p.asked.Stop); cause != nil {
		reason = cause.Error()
	}
	logs.Normal(p.log, "stopped", logs.Reason, reason)
	if p.syslog != nil {
		p.syslog.Say("stopped: " + reason)
	}
}
