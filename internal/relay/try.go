package relay

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"sluice/internal/flow"
	"sluice/internal/logs"
	"sluice/internal/pool"
)

// start sends a session to a pool, on goroutines if anything is to be encrypted.
func (k *desk) start(s *flow.Session, st *session, b *backend, now time.Time) flow.Plan {
	st.backend = b
	if !st.taken && (st.decrypt || b.outward.Load().encrypts()) {
		st.stage = stageTaken
		return flow.Plan{Step: flow.Take}
	}
	st.stage = stageTry
	st.until = now.Add(st.door.conf.Within)
	st.visit = b.pool.Enter(s.Client.IP.Addr(), s.Wake)
	return k.next(s, st, now)
}

// next is the next try of a session, or its place in the queue.
func (k *desk) next(s *flow.Session, st *session, now time.Time) flow.Plan {
	left := st.until.Sub(now)
	if int(st.tries) >= st.door.conf.Tries || left <= 0 {
		return end(flow.CauseNoRemote, st.err)
	}
	remote, err := st.visit.Next(now)
	switch {
	case errors.Is(err, pool.ErrWait):
		return flow.Plan{Step: flow.Wait, Within: left}
	case errors.Is(err, pool.ErrFull):
		return end(flow.CauseFull, err)
	case err != nil && st.err != nil:
		return end(flow.CauseNoRemote, st.err)
	case err != nil:
		return end(flow.CauseNoRemote, fmt.Errorf("pool %s: %w", st.backend.name, err))
	}
	out := st.backend.outward.Load()
	if out.encrypts() && s.Thread >= 0 { // since a reload: an I/O thread would say in clear what is to be secret
		st.visit.Leave(now, 0, 0)
		st.visit, st.stage = nil, stageTaken
		return flow.Plan{Step: flow.Take}
	}
	st.tries++
	st.dialed = now
	s.Remote = out.target(st.backend.name, &remote, s, st)
	k.trace(Dialing, s, nil)
	return flow.Plan{Step: flow.Dial, Target: s.Remote, Within: min(left, st.door.conf.Connect)}
}

// Failed implements flow.Desk.
func (k *desk) Failed(s *flow.Session, err error) flow.Plan {
	st, now := s.Keep.(*session), time.Now()
	st.err = fmt.Errorf("remote %s: %w", s.Remote.Name, err)
	k.totals.failed.Add(1)
	k.trace(Failed, s, err)
	if ours(err) {
		k.limited.Error("no remote can be connected to: this machine has no room", logs.Remote, s.Remote.Name, logs.Error, err)
		return end(flow.CauseError, st.err)
	}
	st.visit.Failed(now, err)
	k.troubled()
	return k.next(s, st, now)
}

// ours says whether a connection failed for reasons of this machine, which are not held
// against a remote. That no port is left (EADDRNOTAVAIL) is about one remote only: others can be connected to.
func ours(err error) bool {
	for _, no := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRINUSE} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
