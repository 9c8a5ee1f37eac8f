package relay

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"sluice/internal/flow"
	"sluice/internal/logs"
)

// Run relays until ctx ends: then nothing is accepted any more, sessions may go on for Config.Drain, the quiet ones are ended
// first, and what is left is ended. When kill ends, all end at once.
func (r *Relay) Run(ctx, kill context.Context) error {
	defer r.end()
	core, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1) // by the threads
	go func() { ended <- r.threads.Run(core) }()

	err := r.start(ctx)
	if err == nil {
		err = r.attend(ctx, kill, ended)
	}
	r.mu.Lock()
	r.closeListenersLocked()
	drain, quiet := r.conf.Drain, r.conf.Quiet
	r.mu.Unlock()
	if err == nil {
		r.drain(kill, drain, quiet)
	}
	r.stopPools()
	r.end() // sessions on goroutines
	stop()
	if last := <-ended; err == nil {
		err = last
	}
	r.desk.taken.Wait()
	r.desk.group.Wait()
	return err
}

// start begins to accept when the pools are ready.
func (r *Relay) start(ctx context.Context) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	r.startPools(ctx)
	return r.listen()
}

// startPools resolves names and checks remotes. It waits until each name was asked for once:
// meanwhile clients wait in the system's queue.
func (r *Relay) startPools(ctx context.Context) {
	r.mu.Lock()
	r.running = true
	all, patience := r.backends, resolveTime(r.conf.Resolve)
	r.mu.Unlock()
	for _, b := range all {
		b.start(r.life)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, b := range all {
		b.ready(ctx)
	}
}

func (r *Relay) stopPools() {
	r.mu.Lock()
	all := r.backends
	r.mu.Unlock()
	for _, b := range all {
		b.stop()
	}
}

// listen begins to accept.
func (r *Relay) listen() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.listeners {
		for _, s := range l.sockets {
			if s.file == nil {
				continue
			}
			if err := r.listenLocked(l, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// closeListenersLocked closes all sockets, for good.
func (r *Relay) closeListenersLocked() {
	if r.closed {
		return
	}
	r.closed = true
	r.desk.gate.close()
	for _, l := range r.listeners {
		for _, s := range l.sockets {
			r.closeLocked(l.door.conf.Name, s)
		}
	}
}

// lookEvery is how often the remotes are looked at, at most: failures may come without end.
const lookEvery = 200 * time.Millisecond

// attend sees to what comes up while sessions run, until ctx ends or the relay has retired.
func (r *Relay) attend(ctx, kill context.Context, ended chan error) error {
	w := newWatch(r.log)
	again := time.NewTicker(time.Second) // sockets to be tried again, remotes that are not well
	defer again.Stop()
	trouble := r.desk.trouble // nil as long as the last look is too recent
	pause := time.NewTimer(lookEvery)
	defer pause.Stop()
	var sessions settling
	look := func() {
		w.look(r.views())
		trouble = nil
		pause.Reset(lookEvery)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-kill.Done():
			return nil
		case err := <-ended:
			ended <- nil
			if err == nil {
				err = errEnded
			}
			return err
		case <-r.desk.wake:
			if r.settle() {
				return nil
			}
		case <-trouble:
			look()
		case <-pause.C:
			trouble = r.desk.trouble
		case now := <-again.C:
			r.retry(now)
			if sessions.due(now, r.desk.totals.turns()) {
				debug.FreeOSMemory()
			}
			if w.unwell {
				look()
			}
		}
	}
}

// errEnded is the end of the threads before their time.
var errEnded = errors.New("the I/O threads have ended")

// retry opens sockets whose time has come again, and gives the core those that it has not taken.
func (r *Relay) retry(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for _, l := range r.listeners {
		for _, s := range l.sockets {
			if err := r.retryLocked(l, s, now); err != nil {
				r.log.Debug("listener still down", logs.Listener, l.door.conf.Name, logs.Error, err)
			}
		}
	}
}

func (r *Relay) retryLocked(l *listener, s *socket, now time.Time) error {
	if s.file == nil {
		if s.again.IsZero() || now.Before(s.again) {
			return nil
		}
		if s.err = s.open(nil); s.err != nil {
			s.again = now.Add(s.conf.Retry)
			return s.err
		}
	}
	if s.given || s.refuses {
		return nil
	}
	return r.listenLocked(l, s)
}

// drain lets sessions go on for a while, the quiet ones excepted.
func (r *Relay) drain(kill context.Context, patience, quiet time.Duration) {
	all := r.desk.gate.count()
	if all == 0 {
		return
	}
	either(&quiet, time.Second)
	r.draining.Store(true)
	r.log.Info("drain: sessions may go on for a while", "sessions", all, logs.Delay, patience)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(max(quiet/8, 10*time.Millisecond))
	defer look.Stop()
	ended := 0
	for over := patience <= 0; !over; {
		ended += r.endSessions(func(v flow.View) bool { return v.Quiet >= quiet }, flow.CauseDrain, false)
		if r.desk.gate.count() == 0 {
			break
		}
		select {
		case <-look.C:
		case <-deadline.C:
			over = true
		case <-kill.Done():
			over = true
		}
	}
	left := r.desk.gate.count()
	r.endSessions(func(flow.View) bool { return true }, flow.CauseDrain, true)
	r.log.Info("drained", "sessions", all, "quiet", ended, "cut", left)
}
