package gws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/auth"
	"sluice/internal/endpoint"
	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/logs"
)

// Config is what gws is told. The zero Config serves private networks.
type Config struct {
	Allow         []netip.Prefix // clients that may watch; if nil DefaultAllow, if empty none
	Proxies       []netip.Prefix // whose word on the address of a client is believed: X-Forwarded-For; if empty nobody's
	Sources       []netip.Prefix // what may be asked for by its address; if nil DefaultSources, if empty nothing
	Targets       []netip.Prefix // where a client may have a stream sent; if empty nowhere
	ReadFrom      []string       // directories whose files clients may ask for; if empty none
	WriteTo       []string       // directories into which clients may have a stream written; if empty none
	Lineup        *lineup.Lineup // channels and their settings; if nil, none and lineup.Defaults
	Routes        []Route        // sessions that run without being asked for
	Guard         Guard          // who may watch; if nil, everybody in Allow
	Elsewhere     http.Handler   // answers user ports where no path of ours is asked for, by any method, to those in Allow; if nil, that is 404
	Access        AccessLog      // if nil, none is written
	Spread        Spread         // which engine gets a channel
	Split         bool           // whether the clients of a channel are spread over the engines, too; each of these then receives it
	MinEngines    int            // so many have to be attached before users are served; if zero 1
	Limits        Limits         // how much is served at once
	AnswerTimeout time.Duration  // how long an engine may take to answer beyond the no-data times of all sources; if zero 10 s
	Request       time.Duration  // for a request to be read; if zero 10 s
	Unavailable   time.Duration  // for how long a channel that failed counts as unavailable; if zero 10 s
	Udpxy         bool           // the user port answers /status, as udpxy does
	Statistics    bool           // reports tell of traffic
	KeepEngines   bool           // the end of Run leaves the engines alone; else they get TERM
	Stall         time.Duration  // a client whose stream gws itself writes (TLS) and that takes nothing for so long is ended; if zero 20 s
	MaxEngines    int            // if zero 64
	Build         string         // version of the program, for Server headers and the status
}

// Route is a session that gws starts by itself, at an engine, as soon as there is one.
type Route struct {
	Name    string
	Channel lineup.Channel
	Target  endpoint.Target
	Restart bool // begin anew when it has ended, after pinAgain at least
}

// Guard decides who may watch; *auth.Guard does.
type Guard interface {
	// Ask may wait, but not beyond ctx.
	Ask(ctx context.Context, q auth.Question) auth.Answer
}

// AccessLog takes the events of clients and channels; *logs.Access does. Write never
// blocks for long and never fails its caller.
type AccessLog interface{ Write(e logs.AccessEntry) }

// DefaultAllow is the private, loopback and link-local networks of both IP versions
// (RFC 1918, RFC 4193, RFC 3927, RFC 4291).
func DefaultAllow() []netip.Prefix {
	return prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
		"fc00::/7", "::1/128", "fe80::/10")
}

// DefaultSources is all multicast groups.
func DefaultSources() []netip.Prefix { return prefixes("224.0.0.0/4", "ff00::/8") }

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// contains reports whether a is in one of the networks.
func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

const (
	greetTimeout  = 5 * time.Second // for Hello and the first Report of an engine, together
	statusTimeout = 2 * time.Second // for an engine's answer to a Query
	grace         = 2 * time.Second // for the answers that are being written when Run ends
)

// Server is one gws. Its goroutines: net/http's, one that accepts engines, one that
// reads for each connection of an engine, one that keeps the pinned channels, one that
// watches for engines that hang.
type Server struct {
	conf     atomic.Pointer[Config] // see config
	users    []Door
	control  *net.UnixListener
	log      *slog.Logger
	turned   *slog.Logger // for who is turned away: a line a second at most
	started  time.Time
	greet    time.Duration  // greetTimeout; tests change these three
	pinning  time.Duration  // pinTick
	watching time.Duration  // watchTick
	stop     chan struct{}  // closed when Run is about to end: nobody waits any longer
	buffers  sync.Pool      // of the pumps
	group    sync.WaitGroup // goroutines of Run, and requests that have taken their socket

	mu          sync.Mutex // guards what follows, and what an engine says it does
	stopping    bool
	conns       map[*handoff.Conn]bool // open, greeted or not
	engines     []*engine              // greeted, in the order of their coming
	turn        int                    // round robin: index of the engine that is next
	pins        []pin                  // the pinned channels of the lineup
	routes      []*route               // in the order of the configuration
	settled     time.Time              // when pins and routes may be given out
	tally       tally
	mostPending int // of tally.pending, since burstIsOver said so last
	refused     refusals
	failures    failures
	lastCopy    uint32 // of a channel that is not shared
	lastID      uint64 // of an Attach; the upper half is random, so that no two gws use the same
}

// config is what holds now. It is never modified: whoever serves a request looks once, and
// holds on to it.
func (s *Server) config() *Config { return s.conf.Load() }

