// Package relay is the TCP proxy and load balancer: it lets clients in at its listeners,
// chooses a remote of a pool for each, and relays. It decides (flow.Desk); the bytes
// are moved by the packages iothread and duplex.
package relay

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/flow"
	"sluice/internal/iothread"
	"sluice/internal/logs"
)

// Options are what a relay has of its process.
type Options struct {
	Log     *slog.Logger // I/O threads write to it: it must not wait for a slow disk (logs.NewQueued)
	Version string       // for status

	// Inherited are listening sockets that the parent has left, by the text of their
	// address or by their name. Those that no listener wants are closed; none is left here.
	Inherited map[string]*os.File

	// Record gets the end of each session, as one line of the session log
	// (docs/relay.md). It must not block. None if nil.
	Record func(line []byte)

	// Trace gets each turn of each session, for logs that want all. None if nil. Must not block.
	Trace func(e Event, s *flow.Session, err error)

	// Retired is called once, when Config.Retire sessions were begun: from then on nothing is
	// accepted, and Run returns when the last session has ended. If nil, Config.Retire is
	// without effect: nobody would take over.
	Retired func()
}

// Event is a turn of a session.
type Event uint8

// The turns, in the order in which they come; Dialing to Failed may repeat.
const (
	Accepted  Event = iota
	Dialing         // s.Remote is where to
	Failed          // the error says why
	Connected       //
	Ended           // s.Cause and the error say why
)

// Relay is a relay that runs.
type Relay struct {
	desk    *desk
	log     *slog.Logger
	started time.Time
	threads *iothread.Threads
	life    context.Context    // of all that Run runs beside the threads
	end     context.CancelFunc // of life

	draining atomic.Bool

	reloading sync.Mutex // held by Reload, which may take its time, and until Run accepts

	mu        sync.Mutex // guards what follows; held while a configuration is exchanged
	conf      Config
	listeners []*listener
	backends  []*backend
	running   bool
	full      bool // as the gate was seen last
	shut      bool // and by that, clients are not accepted
	closed    bool // nothing is accepted any more
}

// listener is a listener with its sockets.
type listener struct {
	door    *door
	sockets []*socket
}

// New opens the listening sockets that are not inherited, and makes ready. A socket that cannot
// be opened is an error, unless the system does not know its network (SCTP) or it
// is to be tried again: then the log says so and the others go on; it is an error if no socket at all is left.
// Who does not call Run calls Close. With an error what is inherited stays the caller's.
func New(c Config, o Options) (*Relay, error) {
	r := &Relay{log: o.Log, started: time.Now()}
	r.life, r.end = context.WithCancel(context.Background())
	r.desk = newDesk(r.life, o)
	var err error
	r.threads, err = iothread.New(iothread.Config{Threads: c.Threads, Buffer: c.Buffer, Copy: c.Copy, Pipes: c.Pipes}, r.desk, o.Log)
	if err != nil {
		return nil, err
	}
	n, err := r.prepare(c, o.Inherited)
	if err == nil {
		if err = n.someOpen(); err != nil {
			n.discard()
		}
	}
	if err != nil {
		r.end()
		return nil, err
	}
	n.closeRest()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exchangeLocked(n)
	return r, nil
}

// Close closes the sockets of a relay that was never run.
func (r *Relay) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeListenersLocked()
	r.end()
}

// Addrs are the addresses that are listened at, as they are: with the ports that the system chose.
func (r *Relay) Addrs() []flow.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []flow.Addr
	for _, l := range r.listeners {
		for _, s := range l.sockets {
			if s.file != nil {
				all = append(all, s.addr)
			}
		}
	}
	return all
}

// Order changes a remote; pool and remote as Status names them. Weight 0 = that of the
// configuration.
func (r *Relay) Order(pool, remote string, state *string, weight *int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.backends {
		if b.name == pool {
			return b.order(remote, state, weight)
		}
	}
	return fmt.Errorf("there is no pool %q", pool)
}

// Kill ends the session with that id, and says whether there was one.
func (r *Relay) Kill(id uint64) bool {
	return r.endSessions(func(v flow.View) bool { return v.ID == id }, flow.CauseKilled, true) > 0
}

// endSessions ends those of both cores that match.
func (r *Relay) endSessions(match func(flow.View) bool, why flow.Cause, reset bool) int {
	return r.threads.End(match, why, reset) + r.desk.group.End(match, why, reset)
}

func (r *Relay) newBackend(c *backendConf) *backend {
	return newBackend(c, rand.Uint64(), r.log, r.desk.troubled, func(pool, remote string) {
		n := r.endSessions(func(v flow.View) bool { return v.Pool == pool && v.Remote == remote }, flow.CauseDown, true)
		r.log.Info("sessions ended: their remote is down", logs.Pool, pool, logs.Remote, remote, "sessions", n)
	})
}
