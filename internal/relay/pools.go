package relay

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/flow"
	"sluice/internal/logs"
	"sluice/internal/pool"
	"sluice/internal/resolve"
)

// backend is a pool with what keeps it up to date: names that are followed, remotes that are
// checked. It outlives reloads.
type backend struct {
	name    string
	log     *slog.Logger
	pool    *pool.Pool
	outward atomic.Pointer[outward]
	endDown atomic.Bool
	turned  func() // something may have happened to a remote; it does not wait

	mu      sync.Mutex // guards what follows; no callback of a task is waited for with it held
	running context.Context
	tasks   sync.WaitGroup
	conf    *backendConf
	coming  *backendConf // is about to be set: its names are asked for already; nil = none
	answers map[resolve.Name][]resolve.Answer
	follows map[resolve.Name]*follow
	checks  map[string]*check // by the name of the remote
}

// backendConf is the configuration of a backend, made ready. It is never modified.
type backendConf struct {
	Pool
	resolve resolve.Config
	outward outward // without names
}

// addNames adds the names that remotes have for addresses.
func (c *backendConf) addNames(to map[resolve.Name]bool) {
	for _, r := range c.Remotes {
		if r.Host.Host != "" {
			to[r.Host] = true
		}
	}
}

// askFor is the name that TLS asks for; "" = that of each remote.
func (c *backendConf) askFor() string {
	if c.TLS == nil {
		return ""
	}
	return c.TLS.Name
}

// newBackend makes a pool whose remotes are set; nothing runs before start. ended is asked to
// end the sessions of a remote that is found down.
func newBackend(c *backendConf, seed uint64, log *slog.Logger, turned func(), ended func(pool, remote string)) *backend {
	b := &backend{
		name: c.Name, log: log.With(logs.Pool, c.Name), turned: turned, conf: c,
		answers: make(map[resolve.Name][]resolve.Answer),
		follows: make(map[resolve.Name]*follow),
		checks:  make(map[string]*check),
	}
	b.pool = pool.New(c.Config, seed, func(remote string) {
		if b.endDown.Load() {
			ended(b.name, remote)
		}
	})
	b.set(c)
	return b
}

// set changes the configuration.
func (b *backend) set(c *backendConf) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conf.resolve != c.resolve {
		b.unfollowLocked(func(resolve.Name) bool { return true })
	}
	b.conf, b.coming = c, nil
	b.endDown.Store(c.EndDown)
	b.applyLocked()
}

// expect asks for the names of a configuration that is about to be set; nil takes that back.
func (b *backend) expect(c *backendConf) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.coming = c
	b.applyLocked()
}

// start follows names and checks remotes until stop.
func (b *backend) start(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = ctx
	b.applyLocked()
}

// stop ends all that start has begun, and waits for it. The pool stays of use for the
// sessions that are in it.
func (b *backend) stop() {
	b.mu.Lock()
	b.running = nil
	b.unfollowLocked(func(resolve.Name) bool { return true })
	b.uncheckLocked(func(string) bool { return true })
	b.mu.Unlock()
	b.tasks.Wait()
}

// applyLocked makes remotes of the configuration and the answers, and the tasks for them.
func (b *backend) applyLocked() {
	wanted := make(map[resolve.Name]bool)
	b.conf.addNames(wanted)
	if b.coming != nil {
		b.coming.addNames(wanted)
	}
	b.unfollowLocked(func(n resolve.Name) bool { return !wanted[n] })
	maps.DeleteFunc(b.answers, func(n resolve.Name, _ []resolve.Answer) bool { return !wanted[n] })
	members := membersOf(b.conf.Remotes, b.answers)
	o := b.conf.outward
	o.names = make(map[string]string, len(members))
	o.targets = make(map[string]*flow.Target, len(members))
	remotes := make([]pool.Remote, len(members))
	for i, m := range members {
		remotes[i] = m.Remote
		o.names[m.Name] = cmp.Or(b.conf.askFor(), serverName(m.host, m.Addr))
		if o.proxy == ProxyNone && !o.encrypts() {
			o.targets[m.Name] = o.plain(b.name, &m.Remote)
		}
	}
	b.outward.Store(&o)
	b.pool.Update(time.Now(), b.conf.Config, remotes)
	if b.running != nil {
		b.followLocked(wanted)
		b.checkLocked(members)
	}
	b.turned()
}

