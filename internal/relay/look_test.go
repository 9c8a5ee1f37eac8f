package relay

import (
	"net/netip"
	"testing"

	"sluice/internal/flow"
	"sluice/internal/hello"
)

func TestNameFits(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.example.com", "a.example.com", true},
		{"A.Example.Com.", "a.example.com", true},
		{"a.example.com", "b.example.com", false},
		{"a.example.com", "", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "aexample.com", false},
		{"*", "a", true},
		{"*", "", false},
	} {
		if got := nameFits(c.pattern, c.name); got != c.want {
			t.Errorf("%q fits %q: %v", c.name, c.pattern, got)
		}
	}
}

func TestWays(t *testing.T) {
	all := make(map[string]*backend)
	for _, name := range []string{"app", "h2", "vpn", "old"} {
		all[name] = &backend{name: name}
	}
	d, err := newDoor(Listener{Name: "in", Pool: "app", Routes: []Route{
		{Plain: true, Pool: "old"},
		{Names: []string{"vpn.example.com"}, Pool: "vpn", Pass: true},
		{Names: []string{"*.example.com"}, Protocols: []string{"h2"}, Pool: "h2"},
	}}, all, nil, new(tally))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		h    hello.Hello
		want string
		pass bool
	}{
		{hello.Hello{}, "app", false},
		{hello.Hello{Name: "vpn.example.com", Protocols: []string{"h2"}}, "vpn", true},
		{hello.Hello{Name: "a.example.com", Protocols: []string{"http/1.1", "h2"}}, "h2", false},
		{hello.Hello{Name: "a.example.com", Protocols: []string{"http/1.1"}}, "app", false},
		{hello.Hello{Protocols: []string{"h2"}}, "app", false},
	} {
		if got := d.way(&c.h); got.backend.name != c.want || got.pass != c.pass {
			t.Errorf("%+v goes to %s (pass %v), want %s", c.h, got.backend.name, got.pass, c.want)
		}
	}
	if w, ok := d.plainWay(); !ok || w.backend.name != "old" || !d.silentIsPlain {
		t.Errorf("who speaks no TLS goes to %+v, %v", w, ok)
	}
}

func TestWhoComesWithAHeader(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	unix := flow.Addr{Network: flow.Unix}
	for _, c := range []struct {
		proxy   ProxyIn
		proxies []netip.Prefix
		peer    flow.Addr
		want    header
	}{
		{ProxyOff, trusted, ip("10.0.0.1"), headerNone},
		{ProxyRequired, nil, ip("192.0.2.1"), headerNeeded},
		{ProxyRequired, trusted, ip("10.0.0.1"), headerNeeded},
		{ProxyRequired, trusted, ip("::ffff:10.0.0.1"), headerNeeded},
		{ProxyRequired, trusted, ip("192.0.2.1"), headerDenied},
		{ProxyRequired, trusted, unix, headerNeeded},
		{ProxyAccepted, nil, ip("10.0.0.1"), headerNone},
		{ProxyAccepted, trusted, ip("10.0.0.1"), headerMaybe},
		{ProxyAccepted, trusted, ip("192.0.2.1"), headerNone},
		{ProxyAccepted, nil, unix, headerMaybe},
	} {
		d := &door{conf: Listener{Proxy: c.proxy, Proxies: c.proxies}}
		if got := d.header(c.peer); got != c.want {
			t.Errorf("proxy %d, believed %v, peer %s: %d, want %d", c.proxy, c.proxies, c.peer, got, c.want)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	l := Listener{Name: "in", Addrs: local(), Pool: "app"}
	p := one(Remote{Addr: ip("192.0.2.1")}).Pools[0]
	nameless := p
	nameless.Remotes = nil
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{Pools: []Pool{p}}, "the relay has no listener"},
		{Config{Listeners: []Listener{l}}, `listener in: there is no pool "app"`},
		{Config{Listeners: []Listener{l}, Pools: []Pool{nameless}}, "pool app has no remote"},
		{Config{Listeners: []Listener{l, l}, Pools: []Pool{p}}, `there are two listeners "in"`},
		{Config{Listeners: []Listener{l}, Pools: []Pool{p, p}}, `there are two pools "app"`},
		{Config{Listeners: []Listener{{Name: "in", Pool: "app"}}, Pools: []Pool{p}}, "listener in has no address"},
		{Config{Listeners: []Listener{{Name: "in", Addrs: local()}}, Pools: []Pool{p}}, "listener in: it has neither a pool nor routes"},
		{Config{Listeners: []Listener{{Name: "in", Addrs: append(local(), local()...), Pool: "app"}}, Pools: []Pool{p}}, "listener in: 127.0.0.1:0 is listened at by in already"},
		{Config{Listeners: []Listener{{Name: "in", Addrs: []Socket{{Inherited: "web"}}, Pool: "app"}}, Pools: []Pool{p}}, `listener in: no socket "web" was inherited`},
		{Config{Listeners: []Listener{{Name: "in", Addrs: local(), Routes: []Route{{Pool: "b"}}}}, Pools: []Pool{p}}, `listener in: route 1: there is no pool "b"`},
	} {
		_, err := New(c.c, quiet())
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
