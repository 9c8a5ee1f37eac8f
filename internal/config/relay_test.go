package config

import (
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/health"
	"sluice/internal/pool"
	"sluice/internal/relay"
	"sluice/internal/resolve"
)

// everythingRelay sets every key of the relay to what is not its default.
const everythingRelay = `
relay:
  admin: ""
  threads: 0
  buffer: 16KiB
  splice: false
  pipes: 1MiB
  max_sessions: 1200
  overload: reset
  retire: 9
  drain: 1m
  quiet: 2s
  pools:
    two: {remotes: 'srv:_imap._tcp.example.org', balance: maglev, check: {type: http, path: /up?x=1, host: 'app.example:81', status: [200, 204]}}
    web:
      balance: two-choices
      remotes: ["10.0.0.1:80 weight=2 max_conns=3", "sctp://app.example:81 backup name=b", "unix:\"/run/an app\"", "sctp://10.0.0.1:82"]
      queue: 0
      slow_start: 10s
      rebalance: 7
      eject: {fails: 0, for: 2s, max: 3s, share: 50}
      sticky: {period: 1h, size: 5}
      proxy: v2
      from: 192.0.2.9
      check: {type: talk, port: 81, every: 3s, timeout: 2s, rise: 3, fall: 4, send: "a\r\n", expect: 'b\x00\\', from: 192.0.2.8, on_down: close}
      tls:
        enabled: true
        name: app.example
        ca: /etc/ca.pem
        verify: false
        certificate: /etc/c.pem key=/etc/c.key passphrase="a \"b\\ c"
        min: "1.0"
        max: "1.3"
        protocols: [h2]
  listeners:
    "3.web":
      listen: ["[::]:443 v6only backlog=7 device=eth0 retry=1m", "unix:/run/web.sock mode=0660 user=www group=7", "unix:@web", "sctp://0.0.0.0:443", inherited:stdin]
      pool: web
      routes: ["sni=*.Example.com,b.example alpn=h2,http/1.1 pool=two", "plain pool=web", "pass pool=two"]
      rules: [deny 10.1.0.0/16, permit not 192.0.2.7]
      max_sessions: 1
      max_per_source: 2
      max_rate: 0.5
      max_rate_per_source: 3
      proxy: required
      proxies: [10.0.0.0/8]
      tls:
        certificates: ["/etc/a.pem key=/etc/a.key passphrase_file=/etc/pass", /etc/b.pem]
        auto: true
        client_ca: /etc/ca.pem
        client_needed: true
        min: "1.1"
        max: "1.2"
        protocols: [h2, http/1.1]
      hello: 1s
      connect: 2s
      tries: 5
      within: 4s
      idle: 6s
      half_close: 0s
      no_delay: false
      keepalive: {probes: off, idle: 7s, interval: 8s, count: 9}
      dscp: 46
      buffer: 32KiB
  resolve: {every: 1m, timeout: 1s, server: "192.0.2.1:53", family: ipv6}
  session_log: {file: /tmp/sessions, max_size: 2MiB, max_files: 3}
`

// wantRelay is what it says.
func wantRelay() RelayPart {
	return RelayPart{
		SessionLog: Access{"/tmp/sessions", 2 << 20, 3},
		Buffer:     16 << 10, Pipes: 1 << 20, MaxSessions: 1200, Overload: relay.Reset, Retire: 9, Drain: time.Minute, Quiet: 2 * time.Second,
		Resolve:   resolve.Config{Every: time.Minute, Timeout: time.Second, Server: "192.0.2.1:53", IPv6: true},
		Listeners: []RelayListener{wantListener()},
		Pools: []RelayPool{
			{
				Pool: relay.Pool{
					Config:  withName(pool.Config{Balance: pool.Maglev}, "two"),
					Remotes: []relay.Remote{{Host: resolve.Name{Host: "example.org", Service: "_imap._tcp"}}},
					Check: health.Check{
						Kind: health.HTTP, Every: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3,
						Path: "/up?x=1", Host: "app.example:81", Status: []int{200, 204},
					},
				},
				TLS: RelayRemoteTLS{Verify: true},
			},
			wantPool(),
		},
	}
}

// withName is c with the defaults that a pool has.
func withName(c pool.Config, name string) pool.Config {
	c.Name, c.Queue, c.Sticky.Size = name, 1024, 1024
	c.Eject = pool.Eject{Fails: 1, For: time.Second, Max: time.Minute, Share: 100}
	return c
}

