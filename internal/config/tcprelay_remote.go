package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"sluice/internal/config/spawnd"
	"sluice/internal/flow"
	"sluice/internal/relay"
)

// pool is where everybody goes.
func (t *tcprelay) pool() {
	w := &t.file.Worker
	p, err := t.out.Config.Relay.AddPool(tcprelayPool)
	if err != nil {
		t.fail(w.Place, "%s", err)
		return
	}
	t.out.Config.note(poolsKey+"."+p.Name, From{Place: w.Place})
	if len(w.Remotes) == 0 {
		t.fail(w.Place, "No remote services defined!")
	}
	for _, r := range w.Remotes {
		t.remote(p, r)
	}
	p.Proxy = t.proxy(w.Remotes)
	p.Rebalance = t.number(w.Rebalance, 0, 0, maxCount)
	if w.Local.Is() {
		a, err := netip.ParseAddr(w.Local.Value)
		if err != nil {
			t.fail(w.Local.Place, "Expected an IP address, but got '%s'", w.Local.Value)
		}
		p.From = a.Unmap()
	}
	t.sticky(p)
}

// remote adds a remote. One that is there twice has a name of its own the second time.
func (t *tcprelay) remote(p *RelayPool, r spawnd.Remote) {
	if !r.Address.Is() {
		t.fail(r.Place, "a remote without an address")
		return
	}
	at := splitAddress(r.Address.Value)
	r.Weight.Value = max(r.Weight.Value, 1) // as the original does
	remote := relay.Remote{Weight: t.number(r.Weight, 1, 1, maxWeight)}
	if at.path != "" {
		remote.Addr = flow.Addr{Network: flow.Unix, Path: at.path}
	} else {
		ip, err := netip.ParseAddr(at.host)
		if err != nil {
			t.fail(r.Address.Place, "Expected an IP address, but got '%s'", r.Address.Value)
			return
		}
		port, ok := t.port(at, r.Address, r.Port)
		switch {
		case !ok:
			return
		case port == 0:
			t.fail(r.Place, "a remote without a port")
			return
		}
		remote.Addr = flow.Addr{Network: network(r.Protocol), IP: netip.AddrPortFrom(ip.Unmap(), port)}
	}
	if slices.ContainsFunc(p.Remotes, func(other relay.Remote) bool { return other.Addr == remote.Addr }) {
		remote.Name = fmt.Sprintf("remote-%d", len(p.Remotes)+1)
	}
	p.Remotes = append(p.Remotes, remote)
}

// proxy is the PROXY header that remotes get. It is the pool's; but a remote that says nothing of it would not
// understand one, so that all have to say it.
func (t *tcprelay) proxy(remotes []spawnd.Remote) relay.ProxyOut {
	if len(remotes) == 0 {
		return relay.ProxyNone
	}
	first := remotes[0].Proxy.Value
	other := slices.IndexFunc(remotes, func(r spawnd.Remote) bool { return r.Proxy.Value != first })
	if other >= 0 {
		t.fail(cmp.Or(remotes[other].Proxy.Place, remotes[other].Place), "proxy protocol: want the same in all remotes, or in none")
	}
	return map[string]relay.ProxyOut{"v1": relay.ProxyV1, "v2": relay.ProxyV2}[first]
}

// written is an address as files of tcprelay have it.
type written struct {
	path string // of a UNIX socket; the rest is empty then
	host string // an address or a name
	port string // that is a part of it; "" = none
}

// splitAddress reads /PATH, unix:PATH, ADDRESS, HOST:PORT and [ADDRESS]:PORT.
func splitAddress(text string) written {
	path, unix := strings.CutPrefix(text, "unix:")
	switch {
	case unix && strings.HasPrefix(path, "@"):
		return written{path: path}
	case unix && path != "", strings.HasPrefix(text, "/"):
		return written{path: filepath.Clean(absolute(path))}
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "inet:"), "inet6:")
	if _, err := netip.ParseAddr(text); err == nil {
		return written{host: text}
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		return written{host: host, port: port}
	}
	return written{host: strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")}
}

// port is the port of an address: its own, or else what is said beside it; 0 if neither is.
func (t *tcprelay) port(at written, address, beside spawnd.Said[string]) (uint16, bool) {
	said := beside
	if at.port != "" {
		said = spawnd.Said[string]{Value: at.port, Place: address.Place}
	}
	if !said.Is() {
		return 0, true
	}
	n, err := net.LookupPort("tcp", said.Value)
	if err != nil || said.Value == "" {
		t.fail(said.Place, "Expected an service or port, but got '%s'", said.Value)
		return 0, false
	}
	return uint16(n), true
}

// network is that of a protocol, which is TCP if nothing is said.
func network(protocol spawnd.Said[string]) flow.Network {
	if protocol.Value == "SCTP" {
		return flow.SCTP
	}
	return flow.TCP
}

// sticky is about clients that go where they went before. There is one memory for all
// listeners.
func (t *tcprelay) sticky(p *RelayPool) {
	all := []spawnd.Sticky{t.file.Spawnd.Sticky}
	for _, l := range t.file.Spawnd.Listens {
		if l.Sticky.Period.Is() && len(t.file.Spawnd.Listens) > 1 {
			t.warn(l.Sticky.Period.Place, "'sticky cache' of a listen holds for all of them")
		}
		all = append(all, l.Sticky)
	}
	for _, s := range all {
		p.Sticky.Period = max(p.Sticky.Period, t.seconds(s.Period))
		if s.Size.Is() {
			p.Sticky.Size = t.number(s.Size, p.Sticky.Size, 1, maxSticky)
		}
	}
}
