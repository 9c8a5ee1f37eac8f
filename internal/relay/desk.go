package relay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/duplex"
	"sluice/internal/flow"
	"sluice/internal/hello"
	"sluice/internal/logs"
	"sluice/internal/pool"
	"sluice/internal/report"
)

// desk decides about sessions: it is the flow.Desk of both cores. What it goes by is in the
// doors, which listeners of the cores carry, and in the backends that these lead to.
type desk struct {
	opt     Options
	limited *slog.Logger
	gate    gate
	totals  totals
	group   *duplex.Group
	life    context.Context // of sessions on goroutines
	taken   sync.WaitGroup  // these sessions

	wake    chan struct{} // of capacity 1: Run is to look at the gate
	trouble chan struct{} // of capacity 1: Run is to look at the remotes
}

// newDesk makes a desk whose sessions on goroutines end with life.
func newDesk(life context.Context, o Options) *desk {
	k := &desk{
		opt: o, limited: logs.Limited(o.Log), life: life,
		wake: make(chan struct{}, 1), trouble: make(chan struct{}, 1),
	}
	k.totals.buckets = make([]atomic.Uint64, len(report.ConnectBuckets)+1)
	k.group = duplex.New(k, 0)
	return k
}

// keep has Run look at the gate when something has changed. It does not wait.
func (k *desk) keep(changed bool) {
	if !changed {
		return
	}
	select {
	case k.wake <- struct{}{}:
	default: // Run is about to look anyway
	}
}

// troubled has Run look at the remotes. It does not wait.
func (k *desk) troubled() {
	select {
	case k.trouble <- struct{}{}:
	default:
	}
}

// session is what the desk knows of a session beside flow.Session. A quiet session keeps
// it, so it is small. It is used by the desk's methods only, one at a time; place is the
// gate's.
type session struct {
	door    *door
	facts   *facts   // nil = none
	backend *backend // nil before the way is known
	visit   *pool.Visit
	until   time.Time    // while it is looked at: end of Listener.Hello; from the first try on: of Listener.Within
	dialed  time.Time    // begin of the last try
	source  netip.Prefix // that counts it; invalid = none does
	err     error        // of the last try
	tries   int32
	stage   stage
	place   place
	inside  bool // the tally of the door counts it
	decrypt bool // TLS ends here
	taken   bool // it is on goroutines
}

// facts are what few sessions have. Those of TLS are kept for a PROXY header of version 2 only.
type facts struct {
	to    netip.AddrPort // where the client connected to, by its PROXY header
	hello hello.Hello
	tls   *tls.ConnectionState // nil = it is not decrypted here
}

// stage is what the desk is about to learn of a client.
type stage uint8

const (
	stageGate   stage = iota // whether there is room at all
	stageHeader              // its PROXY header
	stageHello               // its ClientHello
	stageTaken               // nothing, but goroutines are about to carry it
	stageTry                 // nothing: it is on its way to a remote
)

// known makes room for facts.
func (st *session) known() *facts {
	if st.facts == nil {
		st.facts = new(facts)
	}
	return st.facts
}

// end ends a session.
func end(why flow.Cause, err error) flow.Plan {
	return flow.Plan{Step: flow.End, Cause: why, Err: err}
}

// Open implements flow.Desk. The order is: lists of addresses, the limit of all sessions,
// those of the listener, those of the source. What is about the client itself waits
// for its PROXY header when there is to be one.
func (k *desk) Open(s *flow.Session) flow.Plan {
	d := s.Listener.Keep.(*door)
	st := &session{door: d}
	s.Keep = st
	d.tally.accepted.Add(1)
	k.totals.accepted.Add(1)
	k.trace(Accepted, s, nil)
	switch d.header(s.Peer) {
	case headerNone:
		if !permitted(d.conf.Rules, s.Client) {
			return end(flow.CauseDenied, nil)
		}
	case headerDenied:
		return end(flow.CauseDenied, errNotBelieved)
	}
	where, changed := k.gate.enter(s, st)
	k.keep(changed)
	switch where {
	case inside:
		return k.begin(s, st)
	case queued:
		return flow.Plan{Step: flow.Wait}
	}
	p := end(flow.CauseLimit, errAll)
	p.Reset = k.gate.view().way == Reset
	return p
}

// begin goes on with a session for which there is room.
func (k *desk) begin(s *flow.Session, st *session) flow.Plan {
	d, now := st.door, time.Now()
	if st.inside = d.tally.enter(&d.conf, now); !st.inside {
		return end(flow.CauseLimit, errListener)
	}
	st.until = now.Add(d.conf.Hello)
	if d.header(s.Peer) != headerNone {
		st.stage = stageHeader
		return st.silence(d.conf.Proxy == ProxyAccepted && (!d.looks || d.silentIsPlain), now)
	}
	return k.letIn(s, st, now)
}

// letIn goes on with a session whose client is known.
func (k *desk) letIn(s *flow.Session, st *session, now time.Time) flow.Plan {
	d := st.door
	var ok bool
	if st.source, ok = d.tally.enterSource(&d.conf, s.Client.IP.Addr(), now); !ok {
		return end(flow.CauseLimit, errSource)
	}
	if d.looks {
		st.stage = stageHello
		return st.silence(d.silentIsPlain, now)
	}
	return k.start(s, st, d.backend, now)
}

// Again implements flow.Desk.
func (k *desk) Again(s *flow.Session, late bool) flow.Plan {
	st := s.Keep.(*session)
	switch {
	case st.stage == stageTaken:
		return k.start(s, st, st.backend, time.Now())
	case st.stage == stageGate && !k.gate.entered(st):
		return flow.Plan{Step: flow.Wait}
	case st.stage == stageGate:
		return k.begin(s, st)
	case late:
		return end(flow.CauseFull, pool.ErrFull)
	}
	return k.next(s, st, time.Now())
}

// Connected implements flow.Desk.
func (k *desk) Connected(s *flow.Session) {
	st := s.Keep.(*session)
	took := s.Connected.Sub(st.dialed)
	st.visit.Connected(s.Connected, took)
	k.totals.connect(took)
	k.trace(Connected, s, nil)
}

// Close implements flow.Desk.
func (k *desk) Close(s *flow.Session) {
	st, now := s.Keep.(*session), time.Now()
	if st.visit != nil {
		st.visit.Leave(now, s.Up, s.Down)
	}
	if st.inside {
		st.door.tally.leave(st.source)
	}
	if refused(s.Cause) {
		st.door.tally.refused[s.Cause].Add(1)
	}
	k.totals.end(s)
	k.record(s, st, now)
	k.trace(Ended, s, s.Err)
	next, changed := k.gate.leave(s, st)
	if next != nil {
		next.Wake()
	}
	k.keep(changed)
}

// refused says whether a session with that end was not let in.
func refused(c flow.Cause) bool {
	switch c {
	case flow.CauseDenied, flow.CauseLimit, flow.CauseHeader, flow.CauseHello:
		return true
	}
	return false
}

func (k *desk) trace(e Event, s *flow.Session, err error) {
	if k.opt.Trace != nil {
		k.opt.Trace(e, s, err)
	}
}