func wantListener() RelayListener {
	no := false
	return RelayListener{
		Listener: relay.Listener{
			Name: "3.web",
			Addrs: []relay.Socket{
				{Addr: addr("[::]:443"), Only6: true, Backlog: 7, Device: "eth0", Retry: time.Minute},
				{Addr: addr("unix:/run/web.sock"), Mode: 0o660, User: "www", Group: "7"},
				{Addr: addr("unix:@web")},
				{Addr: addr("sctp://0.0.0.0:443")},
				{Inherited: "stdin"},
			},
			Pool: "web",
			Routes: []relay.Route{
				{Names: []string{"*.example.com", "b.example"}, Protocols: []string{"h2", "http/1.1"}, Pool: "two"},
				{Plain: true, Pool: "web"},
				{Pass: true, Pool: "two"},
			},
			Rules: []relay.Rule{
				{Deny: true, Prefix: netip.MustParsePrefix("10.1.0.0/16")},
				{Not: true, Prefix: netip.MustParsePrefix("192.0.2.7/32")},
			},
			Max: 1, PerSource: 2, Rate: 0.5, RatePerSource: 3,
			Proxy: relay.ProxyRequired, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			Hello: time.Second, Connect: 2 * time.Second, Tries: 5, Within: 4 * time.Second,
			Idle: 6 * time.Second, HalfClose: -1, NoDelay: &no, DSCP: 46, Buffer: 32 << 10,
			KeepAlive: flow.KeepAlive{Off: true, Idle: 7 * time.Second, Interval: 8 * time.Second, Count: 9},
		},
		TLS: RelayTLS{
			Auto: true, ClientCA: "/etc/ca.pem", ClientNeeded: true, Min: tls.VersionTLS11, Max: tls.VersionTLS12, Protocols: []string{"h2", "http/1.1"},
			Certificates: []RelayCertificate{{Chain: "/etc/a.pem", Key: "/etc/a.key", PassphraseFile: "/etc/pass"}, {Chain: "/etc/b.pem"}},
		},
	}
}

func wantPool() RelayPool {
	return RelayPool{
		Pool: relay.Pool{
			Config: pool.Config{
				Name: "web", Balance: pool.TwoChoices, Queue: -1, SlowStart: 10 * time.Second, Rebalance: 7,
				Eject:  pool.Eject{Fails: -1, For: 2 * time.Second, Max: 3 * time.Second, Share: 50},
				Sticky: pool.Sticky{Period: time.Hour, Size: 5},
			},
			Remotes: []relay.Remote{
				{Addr: addr("10.0.0.1:80"), Weight: 2, MaxConns: 3},
				{Host: resolve.Name{Host: "app.example", Port: 81}, SCTP: true, Backup: true, Name: "b"},
				{Addr: addr("unix:/run/an app")},
				{Addr: addr("sctp://10.0.0.1:82")},
			},
			Check: health.Check{
				Kind: health.Talk, Port: 81, Every: 3 * time.Second, Timeout: 2 * time.Second, Rise: 3, Fall: 4,
				Send: []byte("a\r\n"), Expect: []byte("b\x00\\"), From: netip.MustParseAddr("192.0.2.8"),
			},
			EndDown: true, Proxy: relay.ProxyV2, From: netip.MustParseAddr("192.0.2.9"),
		},
		TLS: RelayRemoteTLS{
			Enabled: true, Name: "app.example", CA: "/etc/ca.pem",
			Certificate: RelayCertificate{Chain: "/etc/c.pem", Key: "/etc/c.key", Passphrase: `a "b\ c`},
			Min:         tls.VersionTLS10, Max: tls.VersionTLS13, Protocols: []string{"h2"},
		},
	}
}

