package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"sluice/internal/logs"
	"sluice/internal/resolve"
)

// next is a configuration that is ready to take the place of the one that holds.
type next struct {
	conf      Config
	listeners []*listener
	backends  []*backend
	confs     []*backendConf        // of backends
	fresh     []*backend            // those that did not run before
	opened    map[socketKey]*socket // those that were not open before
	inherited map[string]*os.File   // what of it is not among them
}

// resolveTime is how long the first answers are waited for.
func resolveTime(c resolve.Config) time.Duration { return cmp.Or(c.Timeout, 5*time.Second) }

// errEnding is what a relay that accepts nobody any more says to another configuration.
var errEnding = errors.New("the relay is ending")

// prepare reads files and opens sockets. Nothing that runs is changed, and with an error
// nothing is left behind.
func (r *Relay) prepare(c Config, inherited map[string]*os.File) (*next, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	n := &next{conf: c, opened: make(map[socketKey]*socket), inherited: inherited}
	r.mu.Lock()
	closed, held := r.closed, holding{slices.Clone(r.listeners), slices.Clone(r.backends), socketsOf(r.listeners)}
	r.mu.Unlock()
	if closed {
		return nil, errEnding // its sockets are the next one's by now
	}
	byName, err := r.preparePools(n, held)
	if err != nil {
		return nil, err
	}
	for i := range c.Listeners {
		if err := r.prepareListener(n, &c.Listeners[i], byName, held); err != nil {
			n.discard()
			return nil, err
		}
	}
	return n, nil
}

// holding is what there is while another configuration is made ready.
type holding struct {
	listeners []*listener
	backends  []*backend
	sockets   map[socketKey]heldSocket
}

func (r *Relay) preparePools(n *next, held holding) (map[string]*backend, error) {
	byName := make(map[string]*backend)
	for i := range n.conf.Pools {
		conf, err := n.conf.Pools[i].made(&n.conf, r.log)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(held.backends, func(b *backend) bool { return b.name == conf.Name })
		b := (*backend)(nil)
		if at >= 0 {
			b = held.backends[at]
		} else {
			b = r.newBackend(conf)
			n.fresh = append(n.fresh, b)
		}
		byName[conf.Name] = b
		n.backends, n.confs = append(n.backends, b), append(n.confs, conf)
	}
	return byName, nil
}

// prepareListener makes one listener ready, and opens what is not open of its sockets.
func (r *Relay) prepareListener(n *next, c *Listener, byName map[string]*backend, held holding) error {
	t := new(tally)
	if at := slices.IndexFunc(held.listeners, func(l *listener) bool { return l.door.conf.Name == c.Name }); at >= 0 {
		t = held.listeners[at].door.tally
	}
	var decrypt *tls.Config
	if c.TLS != nil {
		var err error
		if decrypt, err = c.TLS.server().Config(tellFiles(r.log)); err != nil {
			return fmt.Errorf("listener %s: %w", c.Name, err)
		}
	}
	d, err := newDoor(*c, byName, decrypt, t)
	if err != nil {
		return err
	}
	n.listeners = append(n.listeners, &listener{door: d})
	for _, sc := range c.Addrs {
		key := sc.key(c.Name)
		if held.sockets[key].socket != nil {
			continue
		}
		s, err := openSocket(sc, n.inherited, time.Now())
		if err != nil {
			return fmt.Errorf("listener %s: %w", c.Name, err)
		}
		n.opened[key] = s
	}
	return nil
}

// heldSocket is a socket and the listener that has it.
type heldSocket struct {
	*socket
	name string
}

// socketsOf are the sockets of listeners, those that are to be tried again included.
func socketsOf(all []*listener) map[socketKey]heldSocket {
	m := make(map[socketKey]heldSocket)
	for _, l := range all {
		name := l.door.conf.Name
		for _, s := range l.sockets {
			if s.file != nil || !s.again.IsZero() {
				m[s.conf.key(name)] = heldSocket{s, name}
			}
		}
	}
	return m
}

func (n *next) discard() {
	for _, s := range n.opened {
		s.giveBack(n.inherited)
	}
	for _, b := range n.backends {
		if slices.Contains(n.fresh, b) {
			b.stop()
		} else {
			b.expect(nil)
		}
	}
}

// closeRest closes what is inherited and nobody has wanted.
func (n *next) closeRest() {
	for _, f := range n.inherited {
		f.Close()
	}
	clear(n.inherited)
}

// someOpen is an error when no socket is open.
func (n *next) someOpen() error {
	var why error
	for _, s := range n.opened {
		if s.file != nil {
			return nil
		}
		why = s.err
	}
	return fmt.Errorf("no listener is left: %w", why)
}

