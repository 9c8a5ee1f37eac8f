// Package pool chooses a remote for each session. It knows what each remote carries, what
// is known of its health, who stands in the queue and who was sent where before; it does
// no I/O, takes the time as a parameter, and the mutex that all share is held for short moments only,
// so that I/O threads may ask.
package pool

import (
	"container/list"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"sluice/internal/flow"
)

// Balance is how a remote is chosen among those that may be.
type Balance uint8

// The ways. Weights count in all of them but First.
const (
	Least      Balance = iota // the fewest sessions for its weight; the first of equals
	RoundRobin                // in turn, smoothly
	TwoChoices                // of two by chance the one with fewer sessions for its weight
	Random                    // by chance
	Source                    // by the client's address, modulo the weights
	Maglev                    // by the client's address, so that few move when a remote goes (Eisenbud et al., NSDI 2016, 3.4)
	First                     // the first in the order of the configuration that has room
)

// balanceNames are the words for the ways.
var balanceNames = [...]string{"least", "round-robin", "two-choices", "random", "source", "maglev", "first"}

// String is the word for b in status and settings.
func (b Balance) String() string {
	if int(b) < len(balanceNames) {
		return balanceNames[b]
	}
	return "unknown"
}

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

// Eject is when a remote that refuses connections is left out for a while. When the time
// is over one session tries it; the others follow when that was connected. Remotes that
// are left out are tried nevertheless when there are no others.
type Eject struct {
	Fails int           // failures in a row; 0 = 1; negative = never
	For   time.Duration // at first; doubled with each time in a row, with up to a tenth more by chance; 0 = 1 s
	Max   time.Duration // at most, but not less than For; 0 = 1 min
	Share int           // percent of the remotes that may be left out at once, one at least; 0 = 100
}

// Sticky sends a client where it was sent before. Off if Period is zero. A client does not
// stick to a backup longer than backups are needed.
type Sticky struct {
	Period time.Duration // since the last session of the client began
	Size   int           // clients that are remembered, the least recent go; 0 = 1024
}

// withDefaults is c with what its zero fields mean.
func (c Config) withDefaults() Config {
	c.Eject.Fails = or(c.Eject.Fails, 1)
	c.Eject.For = or(c.Eject.For, time.Second)
	c.Eject.Max = max(or(c.Eject.Max, time.Minute), c.Eject.For)
	c.Eject.Share = or(c.Eject.Share, 100)
	c.Queue = or(c.Queue, 1024)
	c.Sticky.Size = or(c.Sticky.Size, 1024)
	return c
}