// addr is the address that s says.
func addr(s string) flow.Addr {
	a, err := flow.ParseAddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

// wantExampleRelay is what the example says where it is commented out.
func wantExampleRelay() ([]RelayListener, []RelayPool) {
	web, secure := newListener("web"), newListener("secure")
	web.Pool = "web"
	web.Addrs = []relay.Socket{{Addr: addr(":8080")}, {Addr: addr("unix:/run/web.sock"), Mode: 0o660}, {Inherited: "web"}}
	secure.Pool = "web"
	secure.Addrs = []relay.Socket{{Addr: addr(":443"), Only6: true}}
	secure.Routes = []relay.Route{
		{Names: []string{"vpn.example.com"}, Pool: "vpn", Pass: true},
		{Names: []string{"*.example.com"}, Protocols: []string{"h2"}, Pool: "mail"},
		{Plain: true, Pool: "web"},
	}
	secure.Rules = []relay.Rule{
		{Deny: true, Prefix: netip.MustParsePrefix("10.1.0.0/16")},
		{Prefix: netip.MustParsePrefix("10.0.0.0/8")},
		{Not: true, Prefix: netip.MustParsePrefix("192.0.2.0/24")},
	}
	secure.Proxy, secure.Proxies = relay.ProxyRequired, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	secure.TLS = RelayTLS{
		Auto: true, ClientCA: "/etc/tls/ca.pem", ClientNeeded: true, Min: tls.VersionTLS12, Max: tls.VersionTLS13, Protocols: []string{"h2", "http/1.1"},
		Certificates: []RelayCertificate{{Chain: "/etc/tls/a.pem", Key: "/etc/tls/a.key", PassphraseFile: "/etc/tls/pass"}, {Chain: "/etc/tls/both.pem"}},
	}
	plain, mail, vpn := newPool("web"), newPool("mail"), newPool("vpn")
	plain.Remotes = []relay.Remote{
		{Addr: addr("10.0.0.1:8080"), Weight: 2},
		{Host: resolve.Name{Host: "app.internal", Port: 8080}, MaxConns: 100},
		{Addr: addr("[2001:db8::1]:80"), Name: "b"},
		{Addr: addr("unix:/run/app.sock"), Backup: true},
	}
	mail.Remotes = []relay.Remote{{Host: resolve.Name{Host: "example.org", Service: "_imap._tcp"}}}
	mail.Check.Kind, mail.Check.Path, mail.Check.Host, mail.Check.Status = health.HTTPS, "/health", "mail.example.org", []int{200, 204}
	mail.Check.Port, mail.Check.From, mail.EndDown = 8443, netip.MustParseAddr("10.0.0.9"), true
	mail.TLS = RelayRemoteTLS{
		Enabled: true, Name: "mail.example.org", CA: "/etc/tls/ca.pem", Verify: true, Min: tls.VersionTLS13, Protocols: []string{"imap"},
		Certificate: RelayCertificate{Chain: "/etc/tls/client.pem", Key: "/etc/tls/client.key"},
	}
	vpn.Remotes = []relay.Remote{{Addr: addr("sctp://10.0.0.2:9000")}, {Addr: addr("sctp://10.0.0.3:9000")}}
	vpn.Check.Kind, vpn.Check.Send, vpn.Check.Expect = health.Talk, []byte("PING\r\n"), []byte("PONG")
	return []RelayListener{*web, *secure}, []RelayPool{*plain, *mail, *vpn}
}

// What the role gets of the file.
func TestRelayConfig(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	put(t, in("pass"), "open sesame\r\nsecond line\n")
	c := wantEverything()
	c.Relay.Listeners[0].TLS.Certificates[0].PassphraseFile = in("pass")
	got, err := c.RelayConfig()
	if err != nil {
		t.Fatal(err)
	}
	if got.Threads != c.RelayThreads() || got.Threads < 1 || got.Buffer != 16<<10 || !got.Copy || got.Pipes != 1<<20 || got.MaxSessions != 1200 ||
		got.Overload != relay.Reset || got.Retire != 9 || got.Drain != time.Minute || got.Quiet != 2*time.Second || got.Resolve != c.Relay.Resolve {
		t.Errorf("%+v", got)
	}
	web := got.Listeners[0]
	if web.Name != "3.web" || web.TLS == nil || !web.TLS.Auto || !web.TLS.ClientNeeded || web.TLS.Min != tls.VersionTLS11 || web.HalfClose >= 0 || *web.NoDelay {
		t.Errorf("listener: %+v, TLS %+v", web, web.TLS)
	}
	if want := (relay.Certificate{Chain: "/etc/a.pem", Key: "/etc/a.key", Passphrase: "open sesame"}); web.TLS.Certificates[0] != want {
		t.Error("the passphrase is not that of the file, or the files are others")
	}
	if two := got.Pools[0]; two.TLS != nil || two.Queue != 1024 {
		t.Errorf("pool two: %+v", two)
	}
	if p := got.Pools[1]; p.TLS == nil || !p.TLS.NoVerify || p.TLS.Certificate.Passphrase != `a "b\ c` || !p.EndDown || p.Queue >= 0 {
		t.Errorf("pool web: %+v", p)
	}
	put(t, in("pass"), "\n")
	if _, err := c.RelayConfig(); err == nil || !strings.Contains(err.Error(), "the first line of "+in("pass")+" has none") {
		t.Errorf("an empty file: %v", err)
	}
	if err := os.Remove(in("pass")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RelayConfig(); err == nil || !strings.Contains(err.Error(), in("pass")) {
		t.Errorf("no file: %v", err)
	}
}

// TestEverythingCanBeSaid: a field of relay.Config that the file above does not set has no
// key, or the file lacks it.
func TestEverythingCanBeSaid(t *testing.T) {
	c := wantEverything()
	c.Relay.Listeners[0].TLS.Certificates[0] = RelayCertificate{Chain: "a", Key: "b", Passphrase: "c"} // not of a file
	got, err := c.RelayConfig()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{
		"Resolve.IPv4": true, // its opposite is said
		// The relay fills these in.
		"Pools.Check.TLS": true, "Pools.Check.Prelude": true,
	}
	findSaid(reflect.ValueOf(got), "", said)
	for path, yes := range said {
		if !yes {
			t.Errorf("%s is not said", path)
		}
	}
}

// findSaid notes for every field below v whether it is not zero somewhere.
func findSaid(v reflect.Value, path string, said map[string]bool) {
	switch {
	case said[path]:
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct && v.Len() > 0 && v.Type().Elem().PkgPath() != "net/netip":
		for i := range v.Len() {
			findSaid(v.Index(i), path, said)
		}
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		findSaid(v.Elem(), path, said)
	case v.Kind() == reflect.Struct && v.Type().PkgPath() != "net/netip":
		for i := range v.NumField() {
			f := v.Type().Field(i)
			findSaid(v.Field(i), strings.TrimPrefix(path+"."+f.Name, "."), said)
		}
	default:
		said[path] = !v.IsZero()
	}
}

// Without the section there is no relay, whatever else is set.
func TestNoRelay(t *testing.T) {
	for text, want := range map[string]bool{
		"":                    false,
		"relay: {threads: 2}": false,
		"relay: {pools: {a: {remotes: ['127.0.0.1:1']}}}":                                        false,
		"relay: {listeners: {a: {listen: ':1', pool: a}}, pools: {a: {remotes: '127.0.0.1:1'}}}": true,
	} {
		c, err := Parse("a.yaml", []byte(text), Relay)
		if err != nil || c.HasRelay() != want {
			t.Errorf("%s: %v, %v", text, c.HasRelay(), err)
		}
	}
}

// Values of several words are written as they are read.
func TestRelayItems(t *testing.T) {
	for _, c := range []struct {
		list List
		text string
		want string // "" = the same
	}{
		{sockets(new([]relay.Socket)), ":80", "[::]:80"},
		{sockets(new([]relay.Socket)), "  127.0.0.1:0   backlog=5  ", "127.0.0.1:0 backlog=5"},
		{sockets(new([]relay.Socket)), "unix:///run//a/../b", "unix:/run/b"},
		{sockets(new([]relay.Socket)), `unix:/run/"a b" user="x=y z"`, `"unix:/run/a b" user="x=y z"`},
		{sockets(new([]relay.Socket)), `unix:/run/a\b`, ""},
		{sockets(new([]relay.Socket)), "unix:@/a/../b", ""},
		{sockets(new([]relay.Socket)), "unix:@//a", ""},
		{sockets(new([]relay.Socket)), "[fe80::1%eth0]:80 v6only retry=90s", "[fe80::1%eth0]:80 v6only retry=1m30s"},
		{sockets(new([]relay.Socket)), "tcp://0.0.0.0:80", "0.0.0.0:80"},
		{sockets(new([]relay.Socket)), "inherited:web", ""},
		{remotes(new([]relay.Remote)), "tcp://app.example.:80", "app.example.:80"},
		{remotes(new([]relay.Remote)), "[2001:DB8::1]:80 weight=1000000", "[2001:db8::1]:80 weight=1000000"},
		{remotes(new([]relay.Remote)), "srv:_a._sctp.b", ""},
		{remotes(new([]relay.Remote)), "localhost:1 backup max_conns=2", "localhost:1 max_conns=2 backup"},
		{relayRoutes(new([]relay.Route)), "pool=a", ""},
		{relayRoutes(new([]relay.Route)), "pool=a sni=A.example.,*.b alpn=h2", "sni=a.example,*.b alpn=h2 pool=a"},
		{rules(new([]relay.Rule)), "permit  not 10.0.0.1", "permit not 10.0.0.1"},
		{certificates(new([]RelayCertificate)), `"a b" key=k passphrase=x=y`, ""},
		{certificates(new([]RelayCertificate)), `a passphrase="\" \\" key="x y"`, `a key="x y" passphrase="\" \\"`},
	} {
		if c.want == "" {
			c.want = c.text
		}
		if err := c.list.Add(c.text); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got := c.list.Items()[0]
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
		if c.list.Clear(); c.list.Add(got) != nil || c.list.Items()[0] != got {
			t.Errorf("%s is read as %v", got, c.list.Items())
		}
	}
}
