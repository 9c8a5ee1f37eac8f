// Package flow is the contract of relayed connections: what a session is, who decides
// about it and who moves its bytes.
//
//	        Open, Look, Failed, Again      Plan: Look, Dial, Wait, Take, End
//	core ────────────────────────────► Desk ────────────────────────────► core
//
// A core moves bytes: package iothread on threads of its own, package duplex on
// goroutines. A Desk decides (package relay): who is let in, where a client goes, what
// is tried next. The core asks at each turn of a session and does what the Plan says; it
// knows nothing of pools, lists or PROXY headers, and the Desk knows no descriptors.
//
//	          ┌──────────── Look ◄──────┐ (client sent more, ended, or time is over: Look again)
//	accepted ─┤ Open                    │
//	          ├─► Wait ─── Again ───────┤
//	          ├─► Dial ─── Failed ──────┘
//	          │     └───── Connected ── bytes flow ──┐
//	          ├─► Take (the socket goes to the Desk) │
//	          └─► End ◄──────────────────────────────┘  Close, once, whatever happened
package flow

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// Desk decides about sessions. Its methods are called by the core that carries the
// session, one at a time for each session, for many sessions at once from several
// threads. They never block: an I/O thread waits for them.
type Desk interface {
	// Open is asked when a client has connected.
	Open(s *Session) Plan

	// Look is asked after a Plan to Look whenever there is something new: head is all the
	// client has sent so far, up to the core's buffer, and is still there to be relayed. It
	// is the core's and valid during the call. now says that there will be no more: the
	// client has ended its side, the buffer is full or the Plan's time is over.
	Look(s *Session, head []byte, now bool) Plan

	// Failed is asked when a Dial did not lead to a connection; the error says why.
	Failed(s *Session, err error) Plan

	// Again is asked after a Plan to Wait: when somebody called s.Wake, or, with late, when
	// the time is over.
	Again(s *Session, late bool) Plan

	// Connected is told that the remote has taken the connection.
	Connected(s *Session)

	// Take gets the client's socket after a Plan to Take, with what the client has sent
	// still in it. From then on the session is the Desk's; the core has forgotten it
	// and calls nothing more, Close neither. It must not block either.
	Take(s *Session, client net.Conn)

	// Close is told of the end, once, also of a session that was refused in Open. Cause,
	// Err and the counts of s are final; nothing of s is used afterwards.
	Close(s *Session)
}

// Step is what a core does next.
type Step uint8

// The steps.
const (
	End  Step = iota // close the client; Plan.Cause and Err say why
	Look             // wait for what the client sends first, without taking it
	Dial             // connect to Plan.Target, then relay
	Wait             // until Session.Wake
	Take             // give the client's socket to Desk.Take
)

// Plan is what a Desk wants done.
type Plan struct {
	Step  Step
	Cause Cause // of End
	Err   error // of End: more about the cause; may be nil
	Reset bool  // of End: the client gets a reset in place of an end

	// Skip is how many bytes of the head that was looked at are thrown away, before the
	// step. Only as an answer to Look; then with Step Look, too: what follows is looked
	// at anew.
	Skip int

	Target *Target       // of Dial
	Within time.Duration // of Look, Dial and Wait: time for the step; if zero none is kept. A Look after a Look that skips nothing and has none goes on in the time of the one before
}

// Target is where a session is to be connected to. It is never modified: sessions share it.
type Target struct {
	Name    string      // what the remote is called in logs and status
	Pool    string      // whose remote it is; names are unique in a pool
	Addr    Addr        // never a name
	From    netip.Addr  // local address of the connection; the zero Addr is the system's choice
	Prelude []byte      // is sent before all that the client sends
	TLS     *tls.Config // encrypt towards the remote, only on goroutines (duplex); nil = as it is
}

// Cause is why a session ended.
type Cause uint8

