// Package pool chooses a remote for each session. It knows what each remote carries, what
// is known of its health, who stands in the queue and who was sent where before; it does
// no I/O, takes the time as a parameter, and its one mutex is held for short moments only,
// so that I/O threads may ask.
package pool

import (
	"errors"
	"net/netip"
	"time"

	"sluice/internal/flow"
)

// Balance is how a remote is chosen among those that may be.
type Balance uint8

// The ways. Weights count in all of them.
const (
	Least      Balance = iota // the fewest sessions for its weight; the first of equals
	RoundRobin                // in turn, smoothly
	TwoChoices                // of two by chance the one with fewer sessions for its weight
	Random                    // by chance
	Source                    // by the client's address, modulo the weights
	Maglev                    // by the client's address, so that few move when a remote goes (Eisenbud et al., NSDI 2016, 3.4)
	First                     // the first in the order of the configuration that has room
)

// Config is what a pool is like. Zero fields mean what is said beside them.
type Config struct {
	Name      string
	Balance   Balance
	Eject     Eject
	Rebalance int           // after so many choices, ejected remotes count as good again; 0 = never
	SlowStart time.Duration // a remote that has come back has its whole weight only after so long; 0 = at once
	Queue     int           // sessions that may wait for room; 0 = 1024, negative = none
	Sticky    Sticky
}

// Eject is when a remote that refuses connections is left out for a while.
type Eject struct {
	Fails int           // failures in a row; 0 = 1; negative = never
	For   time.Duration // at first; doubled with each time in a row, with up to a tenth more by chance; 0 = 1 s
	Max   time.Duration // at most; 0 = 1 min
	Share int           // percent of the remotes that may be left out at once, one at least; 0 = 100
}

// Sticky sends a client where it was sent before. Off if Period is zero.
type Sticky struct {
	Period time.Duration // since the last session of the client began
	Size   int           // clients that are remembered, the least recent go; 0 = 1024
}

// Remote is one address that sessions may be sent to.
type Remote struct {
	Name     string // unique in the pool; it is the same remote after an Update
	Addr     flow.Addr
	Weight   int  // 0 or less = 1
	Backup   bool // only when no other can be chosen
	MaxConns int  // sessions at once; 0 = no limit
}

// State is what may be chosen of a remote.
type State uint8

// The states, as an operator orders them.
const (
	Enabled  State = iota
	Draining       // no new sessions, but those of clients that stick to it
	Disabled       // no new sessions
)

// String is enabled, draining or disabled.
func (s State) String() string { return [...]string{"enabled", "draining", "disabled"}[s] }

// What Visit.Next returns when there is no remote.
var (
	ErrNone = errors.New("no remote is up")                    // or all were tried
	ErrFull = errors.New("all remotes are full")               // and the queue is full, too, or there is none
	ErrWait = errors.New("all remotes are full: in the queue") // Visit.Wake will be called
)

// Pool is a set of remotes. All methods may be called from any goroutine.
type Pool struct{ todo int }

// New makes a pool without remotes. down, which may be nil, is called, without a lock held,
// with the name of a remote whose check (SetUp) has begun to fail.
func New(c Config, seed uint64, down func(remote string)) *Pool { panic("not built yet") }

// Update changes the configuration and the remotes. What is known of a remote whose name stays,
// it keeps: its sessions, health, orders (weight, state) and ejection; an order of a weight
// ends when the configured weight changes. Sessions of a remote that has gone go on and are
// counted no more.
func (p *Pool) Update(now time.Time, c Config, remotes []Remote) { panic("not built yet") }

// Visit is one session's way through a pool. It belongs to the session; its methods are
// called by one goroutine at a time.
type Visit struct{ todo int }

// Enter begins a visit. client is who is balanced and remembered by its address; wake is called,
// once and without a lock held, when a visit that got ErrWait may ask Next again.
func (p *Pool) Enter(client netip.Addr, wake func()) *Visit { panic("not built yet") }

// Next chooses a remote, another than those that have failed this visit, and counts the
// session there. A visit that waits and is woken has its place: Next gives it.
func (v *Visit) Next(now time.Time) (Remote, error) { panic("not built yet") }

// Failed says that the remote of Next did not take the connection; it is counted there no
// more, and the failure is held against it.
func (v *Visit) Failed(now time.Time, err error) { panic("not built yet") }

// Connected says that it took it, and how long that lasted.
func (v *Visit) Connected(now time.Time, took time.Duration) { panic("not built yet") }

// Leave ends the visit, wherever it is: in the queue, with a place, connected. bytes
// are what the session carried. Calling it again does nothing.
func (v *Visit) Leave(now time.Time, up, down uint64) { panic("not built yet") }

// SetUp says what an active check found. A remote without checks is up.
func (p *Pool) SetUp(now time.Time, remote string, up bool, reason string) { panic("not built yet") }

// Order changes what an operator may of a remote; it returns an error if there is none of
// that name.
func (p *Pool) Order(now time.Time, remote string, o Order) error { panic("not built yet") }

// Order is what an operator wants; nil fields stay.
type Order struct {
	State  *State
	Weight *int // 0 = back to that of the configuration
}

// View is what is known of a remote.
type View struct {
	Remote
	State       State
	Ordered     bool // its weight is an operator's
	Up          bool // by its check
	Reason      string
	Since       time.Time // of Up or not
	Ejected     bool
	Until       time.Time // of Ejected
	Sessions    int
	Total       uint64        // sessions that were connected
	Failures    uint64        // connections that were not
	Bytes       [2]uint64     // up, down; of sessions that have ended
	ConnectTime time.Duration // moving average
	LastError   string
}

// Views are the remotes in the order of the configuration, and how many sessions wait.
func (p *Pool) Views(now time.Time) (remotes []View, waiting int) { panic("not built yet") }