// Reload puts another configuration in the place of the one that holds: new sockets are
// opened before anything changes, those that stay refuse nobody, sessions go on. With an error
// all is as it was. What needs a restart (Threads, Buffer, Copy, Pipes) stays, and so do the
// options of a socket that is open. Sockets that the parent has opened are in inherited, as in
// Options; without an error none is left there: those that no listener wants are closed.
func (r *Relay) Reload(c Config, inherited map[string]*os.File) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	n, err := r.prepare(c, inherited)
	if err != nil {
		return err
	}
	if r.runs() {
		n.start(r.life)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		n.discard()
		return errEnding
	}
	r.exchangeLocked(n)
	n.closeRest()
	r.log.Info("configuration in use", "listeners", len(n.listeners), "pools", len(n.backends))
	return nil
}

func (r *Relay) runs() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running && !r.closed
}

// start starts the new pools, and waits until each name was asked for once, also the new ones
// of pools that stay.
func (n *next) start(life context.Context) {
	for i, b := range n.backends {
		if slices.Contains(n.fresh, b) {
			b.start(life)
		} else {
			b.expect(n.confs[i])
		}
	}
	ctx, cancel := context.WithTimeout(life, resolveTime(n.conf.Resolve))
	defer cancel()
	for _, b := range n.backends {
		b.ready(ctx)
	}
}

// exchangeLocked puts a configuration in the place of the one that holds. Sockets change
// hands one by one: at no moment is one that stays closed. One that the core does not take is told
// and tried again.
func (r *Relay) exchangeLocked(n *next) {
	gone := slices.DeleteFunc(r.backends, func(b *backend) bool { return slices.Contains(n.backends, b) })
	for i, b := range n.backends {
		b.set(n.confs[i])
	}
	r.openUpLocked() // the new limits decide
	held := socketsOf(r.listeners)
	r.conf, r.listeners, r.backends = n.conf, n.listeners, n.backends
	for _, l := range r.listeners {
		for _, sc := range l.door.conf.Addrs {
			key := sc.key(l.door.conf.Name)
			s := cmp.Or(held[key].socket, n.opened[key])
			l.sockets = append(l.sockets, s)
			if err := r.adoptLocked(l, s, held[key].name); err != nil {
				r.log.Error("listener down", logs.Listener, l.door.conf.Name, logs.Listen, s.addr.String(), logs.Error, err)
			}
			delete(held, key)
		}
	}
	for _, s := range held {
		r.closeLocked(s.name, s.socket)
	}
	for _, s := range r.desk.gate.set(&n.conf) {
		s.Wake()
	}
	r.desk.keep(true)
	for _, b := range gone {
		b.stop()
	}
}

// adoptLocked has a listener accept at one of its sockets: one that a listener, this or another,
// had before, or one without an owner, which is new.
func (r *Relay) adoptLocked(l *listener, s *socket, owner string) error {
	switch {
	case owner == "" && s.file == nil:
		r.tellClosed(l.door.conf.Name, s)
		return nil
	case s.file == nil:
		return nil
	case s.given && owner == l.door.conf.Name:
		return r.threads.Change(l.door.listener(s.addr))
	case s.given:
		r.threads.Close(owner, s.addr)
	}
	return r.listenLocked(l, s)
}

// listenLocked has a socket listened at, if Run has begun.
func (r *Relay) listenLocked(l *listener, s *socket) error {
	if !r.running {
		return nil
	}
	if err := r.attachLocked(l, s); err != nil {
		return err
	}
	r.log.Info("listener up", logs.Listener, l.door.conf.Name, logs.Listen, s.addr.String())
	return nil
}

// attachLocked gives the threads a descriptor of a socket, which listens again if it was shut.
func (r *Relay) attachLocked(l *listener, s *socket) error {
	var file *os.File
	err := listenAgain(s.file, s.conf.Backlog)
	if err == nil {
		file, err = s.file.File()
	}
	if err == nil {
		err = r.threads.Listen(l.door.listener(s.addr), file)
	}
	s.given, s.err = err == nil, err
	if err != nil {
		return fmt.Errorf("listener %s at %s: %w", l.door.conf.Name, s.addr, err)
	}
	return nil
}

// closeLocked closes a socket; its sessions go on.
func (r *Relay) closeLocked(name string, s *socket) {
	if s.file == nil {
		return
	}
	if s.given {
		r.threads.Close(name, s.addr)
	}
	s.close()
	r.log.Info("listener down", logs.Listener, name, logs.Listen, s.addr.String())
}