// The causes.
const (
	CauseNone       Cause = iota // it has not ended
	CauseClient                  // the client ended or reset it first
	CauseRemote                  // the remote did
	CauseIdle                    // nothing came from either side for Listener.Idle
	CauseHalfClosed              // one side had ended, the other did not within Listener.HalfClose
	CauseDrain                   // we end, or the listener went
	CauseKilled                  // an order of the admin port
	CauseDown                    // its remote was found down
	CauseLimit                   // a limit of sessions or of their rate
	CauseDenied                  // lists of addresses
	CauseHeader                  // a broken, missing or late PROXY header
	CauseHello                   // no TLS where it is wanted, a broken or late ClientHello, no handshake, no route
	CauseNoRemote                // every remote that was tried failed, or there is none
	CauseFull                    // all remotes were full for as long as a client may wait
	CauseError                   // this machine: no memory, no descriptors
)

// causeNames are the words of the session log and of the metrics.
var causeNames = [...]string{
	"none", "client", "remote", "idle", "half-closed", "drain", "killed", "down", "limit", "denied", "header", "hello", "no-remote", "full", "error",
}

// String is the word for c in logs, status and metrics.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// Causes are all causes of an end.
func Causes() []Cause {
	all := make([]Cause, 0, len(causeNames)-1)
	for c := CauseClient; int(c) < len(causeNames); c++ {
		all = append(all, c)
	}
	return all
}

// Listener is what all sessions of one listening socket have in common. It is never
// modified once a core has it; a reload gives the core another one.
type Listener struct {
	Name string // of the configuration
	Addr Addr   // where it listens

	NoDelay   bool          // TCP_NODELAY (SCTP_NODELAY) on both sockets of a session
	KeepAlive KeepAlive     // of both sockets
	DSCP      int           // 0 to 63, of the client's socket; 0 = the system's choice
	Idle      time.Duration // a session without a byte from either side ends after so long; if zero never
	HalfClose time.Duration // when one side has ended, the other may go on for so long without a byte; if zero without end
	Buffer    int           // bytes that a session keeps for a side that does not take them, at most, for each direction; if zero the core's
	Copy      bool          // never splice

	Keep any // the Desk's
}

// KeepAlive is about probes of TCP on a quiet connection. Zero fields are the system's
// choice.
type KeepAlive struct {
	Off            bool // no probes
	Idle, Interval time.Duration
	Count          int
}

// Session is one client's connection, and what becomes of it. The core that carries it
// owns it; a Desk reads and writes it during its methods only. Others get copies.
type Session struct {
	ID       uint64    // unique in this process
	Listener *Listener // never nil
	Peer     Addr      // who has connected
	Local    Addr      // where the peer connected to
	Client   Addr      // who the client is: Peer, unless the Desk learns better

	Begun     time.Time
	Connected time.Time     // zero until then
	Queued    time.Duration // in all steps Wait
	Remote    *Target       // the last one that was dialed; nil before

	Up, Down uint64 // bytes that were taken by the remote and by the client, Prelude not counted
	Cause    Cause
	Err      error

	Thread             int // number of the I/O thread, from 0; -1 on goroutines
	ClientFD, RemoteFD int // descriptors, for logs; -1 when there is none

	Keep any // the Desk's

	Waker Waker // the core's; see Wake
}

// Destination is the pool and the name of the remote that was dialed last, "" before.
func (s *Session) Destination() (pool, remote string) {
	if s.Remote == nil {
		return "", ""
	}
	return s.Remote.Pool, s.Remote.Name
}

// Wake has the Desk asked Again, soon and by the core of the session. Any goroutine may
// call it, at any time, also when the session does not wait or is over: then nothing
// happens.
func (s *Session) Wake() { s.Waker.WakeSession(s) }

// Waker is the part of a core that Wake needs.
type Waker interface{ WakeSession(s *Session) }

// View is a copy of what a running session is, for status and orders.
type View struct {
	ID        uint64
	Listener  string
	Client    Addr
	Pool      string // of the remote
	Remote    string // name; "" before one is dialed
	Begun     time.Time
	Connected time.Time
	Quiet     time.Duration // since the last byte
	Up, Down  uint64
	TLS       bool // carried by goroutines, and encrypted on one side at least
}

// Core is what both cores have.
type Core interface {
	// Views copies all running sessions.
	Views() []View
	// End ends those that match, with the given cause, and says how many. reset sends
	// both sides a reset. match is called by the cores, for many sessions at once.
	End(match func(v View) bool, why Cause, reset bool) int
	// Count says how many sessions run.
	Count() int
}