// or is v, or def if v is zero.
func or[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Remote is one address that sessions may be sent to.
type Remote struct {
	Name     string // unique in the pool; it is the same remote after an Update
	Addr     flow.Addr
	Weight   int  // 0 or less = 1
	Backup   bool // only when the others are down, ejected, disabled or were tried; not when they are full
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
	ErrWait = errors.New("all remotes are full: in the queue") // the visit's wake will be called
)

// Pool is a set of remotes. All methods may be called from any goroutine.
type Pool struct {
	down func(remote string)

	// changes is held by who changes config, remotes or a weight, so that the homes can be
	// made of them without mu, which takes longer than a thread may wait. It is locked before mu.
	changes sync.Mutex

	mu      sync.Mutex // guards what follows, and all remotes and visits
	config  Config     // with defaults
	remotes []*remote  // in the order of the configuration
	byName  map[string]*remote
	homes   homes      // of clients, by their address
	sticky  sticky     // where clients were sent before
	queue   list.List  // of *Visit: who waits for room, the first in front
	woken   []func()   // who is to be woken when the lock is released
	choices int        // since ejections were last forgotten
	open    []*remote  // the result of openLocked, kept to be used again
	chance  *rand.Rand // for all that is by chance
}

// New makes a pool without remotes. seed is that of all choices by chance. down, which may be
// nil, is called, without a lock held, with the name of a remote whose check has begun to fail.
func New(c Config, seed uint64, down func(remote string)) *Pool {
	if down == nil {
		down = func(string) {}
	}
	return &Pool{
		down:   down,
		config: c.withDefaults(),
		byName: make(map[string]*remote),
		chance: rand.New(rand.NewPCG(seed, seedOfAddresses)),
	}
}

// Update changes the configuration and the remotes. What is known of a remote whose name stays,
// it keeps: its sessions, health, orders (weight, state) and ejection; an order of a weight
// ends when the configured weight changes. Sessions of a remote that has gone go on and are
// counted no more. Of several remotes with one name the first counts.
func (p *Pool) Update(now time.Time, c Config, remotes []Remote) {
	p.changes.Lock()
	defer p.changes.Unlock()
	p.update(now, c.withDefaults(), remotes)
	p.weigh()
}

func (p *Pool) update(now time.Time, c Config, remotes []Remote) {
	p.mu.Lock()
	defer p.serveAndUnlock(now)
	before := p.byName
	p.config, p.remotes, p.byName = c, nil, make(map[string]*remote, len(remotes))
	for _, configured := range remotes {
		if p.byName[configured.Name] != nil {
			continue
		}
		r := before[configured.Name]
		if r == nil {
			r = &remote{up: true, since: now}
		}
		r.configure(configured)
		p.byName[r.Name] = r
		p.remotes = append(p.remotes, r)
	}
	for name, r := range before {
		r.gone = p.byName[name] == nil
	}
	p.sticky.shrink(c.Sticky.Size)
}

// weigh has the choices follow remotes and weights that have changed. Until then clients
// whose home is gone are sent elsewhere.
func (p *Pool) weigh() {
	h := newHomes(p.config.Balance, p.remotes)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.homes = h
	for _, r := range p.remotes {
		r.turn = 0
	}
}

// SetUp says what an active check found. A remote without checks is up, as one is of which
// nothing was said yet.
func (p *Pool) SetUp(now time.Time, remote string, up bool, reason string) {
	if p.setUp(now, remote, up, reason) {
		p.down(remote)
	}
}

// setUp says whether the remote has gone down by this.
func (p *Pool) setUp(now time.Time, remote string, up bool, reason string) (down bool) {
	p.mu.Lock()
	defer p.serveAndUnlock(now)
	r := p.byName[remote]
	if r == nil {
		return false
	}
	r.reason = reason
	if r.up == up {
		return false
	}
	r.up, r.since = up, now
	if up {
		r.isBack(now)
	}
	return !up
}

// Order is what an operator wants; nil fields stay.
type Order struct {
	State  *State
	Weight *int // 0 = back to that of the configuration
}

// Order changes what an operator may of a remote; it returns an error if there is none of
// that name, and for a weight or state that cannot be.
func (p *Pool) Order(now time.Time, remote string, o Order) error {
	p.changes.Lock()
	defer p.changes.Unlock()
	if err := p.order(now, remote, o); err != nil {
		return err
	}
	if o.Weight != nil {
		p.weigh()
	}
	return nil
}

func (p *Pool) order(now time.Time, remote string, o Order) error {
	p.mu.Lock()
	defer p.serveAndUnlock(now)
	r := p.byName[remote]
	switch {
	case r == nil:
		return fmt.Errorf("pool %s has no remote %q", p.config.Name, remote)
	case o.Weight != nil && (*o.Weight < 0 || *o.Weight > MaxWeight):
		return fmt.Errorf("weight %d of remote %s: want 1 to %d, or 0 for that of the configuration", *o.Weight, remote, MaxWeight)
	case o.State != nil && *o.State > Disabled:
		return fmt.Errorf("state %d of remote %s: there is none", *o.State, remote)
	}
	if o.State != nil {
		if r.state == Disabled && *o.State == Enabled {
			r.ramp = now
		}
		r.state = *o.State
	}
	if o.Weight != nil {
		r.ordered = *o.Weight
	}
	return nil
}

// View is what is known of a remote.
type View struct {
	Remote      // with the weight that counts
	State       State
	Ordered     bool // its weight is an operator's
	Up          bool // by its check
	Reason      string
	Since       time.Time // of Up or not
	Ejected     bool      // until a session was connected
	Until       time.Time // of Ejected: when one may try; past if none has yet
	Sessions    int
	Total       uint64        // sessions that were connected
	Failures    uint64        // connections that were not
	Bytes       [2]uint64     // up, down; of sessions that have ended
	ConnectTime time.Duration // moving average
	LastError   string
}

// Views are the remotes in the order of the configuration, and how many sessions wait. As
// all methods that are told the time it first calls those who may go on since some has passed: a
// pool has no clock of its own, so who waits for the end of an ejection waits for such a call.
func (p *Pool) Views(now time.Time) (remotes []View, waiting int) {
	p.mu.Lock()
	defer p.serveAndUnlock(now)
	p.callLocked(now)
	for _, r := range p.remotes {
		remotes = append(remotes, r.view())
	}
	return remotes, p.queue.Len()
}
