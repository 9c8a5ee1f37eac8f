package config

import (
	"net/netip"

	"sluice/internal/flow"
	"sluice/internal/health"
	"sluice/internal/relay"
)

// relayCheck finds what of the relay does not fit together.
type relayCheck struct{ partCheck }

// relayMismatches are the settings of the relay that do not fit together.
func (c *Config) relayMismatches() Errors {
	k := &relayCheck{partCheck{c: c}}
	seen := map[string]bool{}
	for i := range c.Relay.Listeners {
		l := &c.Relay.Listeners[i]
		k.enter(listenersKey, l.Name, seen)
		k.listener(l)
		k.addresses(i)
	}
	for i := range c.Relay.Pools {
		p := &c.Relay.Pools[i]
		k.enter(poolsKey, p.Name, seen)
		k.pool(p)
	}
	return k.errs
}

func (k *relayCheck) listener(l *RelayListener) {
	if len(l.Addrs) == 0 {
		k.fail("", "it listens nowhere; it wants a key such as listen: \":443\"")
	}
	if l.Pool == "" && len(l.Routes) == 0 {
		k.fail("", "its clients go nowhere; it wants a key such as pool: web")
	}
	if l.Pool != "" {
		k.knows("pool", l.Pool)
	}
	for _, r := range l.Routes {
		if p := k.knows("routes", r.Pool); p != nil && r.Pass && p.TLS.Enabled {
			k.fail("routes", "%q: what is passed is encrypted already, and the pool %s would encrypt it again (tls.enabled)", writeRelayRoute(r), r.Pool)
		}
	}
	switch {
	case l.Proxy == relay.ProxyOff && len(l.Proxies) > 0:
		k.fail("proxies", "nobody is asked for a PROXY header; want proxy: accepted or proxy: required")
	case l.Proxy == relay.ProxyAccepted && len(l.Proxies) == 0:
		k.fail("proxy", "no PROXY header would be believed; want proxies: the networks that they come from")
	}
	k.tls(&l.TLS)
}

// knows returns the pool that a setting names; nil if there is none.
func (k *relayCheck) knows(key, name string) *RelayPool {
	var names []string
	for i := range k.c.Relay.Pools {
		p := &k.c.Relay.Pools[i]
		if p.Name == name {
			return p
		}
		names = append(names, p.Name)
	}
	k.fail(key, "no pool is called %s%s", name, didYouMean(name, names))
	return nil
}

func (k *relayCheck) tls(t *RelayTLS) {
	switch {
	case t.said() && len(t.Certificates) == 0:
		k.fail("tls", "there is no certificate; want tls.certificates, such as [\"cert.pem key=key.pem\"]")
	case t.ClientNeeded && t.ClientCA == "":
		k.fail("tls.client_needed", "want tls.client_ca: whose certificates are good")
	}
	k.versions(t.Min, t.Max)
}

func (k *relayCheck) versions(oldest, newest uint16) {
	if oldest != 0 && newest != 0 && oldest > newest {
		k.fail("tls.min", "%s is newer than tls.max, %s", version{&oldest}, version{&newest})
	}
}

// addresses finds sockets of listener i that cannot be opened beside those before them.
func (k *relayCheck) addresses(i int) {
	own := k.c.Relay.Listeners[i].Addrs
	for n, s := range own {
		for _, other := range own[:n] {
			k.beside(s, other, "")
		}
		for _, l := range k.c.Relay.Listeners[:i] {
			for _, other := range l.Addrs {
				k.beside(s, other, " of the listener "+l.Name)
			}
		}
	}
}

func (k *relayCheck) beside(s, other relay.Socket, whose string) {
	if !taken(s, other) {
		return
	}
	hint := ""
	if s.Addr.Network != flow.Unix && s.Inherited == "" && s.Addr.IP.Addr().Is4() != other.Addr.IP.Addr().Is4() {
		hint = "; write v6only behind [::], which takes IPv4 besides"
	}
	k.fail("listen", "%s cannot be listened at beside %s%s%s", writeSocket(s), writeSocket(other), whose, hint)
}

