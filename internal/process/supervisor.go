package process

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
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
	// stages share it equally, and one that needs less leaves the rest to the others. One that has
	// more (Unit.Grace) takes nothing from them.
	// If zero DefaultGrace.
	Grace time.Duration

	// Pass gives orders that every process gets that runs at the time. None if nil.
	Pass <-chan Order

	// Output takes what the processes write on their standard output and error. If nil
	// our own standard error.
	Output *os.File

	Log *slog.Logger
}

// Order is what running processes are told.
type Order struct {
	Signal syscall.Signal

	// Those that are Linked have copies of the files, by these names, before the signal.
	// What was given stays the caller's, and has to stay open as long as the order may be
	// under way.
	Names []string
	Files []*os.File
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
		stages[i].stop(max(share, time.Until(deadline)))
	}
}

// pass passes signals on until the end is asked for, and tells of that.
func (s *Supervisor) pass(stop, kill context.Context, stages []*stage) {
	for {
		select {
		case order := <-s.Pass:
			for _, g := range stages {
				g.pass(order)
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
	wg   sync.WaitGroup     // a keeper each unit
	keep []*keeper
}

// start starts units. From the end of stop on none of them is started again.
func (s *Supervisor) start(stop, kill context.Context, units []Unit) *stage {
	end, cancelEnd := context.WithCancel(context.Background())
	g := &stage{end: cancelEnd}
	for i := range units {
		k := &keeper{
			unit: &units[i], output: s.output(), log: s.Log.With(logs.Process, units[i].Name),
			orders: make(chan Order, passed),
		}
		mustEnd, kill := context.WithCancel(kill)
		k.kill = kill
		g.keep = append(g.keep, k)
		g.wg.Go(func() { k.keep(stop, end, mustEnd) })
	}
	return g
}

// passed is how many orders wait until there is time for them. Beyond that they are dropped.
const passed = 8

// pass hands an order to the keepers.
func (g *stage) pass(o Order) {
	for _, k := range g.keep {
		select {
		case k.orders <- o:
		default:
		}
	}
}

// stop ends the stage, each unit by force after grace or its own, and returns when all of it has
// ended.
func (g *stage) stop(grace time.Duration) {
	for _, k := range g.keep {
		defer k.kill()
		patience := grace
		if k.unit.Grace != nil {
			patience = max(grace, k.unit.Grace())
		}
		defer time.AfterFunc(patience, k.kill).Stop()
	}
	g.end()
	g.wg.Wait()
}

const (
	// maxOld is how many processes that have retired a unit may have. Beyond that the one
	// that retired first is asked to end.
	maxOld = 8
	// retireEvery is the time between two starts of a process that retires at once.
	retireEvery = 100 * time.Millisecond
)

// keeper keeps one unit running.
type keeper struct {
	unit   *Unit
	output *os.File
	log    *slog.Logger
	orders chan Order         // to pass on
	kill   context.CancelFunc // ends the unit without asking

	// Of the goroutine of keep.
	old  []running      // retired, in this order; some may have ended
	olds sync.WaitGroup // a finish each
}

// fate is what became of a process that was watched.
type fate uint8

const (
	ended fate = iota
	retired
	toEnd // it is to be ended
)

// keep runs the unit's process again and again until stop ends, and ends it when end is
// asked for, with those that have retired.
func (k *keeper) keep(stop, end, kill context.Context) {
	defer k.olds.Wait()
	defer k.unit.last()
	var backoff Backoff
	for {
		started, stale := time.Now(), len(k.orders)
		p, err := k.unit.begin(k.output)
		if p == nil && err == nil {
			return // a Found unit has nothing to start
		}
		var reason string
		if err != nil {
			reason = err.Error()
		} else {
			k.greet(p)
			k.forget(stale, p)
			switch k.watch(end, p) {
			case toEnd:
				k.unit.last()
				k.stop(kill, p)
				return
			case retired:
				k.retire(end, kill, p)
				if !wait(stop, end, retireEvery-time.Since(started)) {
					return
				}
				continue
			case ended:
				if k.unit.Done != nil && p.succeeded() {
					logs.Normal(k.log, "process has done its work", logs.PID, p.pid())
					k.unit.Done()
					return
				}
			}
			reason = p.reason()
		}
		if !k.pause(stop, end, p, reason, &backoff, time.Since(started)) {
			return
		}
	}
}

// watch passes orders on to p, and to those that have retired, until it has ended, has
// retired or is to end.
func (k *keeper) watch(end context.Context, p running) fate {
	for {
		select {
		case <-p.ended():
			return ended
		case <-p.retired():
			return retired
		case <-end.Done():
			return toEnd
		case o := <-k.orders:
			k.order(p, o)
			k.orderOld(o)
		}
	}
}

// forget spares p, if it has just begun, the first orders that wait, which are older: it begins with what they are
// about, and a signal for which it is not ready yet would be its end.
func (k *keeper) forget(older int, p running) {
	if _, ok := p.(*found); ok {
		return
	}
	for range older {
		k.orderOld(<-k.orders)
	}
}

// orderOld passes the signal of an order on to the processes that have retired.
func (k *keeper) orderOld(o Order) {
	for _, old := range k.old {
		k.signal(old, o.Signal)
	}
}

// retire lets p go on beside the next process.
func (k *keeper) retire(end, kill context.Context, p running) {
	logs.Normal(k.log, "process retires, the next one is started", logs.PID, p.pid())
	k.old = append(slices.DeleteFunc(k.old, hasEnded), p)
	if len(k.old) > maxOld {
		k.signal(k.old[0], syscall.SIGTERM)
		k.old = k.old[1:]
	}
	k.olds.Go(func() { k.finish(end, kill, p) })
}

func hasEnded(p running) bool {
	select {
	case <-p.ended():
		return true
	default:
		return false
	}
}

// finish waits until p, which has retired, has ended, and ends it when end is asked for.
func (k *keeper) finish(end, kill context.Context, p running) {
	select {
	case <-p.ended():
		logs.Normal(k.log, "retired process ended", logs.PID, p.pid(), logs.Reason, p.reason())
	case <-end.Done():
		k.stop(kill, p)
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
		k.signal(p, k.unit.TakenOver)
	}
}

// order passes an order on to p. Without the files there is no signal: it would ask p to do
// without them.
func (k *keeper) order(p running, o Order) {
	if err := p.give(o.Names, o.Files); err != nil {
		k.log.Warn("process does not hear: what it was to be told is lost", logs.PID, p.pid(), logs.Error, err)
		return
	}
	k.signal(p, o.Signal)
}

// signal passes sig on to p.
func (k *keeper) signal(p running, sig syscall.Signal) {
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
	return wait(stop, end, delay)
}

// wait reports false when stop or end has ended before d was over.
func wait(stop, end context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
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
