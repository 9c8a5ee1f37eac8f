// Package relay is the TCP proxy and load balancer: it lets clients in at its listeners,
// chooses a remote of a pool for each, and relays. It decides (flow.Desk); the bytes
// are moved by the packages iothread and duplex.
package relay

import (
	"context"
	"log/slog"
	"os"

	"sluice/internal/flow"
	"sluice/internal/report"
)

// Options are what a relay has of its process.
type Options struct {
	Log     *slog.Logger
	Version string // for status

	// Inherited are listening sockets that the parent has left, by the text of their
	// address or by their name. Those that no listener wants are closed.
	Inherited map[string]*os.File

	// Record gets the end of each session, as one line of the session log (docs/relay.md).
	// It must not block. None if nil.
	Record func(line []byte)

	// Trace gets each turn of each session, for logs that want all. None if nil. Must not block.
	Trace func(e Event, s *flow.Session, err error)

	// Retired is called once, when Config.Retire sessions were begun: from then on nothing is
	// accepted, and Run returns when the last session has ended.
	Retired func()
}

// Event is a turn of a session.
type Event uint8

// The turns, in the order in which they come; Dialing to Failed may repeat.
const (
	Accepted Event = iota
	Dialing
	Failed
	Connected
	Ended
)

// Relay is a relay that runs.
type Relay struct{ todo int }

// New opens the listening sockets that are not inherited, and makes ready. A socket that cannot
// be opened is an error, unless the system does not know its network (SCTP) or it
// is to be tried again: then the log says so and the others go on; it is an error if no socket at all is left.
func New(c Config, o Options) (*Relay, error) { panic("not built yet") }

// Run relays until ctx ends: then nothing is accepted any more, sessions may go on for Config.Drain, the quiet ones are ended
// first, and what is left is ended. When kill ends, all end at once.
func (r *Relay) Run(ctx, kill context.Context) error { panic("not built yet") }

// Reload puts another configuration in the place of the one that holds: new sockets are
// opened before anything changes, those that stay refuse nobody, sessions go on. With an error
// all is as it was. What needs a restart (Threads, Buffer, Copy, Pipes) stays.
func (r *Relay) Reload(c Config) error { panic("not built yet") }

// Addrs are the addresses that are listened at, as they are: with the ports that the system chose.
func (r *Relay) Addrs() []flow.Addr { panic("not built yet") }

// Status is what runs.
func (r *Relay) Status() report.Relay { panic("not built yet") }

// Order changes a remote; pool and remote as Status names them. Weight 0 = that of the
// configuration.
func (r *Relay) Order(pool, remote string, state *string, weight *int) error { panic("not built yet") }

// Kill ends the session with that id, and says whether there was one.
func (r *Relay) Kill(id uint64) bool { panic("not built yet") }
