package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"sluice/internal/flow"
)

// door is a listener as the desk sees it. It is never modified; a reload makes another,
// with the same tally.
type door struct {
	conf          Listener // with its defaults filled in
	backend       *backend // nil = none
	routes        []*backend
	tls           *tls.Config // nil = nothing is decrypted
	looks         bool        // at the ClientHello
	silentIsPlain bool        // who says nothing for a while speaks no TLS
	tally         *tally
}

// newDoor makes a listener ready. backends has all pools by name.
func newDoor(c Listener, backends map[string]*backend, decrypt *tls.Config, t *tally) (*door, error) {
	c.fill()
	d := &door{conf: c, tls: decrypt, tally: t, looks: decrypt != nil || len(c.Routes) > 0}
	var err error
	if d.backend, err = findBackend(backends, c.Pool); err != nil {
		return nil, fmt.Errorf("listener %s: %w", c.Name, err)
	}
	if d.backend == nil && len(c.Routes) == 0 {
		return nil, fmt.Errorf("listener %s: it has neither a pool nor routes", c.Name)
	}
	for i, rt := range c.Routes {
		b, err := findBackend(backends, rt.Pool)
		if err != nil {
			return nil, fmt.Errorf("listener %s: route %d: %w", c.Name, i+1, err)
		}
		d.routes = append(d.routes, b)
	}
	w, ok := d.plainWay()
	d.silentIsPlain = ok && w.backend != nil
	return d, nil
}

func findBackend(all map[string]*backend, name string) (*backend, error) {
	if name == "" {
		return nil, nil
	}
	b := all[name]
	if b == nil {
		return nil, fmt.Errorf("there is no pool %q", name)
	}
	return b, nil
}

// The defaults of a listener.
const (
	helloTime     = 5 * time.Second
	halfCloseTime = 5 * time.Minute
	connectTime   = 5 * time.Second
	withinTime    = 15 * time.Second
	tries         = 3
)

// fill puts the defaults in.
func (l *Listener) fill() {
	either(&l.Hello, helloTime)
	either(&l.HalfClose, halfCloseTime)
	either(&l.Connect, connectTime)
	either(&l.Within, withinTime)
	either(&l.Tries, tries)
}

// either is *v, or the default if that is zero.
func either[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// listener is what a core has of the door for one of its sockets.
func (d *door) listener(addr flow.Addr) *flow.Listener {
	c := &d.conf
	return &flow.Listener{
		Name: c.Name, Addr: addr,
		NoDelay: c.NoDelay == nil || *c.NoDelay, KeepAlive: c.KeepAlive, DSCP: c.DSCP,
		Idle: c.Idle, HalfClose: max(c.HalfClose, 0), Buffer: c.Buffer,
		Keep: d,
	}
}

// check says what is wrong with a configuration as far as no file and no socket is needed to say it.
func (c *Config) check() error {
	if len(c.Listeners) == 0 {
		return errors.New("the relay has no listener")
	}
	pools := make(map[string]bool)
	for _, p := range c.Pools {
		if p.Name == "" || pools[p.Name] {
			return fmt.Errorf("there are two pools %q", p.Name)
		}
		pools[p.Name] = true
		if len(p.Remotes) == 0 {
			return fmt.Errorf("pool %s has no remote", p.Name)
		}
	}
	names, at := make(map[string]bool), make(map[socketKey]string)
	for _, l := range c.Listeners {
		if l.Name == "" || names[l.Name] {
			return fmt.Errorf("there are two listeners %q", l.Name)
		}
		names[l.Name] = true
		if len(l.Addrs) == 0 {
			return fmt.Errorf("listener %s has no address", l.Name)
		}
		for _, s := range l.Addrs {
			key := s.key(l.Name)
			if other := at[key]; other != "" {
				return fmt.Errorf("listener %s: %s is listened at by %s already", l.Name, key, other)
			}
			at[key] = l.Name
		}
	}
	return nil
}