func (k *relayCheck) pool(p *RelayPool) {
	if len(p.Remotes) == 0 {
		k.fail("", "it has no remote; it wants a key such as remotes: [\"10.0.0.1:8080\"]")
	}
	if p.Eject.For > p.Eject.Max {
		k.fail("eject.for", "%s is longer than eject.max, %s", duration{to: &p.Eject.For}, duration{to: &p.Eject.Max})
	}
	k.remotes(p)
	k.check(p)
	k.remoteTLS(p)
}

func (k *relayCheck) remotes(p *RelayPool) {
	seen := map[string]bool{}
	for _, r := range p.Remotes {
		name := r.Name
		if name == "" {
			name = placeOf(r)
		}
		if seen[name] {
			k.fail("remotes", "%s is there twice; one remote may have weight=2, or a name=… of its own", name)
		}
		seen[name] = true
		k.reach("from", p.From, r)
		k.reach("check.from", p.Check.From, r)
	}
}

// reach wants that the remote can be connected to from that address.
func (k *relayCheck) reach(key string, from netip.Addr, r relay.Remote) {
	if to := r.Addr.IP.Addr().Unmap(); from.IsValid() && to.IsValid() && from.Is4() != to.Is4() {
		k.fail(key, "%s cannot be reached from %s", placeOf(r), from)
	}
}

// check finds settings of other checks than the one that there is.
func (k *relayCheck) check(p *RelayPool) {
	c := &p.Check
	web := c.Kind == health.HTTP || c.Kind == health.HTTPS
	for _, s := range []struct {
		key  string
		said bool
		good bool
		want string
	}{
		{"path", c.Path != "", web, "http or https"},
		{"host", c.Host != "", web, "http or https"},
		{"status", len(c.Status) > 0, web, "http or https"},
		{"send", len(c.Send) > 0, c.Kind == health.Talk, "talk"},
		{"expect", len(c.Expect) > 0, c.Kind == health.Talk, "talk"},
		{"port", c.Port != 0, c.Kind != health.Off, "another than off"},
		{"from", c.From.IsValid(), c.Kind != health.Off, "another than off"},
		{"on_down", p.EndDown, c.Kind != health.Off, "another than off"},
	} {
		if s.said && !s.good {
			k.fail("check."+s.key, "it is of use with check.type %s only", s.want)
		}
	}
}

func (k *relayCheck) remoteTLS(p *RelayPool) {
	t := &p.TLS
	if !t.Enabled && (t.Name != "" || t.CA != "" || !t.Verify || t.Certificate != RelayCertificate{} || t.Min != 0 || t.Max != 0 || len(t.Protocols) > 0) {
		k.fail("tls", "remotes are spoken to without TLS; want tls.enabled: true")
	}
	k.versions(t.Min, t.Max)
	if !t.Enabled || !t.Verify || t.Name != "" {
		return
	}
	for _, r := range p.Remotes {
		if r.Addr.Network == flow.Unix {
			k.fail("tls", "%s has no host to look for in the certificate; want tls.name", placeOf(r))
		}
	}
}

// relayWarnings are what of the relay is odd and no mistake.
func (c *Config) relayWarnings() (warnings []*Error) {
	used := map[string]bool{}
	for _, l := range c.Relay.Listeners {
		used[l.Pool] = true
		for _, r := range l.Routes {
			used[r.Pool] = true
			if r.Pass && !l.TLS.said() {
				path := listenersKey + "." + l.Name
				warnings = append(warnings, c.place(path+".routes").Errorf("%s.routes: %q: nothing is decrypted here, so pass changes nothing", path, writeRelayRoute(r)))
			}
		}
	}
	for _, p := range c.Relay.Pools {
		if !used[p.Name] {
			warnings = append(warnings, c.place(poolsKey+"."+p.Name).Errorf("%s.%s: no listener sends anybody there", poolsKey, p.Name))
		}
	}
	return warnings
}

// relayUnsayable are the settings of the relay that no file could have: YAML would write
// what Parse does not read.
func (c *Config) relayUnsayable() Errors {
	k := &relayCheck{partCheck{c: c, path: "relay"}}
	for _, s := range c.Relay.settings() {
		k.sayable(s, new(RelayPart).settings())
	}
	for i := range c.Relay.Listeners {
		k.named("listener", listenersKey, c.Relay.Listeners[i].binding(), newListener("").settings())
	}
	for i := range c.Relay.Pools {
		k.named("pool", poolsKey, c.Relay.Pools[i].binding(), newPool("").settings())
	}
	return k.errs
}
