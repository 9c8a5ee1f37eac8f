package relay

import (
	"fmt"

	"sluice/internal/logs"
)

// settle does what the gate wants done. over says that the last session has ended and no
// other comes.
func (r *Relay) settle() (over bool) {
	retired, over := r.lookAtGate()
	if retired {
		r.desk.opt.Retired()
	}
	return over
}

// lookAtGate is settle, but for who is told: retired is true once.
func (r *Relay) lookAtGate() (retired, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.desk.gate.view()
	if v.full != r.full && !r.closed {
		r.full = v.full
		r.overloadLocked(v)
	}
	if retired = v.retired && r.desk.opt.Retired != nil && !r.closed; retired {
		r.log.Info("retire limit reached: no new sessions", "sessions", r.desk.gate.count())
		r.closeListenersLocked()
	}
	return retired, r.closed && r.desk.gate.count() == 0
}

// overloadLocked shuts the listeners, or opens them again, and says so.
func (r *Relay) overloadLocked(v gateView) {
	if !v.full {
		r.openUpLocked()
		r.desk.limited.Info("resuming normal operation")
		return
	}
	r.desk.limited.Warn(fmt.Sprintf("limit of %d concurrent users reached, %s new connections", v.max, doing[v.way]))
	switch v.way {
	case Queue:
		r.shut = true
		r.pauseLocked(true)
	case Reset:
		r.shut = true
		r.refuseLocked(true)
	}
}

// doing is what becomes of clients beyond the limit.
var doing = [...]string{Queue: "queueing", Close: "closing", Reset: "resetting"}

// openUpLocked undoes what overloadLocked has done. The gate is looked at anew.
func (r *Relay) openUpLocked() {
	r.full = false
	if !r.shut {
		return
	}
	r.shut = false
	r.pauseLocked(false)
	r.refuseLocked(false)
}

func (r *Relay) pauseLocked(on bool) {
	for _, l := range r.listeners {
		r.threads.Pause(l.door.conf.Name, on)
	}
}

// refuseLocked has the system refuse clients at the sockets that can be shut and opened again, also
// where other processes hold them; at the others, clients are accepted and reset.
func (r *Relay) refuseLocked(on bool) {
	for _, l := range r.listeners {
		for _, s := range l.sockets {
			var err error
			switch {
			case on && s.file != nil && s.canRefuse():
				r.threads.Close(l.door.conf.Name, s.addr)
				s.given, s.refuses = false, true
				err = refuse(s.file)
			case !on && s.refuses:
				s.refuses = false
				err = r.attachLocked(l, s)
			}
			if err != nil {
				r.log.Error("listener down", logs.Listener, l.door.conf.Name, logs.Listen, s.addr.String(), logs.Error, err)
			}
		}
	}
}