// member is one remote of a pool.
type member struct {
	pool.Remote
	host string // that stands for the address; "" = none
}

// membersOf are the remotes that a configuration means, with what its names stand for now.
// The first of two with the same name counts.
func membersOf(conf []Remote, answers map[resolve.Name][]resolve.Answer) []member {
	var all []member
	seen := make(map[string]bool)
	add := func(m member) {
		if !seen[m.Name] {
			seen[m.Name] = true
			all = append(all, m)
		}
	}
	for _, r := range conf {
		one := pool.Remote{Name: r.label(), Addr: r.Addr, Weight: r.Weight, Backup: r.Backup, MaxConns: r.MaxConns}
		if r.Host.Host == "" {
			add(member{Remote: one})
			continue
		}
		label := one.Name
		for _, a := range answers[r.Host] {
			one.Addr = flow.Addr{IP: a.Addr}
			if r.SCTP {
				one.Addr.Network = flow.SCTP
			}
			one.Name = label + "/" + a.Addr.String()
			one.Weight = cmp.Or(r.Weight, a.Weight)
			one.Backup = r.Backup || a.Backup
			add(member{Remote: one, host: cmp.Or(a.Host, r.Host.Host)})
		}
	}
	return all
}

// label is the name of a remote, or how it is written.
func (r *Remote) label() string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Host.Host == "":
		return r.Addr.String()
	case r.Host.Service != "":
		return r.Host.Service + "." + r.Host.Host
	}
	return net.JoinHostPort(r.Host.Host, strconv.Itoa(int(r.Host.Port)))
}

// follow is a name that is followed.
type follow struct {
	cancel context.CancelFunc
	once   sync.Once
	asked  chan struct{} // closed when there was an outcome
}

func (f *follow) done() { f.once.Do(func() { close(f.asked) }) }

// followLocked follows the names that are not followed yet.
func (b *backend) followLocked(wanted map[resolve.Name]bool) {
	for name := range wanted {
		if b.follows[name] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(b.running)
		f := &follow{cancel: cancel, asked: make(chan struct{})}
		b.follows[name] = f
		conf, limited := b.conf.resolve, logs.Limited(b.log)
		b.tasks.Go(func() {
			defer cancel()
			resolve.Follow(ctx, conf, name, func(answers []resolve.Answer) {
				b.resolved(f, name, answers)
			}, func(err error) {
				limited.Warn("a name cannot be resolved", logs.Remote, name.Host, logs.Error, err)
				f.done()
			})
		})
	}
}

func (b *backend) unfollowLocked(gone func(resolve.Name) bool) {
	for name, f := range b.follows {
		if gone(name) {
			f.cancel()
			delete(b.follows, name)
		}
	}
}

// resolved takes an answer, unless nobody follows the name for it any more.
func (b *backend) resolved(f *follow, name resolve.Name, answers []resolve.Answer) {
	defer f.done()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.follows[name] != f {
		return
	}
	b.answers[name] = slices.Clone(answers)
	b.log.Info("a name was resolved", logs.Remote, name.Host, "addresses", len(answers))
	b.applyLocked()
}

// ready waits until each name has been asked for once, or ctx ends.
func (b *backend) ready(ctx context.Context) {
	b.mu.Lock()
	asked := make([]chan struct{}, 0, len(b.follows))
	for _, f := range b.follows {
		asked = append(asked, f.asked)
	}
	b.mu.Unlock()
	for _, c := range asked {
		select {
		case <-c:
		case <-ctx.Done():
			return
		}
	}
}

// order is Relay.Order for a remote of this pool.
func (b *backend) order(remote string, state *string, weight *int) error {
	o := pool.Order{Weight: weight}
	if state != nil {
		s, ok := stateOf(*state)
		if !ok {
			return fmt.Errorf("no state %q: want enabled, draining or disabled", *state)
		}
		o.State = &s
	}
	if weight != nil && *weight < 0 {
		return fmt.Errorf("no weight %d: want a positive one, or 0 for that of the configuration", *weight)
	}
	if err := b.pool.Order(time.Now(), remote, o); err != nil {
		return err
	}
	b.turned()
	return nil
}

func stateOf(text string) (pool.State, bool) {
	for _, s := range []pool.State{pool.Enabled, pool.Draining, pool.Disabled} {
		if s.String() == text {
			return s, true
		}
	}
	return 0, false
}
