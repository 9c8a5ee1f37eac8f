package process

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"sluice/internal/logs"
)

// DefaultGrace is the time that an orderly end may take.
const DefaultGrace = 10 * time.Second

// Supervisor runs Units and keeps them running.
type Supervisor struct {
	// Stages are started one after the other and stopped in reverse, each when all of
	// the one behind it has ended. The units of one stage are started and stopped at once.
	Stages [][]Unit

	// Grace is what an orderly end may take in all; what lives on is killed. The
	// stages share it equally, and one that needs less leaves the rest to the others.
	// If zero DefaultGrace.
	Grace time.Duration

	// Pass gives signals that every process gets that runs at the time. None if nil.
	Pass <-chan syscall.Signal

	// Output takes what the processes write on their standard output and error. If nil
	// our own standard error.
	Output *os.File

	Log *slog.Logger
}

// Run starts everything and returns when everything has ended: in good order after
// stop ends, at once after kill ends. A process that cannot be started counts as
// one that ended at once, so Run has no errors of its own; the log has them.
func (s *Supervisor) Run(stop, kill context.Context) {
	stages := make([]*stage, len(s.Stages))
	for i, units := range s.Stages {
		stages[i] = s.start(stop, kill, units)
	}
	s.pass(stop, kill, stages)
	share := s.grace() / time.Duration(max(len(stages), 1))
	deadline := time.Now()
	for i := len(stages) - 1; i >= 0; i-- {
		deadline = deadline.Add(share)
		stages[i].stop(time.Until(deadline))
	}
}

// pass passes signals on until the end is asked for, and tells of that.
func (s *Supervisor) pass(stop, kill context.Context, stages []*stage) {
	for {
		select {
		case sig := <-s.Pass:
			for _, g := range stages {
				g.signal(sig)
			}
		case <-stop.Done():
			logs.Normal(s.Log, "all processes are stopped", logs.Reason, context.Cause(stop))
			return
		case <-kill.Done():
			logs.Normal(s.Log, "all processes are killed", logs.Reason, context.Cause(kill))
			return
		}
	}
}

func (s *Supervisor) grace() time.Duration {
	if s.Grace > 0 {
		return s.Grace
	}
	return DefaultGrace
}

func (s *Supervisor) output() *os.File {
	if s.Output != nil {
		return s.Output
	}
	return os.Stderr
}

// stage is a set of units that were started together.
type stage struct {
	end  context.CancelFunc // asks for an orderly end
	kill context.CancelFunc // does not ask
	wg   sync.WaitGroup     // a keeper each unit
	keep []keeper
}

// start starts units. From the end of stop on none of them is started again.
func (s *Supervisor) start(stop, kill context.Context, units []Unit) *stage {
	end, cancelEnd := context.WithCancel(context.Background())
	kill, cancelKill := context.WithCancel(kill)
	g := &stage{end: cancelEnd, kill: cancelKill}
	for i := range units {
		k := keeper{
			unit: &units[i], output: s.output(), log: s.Log.With(logs.Process, units[i].Name),
			signals: make(chan syscall.Signal, passed),
		}
		g.keep = append(g.keep, k)
		g.wg.Go(func() { k.keep(stop, end, kill) })
	}
	return g
}

// passed is how many signals wait for a process that is about to be started. Beyond that
// they are dropped, and they are dropped with the process.
const passed = 8

// signal hands sig to the keepers.
func (g *stage) signal(sig syscall.Signal) {
	for _, k := range g.keep {
		select {
		case k.signals <- sig:
		default:
		}
	}
}

// stop ends the stage, by force after grace, and returns when all of it has ended.
func (g *stage) stop(grace time.Duration) {
	defer time.AfterFunc(grace, g.kill).Stop()
	g.end()
	g.wg.Wait()
	g.kill()
}

// keeper keeps one unit running.
type keeper struct {
	unit    *Unit
	output  *os.File
	log     *slog.Logger
	signals chan syscall.Signal // to pass on
}

// keep runs the unit's process again and again until stop ends, and ends it when end is
// asked for.
func (k *keeper) keep(stop, end, kill context.Context) {
	var backoff Backoff
	for {
		started := time.Now()
		p, err := k.unit.begin(k.output)
		if p == nil && err == nil {
			return // a Found unit has nothing to start
		}
		var reason string
		if err != nil {
			reason = err.Error()
		} else {
			k.greet(p)
			if !k.watch(end, p) {
				k.stop(kill, p)
				return
			}
			reason = p.reason()
		}
		if !k.pause(stop, end, p, reason, &backoff, time.Since(started)) {
			return
		}
	}
}

// watch passes signals on to p until it has ended; it reports false when p is to end.
func (k *keeper) watch(end context.Context, p running) bool {
	for {
		select {
		case <-p.ended():
			return true
		case <-end.Done():
			return false
		case sig := <-k.signals:
			k.pass(p, sig)
		}
	}
}

// greet tells of a process that begins, and tells one that has begun before.
func (k *keeper) greet(p running) {
	if _, ok := p.(*found); !ok {
		logs.Normal(k.log, "process started", logs.PID, p.pid())
		return
	}
	logs.Normal(k.log, "process found running and taken over", logs.PID, p.pid())
	if k.unit.TakenOver != 0 {
		k.pass(p, k.unit.TakenOver)
	}
}

// pass passes sig on to p.
func (k *keeper) pass(p running, sig syscall.Signal) {
	if err := p.signal(sig); err != nil {
		k.log.Debug("signal is passed on", logs.PID, p.pid(), logs.Error, err)
	}
}

// pause tells that the process ended and waits as long as the back-off says. It
// reports whether the process is to be started again.
func (k *keeper) pause(stop, end context.Context, p running, reason string, b *Backoff, lived time.Duration) bool {
	log := k.log
	if p != nil {
		log = log.With(logs.PID, p.pid())
	}
	log = log.With(logs.Reason, reason)
	if k.unit.Found {
		log.Warn("process ended, not started again: there are more than wanted")
		return false
	}
	if stop.Err() != nil {
		logs.Normal(log, "process ended")
		return false
	}
	delay := b.Next(lived, rand.Float64())
	log.Warn("process ended, starting it again", logs.Delay, delay.Round(time.Millisecond))
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return stop.Err() == nil && end.Err() == nil
	case <-stop.Done():
	case <-end.Done():
	}
	return false
}

// stop asks p to end, forces it when kill ends, and waits until it has ended.
func (k *keeper) stop(kill context.Context, p running) {
	log := k.log.With(logs.PID, p.pid())
	if err := p.signal(syscall.SIGTERM); err != nil {
		log.Debug("process is asked to end", logs.Error, err)
	}
	select {
	case <-p.ended():
		logs.Normal(log, "process ended", logs.Reason, p.reason())
		return
	case <-kill.Done():
	}
	log.Warn("process killed: it did not end in time")
	if err := p.signal(syscall.SIGKILL); err != nil {
		log.Debug("process is killed", logs.Error, err)
	}
	<-p.ended()
}