// New makes a Server that takes requests from users and engines from control
// (netx.ListenHandoff). It owns them all once Run is called.
func New(c Config, users []Door, control *net.UnixListener, log *slog.Logger) (*Server, error) {
	if len(users) == 0 || slices.ContainsFunc(users, func(d Door) bool { return d.Listener == nil }) || control == nil || log == nil {
		return nil, errors.New("gws needs a listener for users, one for engines and a log")
	}
	for _, d := range users {
		if d.Local && (d.TLS != nil || d.Addr().Network() != "unix") {
			return nil, fmt.Errorf("gws: %s cannot be a local door: want a UNIX socket without TLS", d.Addr())
		}
	}
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	s := &Server{
		users: users, control: control, log: log, turned: logs.Limited(log),
		started: time.Now(),
		greet:   greetTimeout, pinning: pinTick, watching: watchTick,
		pins:   pinsOf(c.Lineup),
		routes: routesAfter(nil, c.Routes),
		stop:   make(chan struct{}),
		conns:  make(map[*handoff.Conn]bool),
		lastID: uint64(rand.Uint32()) << 32,
	}
	s.conf.Store(&c)
	return s, nil
}

// complete is c with its defaults in place of zeros. The error names what makes no sense.
func (c Config) complete() (Config, error) {
	for name, d := range map[string]time.Duration{
		"answer time-out": c.AnswerTimeout, "request time-out": c.Request, "time of being unavailable": c.Unavailable, "stall time": c.Stall,
	} {
		if d < 0 {
			return c, fmt.Errorf("gws: %s of %v: want a positive value", name, d)
		}
	}
	if c.MinEngines < 0 || c.MaxEngines < 0 {
		return c, fmt.Errorf("gws: %d engines at least, %d at most: want positive values", c.MinEngines, c.MaxEngines)
	}
	if err := c.Limits.validate(); err != nil {
		return c, err
	}
	if err := checkRoutes(c.Routes); err != nil {
		return c, fmt.Errorf("gws: %w", err)
	}
	if c.Allow == nil {
		c.Allow = DefaultAllow()
	}
	if c.Sources == nil {
		c.Sources = DefaultSources()
	}
	c.AnswerTimeout = cmp.Or(c.AnswerTimeout, 10*time.Second)
	c.Request = cmp.Or(c.Request, 10*time.Second)
	c.Unavailable = cmp.Or(c.Unavailable, 10*time.Second)
	c.Stall = cmp.Or(c.Stall, 20*time.Second)
	c.MinEngines = cmp.Or(c.MinEngines, 1)
	c.MaxEngines = cmp.Or(c.MaxEngines, 64)
	return c, nil
}

// Run serves until ctx ends, then returns nil; once only. It closes the listeners and
// the connections of the engines, which go on with the clients they have. A client
// that no engine has answered yet is left to the engine that holds its socket; the streams
// that gws itself writes end.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := s.newUserServer(ctx)
	ended := make(chan error, len(s.users)+1)
	for i := range s.users {
		s.group.Go(func() { ended <- s.serveDoor(s.users[i], server) })
	}
	s.group.Go(func() { ended <- s.serveEngines() })
	s.group.Go(s.keepPins)
	s.group.Go(s.watch)
	s.group.Go(s.giveBack)
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	cancel() // before stop is closed: what gws writes itself ends
	if err == nil {
		s.endEngines()
	}
	s.shutdown(server)
	s.group.Wait()
	return err
}

func (s *Server) serveEngines() error {
	for {
		c, err := s.control.AcceptUnix()
		switch {
		case err == nil:
			s.adopt(handoff.NewConn(c))
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept engines on %s: %w", s.control.Addr(), err)
		default: // no descriptors left, most likely: they come back
			s.log.Warn("engine not accepted", logs.Reason, err)
			if !s.pause(time.Second) {
				return nil
			}
		}
	}
}

// pause waits; it reports false when Run ends.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stop:
		return false
	}
}

// adopt starts the reader of a connection, unless there are too many already: twice
// the engines, so that a full house can still be told why.
func (s *Server) adopt(c *handoff.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || len(s.conns) >= 2*s.config().MaxEngines {
		c.Close()
		return
	}
	s.conns[c] = true
	s.group.Go(func() { s.serveEngine(c) })
}

func (s *Server) disown(c *handoff.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Server) shutdown(server *http.Server) {
	s.mu.Lock()
	s.stopping = true
	close(s.stop)
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	var byes sync.WaitGroup
	for _, c := range conns {
		byes.Go(func() {
			_ = c.Send(handoff.Bye{Reason: "gws ends"}) // who does not hear it sees the end
			c.Close()
		})
	}
	byes.Wait()
	s.control.Close()
	for _, d := range s.users {
		d.Close() // Serve may not have begun, then Shutdown does not know it
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		server.Close()
	}
}
