package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"sluice/internal/flow"
	"sluice/internal/relay"
)

// loadTcprelay reads a text as t.cfg.
func loadTcprelay(text string) (Tcprelay, error) {
	return LoadTcprelay(TcprelaySource{Name: "t.cfg", Text: []byte(text)})
}

// tcprelayOf is a text that has to be right, and what it says; that it can be told to another
// process is looked at besides.
func tcprelayOf(t *testing.T, text string) Tcprelay {
	t.Helper()
	got, err := loadTcprelay(text)
	if err != nil {
		t.Fatalf("%s\n%s", text, err)
	}
	roundTrip(t, got)
	return got
}

// nobody has addresses.
func nobody(string) ([]netip.Addr, error) { return nil, nil }

// roundTrip wants that the configuration is the same when it was written and read.
func roundTrip(t *testing.T, got Tcprelay) {
	t.Helper()
	want, err := got.Config.RelayConfig()
	if err != nil {
		t.Fatal(err)
	}
	yaml := got.Config.YAML()
	again, err := Parse("settings.yaml", yaml, Relay)
	if err != nil {
		t.Fatalf("%s\n%s", yaml, err)
	}
	read, err := again.RelayConfig()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, want) || !reflect.DeepEqual(again.Log, got.Config.Log) || again.Relay.Admin != got.Config.Relay.Admin {
		t.Fatalf("%s\n%+v, want\n%+v", yaml, read, want)
	}
}

// sections are the two of them.
func sections(spawnd, worker string) string {
	return "id = spawnd {\n" + spawnd + "\n}\nid = tcprelay {\n" + worker + "\n}\n"
}

const oneRemote = "remote = { address = 192.0.2.1 port = 80 }"

// socketsOf is what the listeners open, as the native configuration writes it.
func socketsOf(c *Config) string {
	var all []string
	for _, l := range c.Relay.Listeners {
		one := []string{}
		for _, s := range l.Addrs {
			one = append(one, writeSocket(s))
		}
		all = append(all, l.Name+" "+strings.Join(one, ", "))
	}
	return strings.Join(all, "; ")
}

// Acceptance 20 and 22: the file of the documentation, whose sockets can stand beside each
// other, and which has one key for all.
func TestTcprelaySeed(t *testing.T) {
	chain, _, locked := keyFiles(t)
	text := `#!/usr/local/sbin/spawnd
id = spawnd {
	listen = { port = 2222 }
	listen = { address = ::0 port = 2222 }
	listen = { ::0 port = 2224 }
	listen = { port = 2225 tls = yes }
	spawn { users max = 4000 users min = 10 servers min = 1 servers max = 20 }
}
id = tcprelay {
	remote = { address = 169.254.1.2 port = 22 }
	ssl cert = ` + join(t, chain, locked) + `
	ssl passphrase = 12345
}`
	got, err := TcprelaySource{Name: "t.cfg", Text: []byte(text)}.load(nobody, true)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, got)
	const want = "tcp-2222 0.0.0.0:2222; tcp-2222-2 [::]:2222 v6only=true; tcp-2224 [::]:2224; tcp-2225 [::]:2225"
	c := &got.Config
	if s := strings.ReplaceAll(socketsOf(c), " v6only ", " v6only=true "); s != want && s != strings.ReplaceAll(want, "v6only=true", "v6only") {
		t.Errorf("%s\nwant\n%s", s, want)
	}
	if c.Relay.MaxSessions != 80_000 || len(got.Warnings) > 0 {
		t.Errorf("max %d, warnings %v", c.Relay.MaxSessions, got.Warnings)
	}
	if l := c.Relay.Listeners; l[0].TLS.said() || !l[3].TLS.said() || l[3].TLS.Certificates[0].Passphrase != "12345" {
		t.Errorf("%+v", l)
	}
}

// What holds where nothing is said.
func TestTcprelayDefaults(t *testing.T) {
	got := tcprelayOf(t, sections("listen = { address = 127.0.0.1 port = 2222 } background = no", "remote = { address = 127.0.0.1 port = 22 }"))
	c, err := got.Config.RelayConfig()
	if err != nil {
		t.Fatal(err)
	}
	native := Default().Relay
	if c.MaxSessions != 480 || c.Overload != relay.Queue || c.Retire != 0 || c.Drain != native.Drain || c.Threads != min(8, runtime.NumCPU()) {
		t.Errorf("%+v", c)
	}
	l, p := c.Listeners[0], c.Pools[0]
	if l.Idle != 0 || l.NoDelay != nil || l.HalfClose != 5*time.Minute || l.KeepAlive != (flow.KeepAlive{}) || l.Pool != "default" || l.Rules != nil || l.TLS != nil || l.Proxy != relay.ProxyOff {
		t.Errorf("%+v", l)
	}
	want := relay.Remote{Addr: flow.Addr{IP: netip.MustParseAddrPort("127.0.0.1:22")}, Weight: 1}
	if p.Name != "default" || !reflect.DeepEqual(p.Remotes, []relay.Remote{want}) || p.Rebalance != 0 || p.Eject.For != time.Second || p.Sticky.Period != 0 {
		t.Errorf("%+v", p)
	}
	got.Config = Config{}
	if d := (Tcprelay{Facility: "UUCP", Severity: "INFO"}); !reflect.DeepEqual(got, d) {
		t.Errorf("%+v", got)
	}
}

func TestTcprelayProcess(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	got := tcprelayOf(t, "setenv A = b\n"+sections(
		"background = yes pidfile = /run/x.pid syslog ident = one syslog facility = DAEMON debug = ALL\nspawn { userid = "+me.Username+" groupid = 12 users max = 5 instances max = 2 }",
		oneRemote+" syslog ident = two syslog severity = ERR",
	))
	level := got.Config.Log.Level
	got.Config = Config{}
	want := Tcprelay{Background: true, PIDFile: "/run/x.pid", User: me.Username, Group: "12", Ident: "two", Facility: "DAEMON", Severity: "ERR", Env: []string{"A=b"}}
	if !reflect.DeepEqual(got, want) || level != slog.LevelDebug {
		t.Errorf("%+v, want\n%+v; level %s", got, want, level)
	}
}

// One process has no limits, as the original's.
func TestTcprelaySingle(t *testing.T) {
	spawn := "overload = close spawn { users max = 5 instances max = 2 }"
	worker := oneRemote + " retire limit = 3"
	many := tcprelayOf(t, sections(spawn, worker))
	if r := many.Config.Relay; r.MaxSessions != 10 || r.Retire != 3 || r.Overload != relay.Close || many.Single {
		t.Errorf("%+v", r)
	}
	one := tcprelayOf(t, sections(spawn+" single process = yes", worker))
	if r := one.Config.Relay; r.MaxSessions != 0 || r.Retire != 0 || r.Threads != 1 || !one.Single {
		t.Errorf("%+v", r)
	}
	flag, err := LoadTcprelay(TcprelaySource{Name: "t.cfg", Text: []byte(sections(spawn, worker)), Single: true})
	if err != nil || !flag.Single || flag.Config.Relay.MaxSessions != 0 {
		t.Errorf("%+v, %v", flag, err)
	}
}

func TestTcprelayListeners(t *testing.T) {
	chain, key, _ := keyFiles(t)
	got := tcprelayOf(t, sections(`
		listen = { address = 127.0.0.1 port = http backlog = 9 vrf = red dscp = 0x38 bind retry delay = 3 haproxy = yes tcp keepalive idle = 5 }
		listen = { address = "127.0.0.1:81" tls = auto }
		listen = { address = 127.0.0.1 port = 82 tls = TLSv1.3 }
		listen = { address = 127.0.0.1 port = 83 tls = TLSv1.2,TLSv1.3 protocol = SCTP }
		listen = { path = /run/x/../a.sock mode = 660 userid = 12 groupid = 13 }
		bind retry delay = 7 tcp keepalive count = 2 tcp keepalive idle = 60
		permit 127.0.0.1/8 deny not ::ffff:192.0.2.0/120 permit 192.0.2.0/255.255.255.0 deny ::1`,
		oneRemote+" idle timeout = 2 tls cert-file = "+chain+" tls key-file = "+key))
	const want = "tcp-80 127.0.0.1:80 backlog=9 device=red retry=3s; tcp-81 127.0.0.1:81 retry=7s; tcp-82 127.0.0.1:82 retry=7s; " +
		"sctp-83 sctp://127.0.0.1:83 retry=7s; unix unix:/run/a.sock mode=0660 user=12 group=13 retry=7s"
	if s := socketsOf(&got.Config); s != want {
		t.Errorf("%s\nwant\n%s", s, want)
	}
	l := got.Config.Relay.Listeners
	if l[0].Proxy != relay.ProxyRequired || l[1].Proxy != relay.ProxyOff || l[0].DSCP != 56 || l[0].Idle != 2*time.Second || l[0].Connect != 2*time.Second {
		t.Errorf("%+v", l[0])
	}
	if l[0].KeepAlive != (flow.KeepAlive{Idle: 5 * time.Second, Count: 2}) || l[1].KeepAlive != (flow.KeepAlive{Idle: time.Minute, Count: 2}) {
		t.Errorf("%+v %+v", l[0].KeepAlive, l[1].KeepAlive)
	}
	if !l[1].TLS.Auto || l[2].TLS.Auto || l[2].TLS.Min != tls.VersionTLS13 || l[2].TLS.Max != tls.VersionTLS13 || l[3].TLS.Min != tls.VersionTLS12 || l[3].TLS.Max != tls.VersionTLS13 {
		t.Errorf("%+v %+v %+v", l[1].TLS, l[2].TLS, l[3].TLS)
	}
	var rules []string
	for _, r := range l[4].Rules {
		rules = append(rules, writeRule(r))
	}
	if s := strings.Join(rules, ", "); s != "permit 127.0.0.0/8, deny not 192.0.2.0/24, permit 192.0.2.0/24, deny ::1" {
		t.Error(s)
	}
}

// Words with blanks and quotes in them reach the other process as they are.
func TestTcprelayStrangeWords(t *testing.T) {
	chain, _, locked := keyFiles(t)
	for _, word := range []string{`a b`, `"a" 'b'`, `a\\b`, ` `, `#`, `a=b, c`, `${NONE}`, `ä`, `pass passphrase=x`} {
		quote := `"` + strings.ReplaceAll(word, `"`, `\"`) + `"`
		got := tcprelayOf(t, sections(
			`listen { path = "/run/`+quote[1:]+` } listen { port = 1 vrf = `+quote+` }`,
			`remote = { address = "unix:/run/`+quote[1:]+` }`,
		))
		want := strings.ReplaceAll(word, `\\`, `\`)
		l := got.Config.Relay.Listeners
		if p := l[0].Addrs[0].Addr.Path; p != "/run/"+want || l[1].Addrs[0].Device != want || got.Config.Relay.Pools[0].Remotes[0].Addr.Path != p {
			t.Errorf("%q: %+v", word, got.Config.Relay)
		}
		_, err := loadTcprelay(sections("", oneRemote+" tls cert-file = "+chain+" tls key-file = "+locked+" tls passphrase = "+quote))
		if err == nil || len(want) > 2 && strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", word, err)
		}
	}
}

// Sockets of one port stand beside each other.
func TestTcprelayWildcards(t *testing.T) {
	for _, c := range []struct {
		listens string
		ipv6    bool
		want    string
	}{
		{"::1 -", true, "[::1]:1 [::]:1"},
		{"-", true, "[::]:1"},
		{"-", false, "0.0.0.0:1"},
		{"- ::", true, "0.0.0.0:1 [::]:1 v6only"},
		{":: -", true, "[::]:1 v6only 0.0.0.0:1"},
		{"- 0.0.0.0", true, "[::]:1 v6only 0.0.0.0:1"},
		{":: 0.0.0.0", true, "[::]:1 v6only 0.0.0.0:1"},
		{"0.0.0.0 192.0.2.1", true, "0.0.0.0:1 192.0.2.1:1"},
		{":: 127.0.0.1", true, "[::]:1 127.0.0.1:1"},
	} {
		var sockets []wildcard
		for _, a := range strings.Fields(c.listens) {
			w := wildcard{&relay.Socket{Addr: flow.Addr{IP: netip.MustParseAddrPort("[::]:1")}}, true}
			if a != "-" {
				w.Addr.IP, w.implied = netip.AddrPortFrom(netip.MustParseAddr(a), 1), false
			}
			sockets = append(sockets, w)
		}
		settle(sockets, c.ipv6)
		var got []string
		for _, s := range sockets {
			got = append(got, strings.TrimSuffix(writeSocket(*s.Socket), "=true"))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.listens, s, c.want)
		}
	}
}

func TestTcprelayHost(t *testing.T) {
	got := tcprelayOf(t, sections("listen { address = localhost port = 2222 }", oneRemote))
	addrs := got.Config.Relay.Listeners[0].Addrs
	if len(addrs) == 0 {
		t.Fatal("localhost has no address")
	}
	for _, a := range addrs {
		if !a.Addr.IP.Addr().IsLoopback() || a.Addr.IP.Port() != 2222 {
			t.Errorf("%s", a.Addr)
		}
	}
}

func TestTcprelayRemotes(t *testing.T) {
	got := tcprelayOf(t, sections("sticky cache period = 60 listen { port = 1 sticky cache size = 10 }", `
		remote = { address = 192.0.2.1 port = ssh weight = 0 }
		remote = { address = 192.0.2.1:23 port = 80 weight = 3 }
		remote = { address = "[2001:db8::1]:24" }
		remote = { address = 2001:db8::2 port = 25 protocol = SCTP }
		remote = { address = unix:/run/app.sock }
		remote = { address = /run/app.sock weight = -5 }
		remote = { address = inet:192.0.2.3 port = 80 } remote = { address = inet6:::2 port = 80 }
		rebalance = 10`))
	p := got.Config.Relay.Pools[0]
	var all []string
	for _, r := range p.Remotes {
		all = append(all, writeRemote(r))
	}
	const want = "192.0.2.1:22 weight=1; 192.0.2.1:23 weight=3; [2001:db8::1]:24 weight=1; sctp://[2001:db8::2]:25 weight=1; " +
		"unix:/run/app.sock weight=1; unix:/run/app.sock weight=1 name=remote-6; 192.0.2.3:80 weight=1; [::2]:80 weight=1"
	if s := strings.Join(all, "; "); s != want {
		t.Errorf("%s\nwant\n%s", s, want)
	}
	if p.Rebalance != 10 || p.Sticky.Period != time.Minute || p.Sticky.Size != 10 || got.Config.Relay.Listeners[0].Tries != 8 {
		t.Errorf("%+v", p)
	}
	got = tcprelayOf(t, sections("", oneRemote+" local address = 192.0.2.9"))
	if a := got.Config.Relay.Pools[0].From; a != netip.MustParseAddr("192.0.2.9") {
		t.Error(a)
	}
}

// Acceptance 43: the header for remotes is one for all of them.
func TestTcprelayProxy(t *testing.T) {
	for said, want := range map[string]relay.ProxyOut{"": relay.ProxyNone, "proxy protocol = v1": relay.ProxyV1, "proxy protocol = v2": relay.ProxyV2} {
		got := tcprelayOf(t, sections("", "remote = { address = 192.0.2.1 port = 80 "+said+" } remote = { "+said+" address = unix:/run/app.sock }"))
		if p := got.Config.Relay.Pools[0].Proxy; p != want {
			t.Errorf("%q: %v, want %v", said, p, want)
		}
	}
}

// Acceptance 21 and 22, as far as the meaning goes; the grammar has tests of its own.
func TestTcprelayErrors(t *testing.T) {
	chain, key, locked := keyFiles(t)
	_, other, _ := keyFiles(t)
	for _, c := range []struct{ spawnd, worker, want string }{
		{"", "", "t.cfg:4: No remote services defined!"},
		{"", "remote = { port = 80 }", "t.cfg:5: a remote without an address"},
		{"", "remote = { address = 192.0.2.1 }", "t.cfg:5: a remote without a port"},
		{"", "remote = { address = 192.0.2.1\nport = nosuchservice }", "t.cfg:6: Expected an service or port, but got 'nosuchservice'"},
		{"", "remote = { address = 192.0.2.1 port = 70000 }", "t.cfg:5: Expected an service or port, but got '70000'"},
		{"", "remote = { address = 192.0.2.1:x }", "t.cfg:5: Expected an service or port, but got 'x'"},
		{"", "remote = { address = app.example.com port = 80 }", "t.cfg:5: Expected an IP address, but got 'app.example.com'"},
		{"", oneRemote + " local address = here", "t.cfg:5: Expected an IP address, but got 'here'"},
		{"", oneRemote + " local address = ::1", "192.0.2.1:80 cannot be reached from ::1"},
		{"", oneRemote + " rebalance = 2000000000", "t.cfg:5: expected an integer from 0 to 1000000000, but got '2000000000'"},
		{"", oneRemote + " idle timeout = 2000000000", "t.cfg:5: expected an integer from 0 to 31536000, but got '2000000000'"},
		{"", "remote = { address = 192.0.2.1 port = 80 weight = 2m }", "t.cfg:5: expected an integer from 1 to 1000000, but got '2097152'"},
		{"", "remote = { address = 192.0.2.1 port = 80 proxy protocol = v1 }\nremote = { address = 192.0.2.2 port = 80\nproxy protocol = v2 }", "t.cfg:7: proxy protocol: want the same in all remotes, or in none"},
		{"", "remote = { address = 192.0.2.1 port = 80 proxy protocol = v1 }\n" + oneRemote, "t.cfg:6: proxy protocol: want the same in all remotes, or in none"},
		{"", oneRemote + "\nremote = { address = 192.0.2.2 port = 80 proxy protocol = v1 }", "t.cfg:6: proxy protocol: want the same in all remotes, or in none"},
		{"spawn { userid = nosuchuser }", oneRemote, "t.cfg:2: UNIX user 'nosuchuser' not found."},
		{"spawn { groupid = nosuchgroup }", oneRemote, "t.cfg:2: UNIX group 'nosuchgroup' not found."},
		{"spawn { users max = 0 }", oneRemote, "t.cfg:2: expected an integer from 1 to"},
		{"spawn { users max = 1000000 instances max = 1000000 }", oneRemote, "t.cfg:2: users max times instances max"},
		{"permit 192.0.2.0/33", oneRemote, "t.cfg:2: Expected an IP address or network in CIDR notation, but got '192.0.2.0/33'."},
		{"permit 192.0.2.0/255.0.255.0", oneRemote, "t.cfg:2: Expected an IP address or network in CIDR notation"},
		{"deny everybody", oneRemote, "t.cfg:2: Expected an IP address or network in CIDR notation, but got 'everybody'."},
		{"listen { port = nosuchservice }", oneRemote, "t.cfg:2: Expected an service or port, but got 'nosuchservice'"},
		{"listen { address = 127.0.0.1 }", oneRemote, "t.cfg:2: a listen without a port"},
		{"listen { address = no..host port = 1 }", oneRemote, "t.cfg:2: no..host: no address of this name is known"},
		{"listen { port = 1 dscp = 64 }", oneRemote, "t.cfg:2: expected an integer from 0 to 63, but got '64'"},
		{"listen { port = 1 tcp keepalive idle = 32768 }", oneRemote, "t.cfg:2: expected an integer from 0 to 32767, but got '32768'"},
		{"tcp keepalive interval = 32768 listen { port = 1 }", oneRemote, "t.cfg:2: expected an integer from 0 to 32767, but got '32768'"},
		{"listen { path = /run/x mode = 0 }", oneRemote, "t.cfg:2: mode = 0"},
		{"listen { path = /run/x userid = nosuchuser }", oneRemote, "t.cfg:2: UNIX user 'nosuchuser' not found."},
		{"listen { port = 1 }\nlisten { port = 1 }", oneRemote, "t.cfg:3: relay.listeners.tcp-1-2.listen"},
		{"listen { port = 1 tls = yes }", oneRemote, "t.cfg:2: tls without a certificate: want tls cert-file = FILE"},
		{"", oneRemote + " tls cert-file = /nowhere/x.pem", "t.cfg:5: certificate and key /nowhere/x.pem: open /nowhere/x.pem: no such file or directory"},
		{"", oneRemote + " tls cert-file = " + chain, "t.cfg:5: certificate and key " + chain},
		{"", oneRemote + " tls cert-file = " + chain + " tls key-file = " + other, "t.cfg:5: certificate " + chain + " with key " + other},
		{"", oneRemote + " tls cert-file = " + chain + " tls key-file = " + locked + " tls passphrase = nonsense", "t.cfg:5: certificate " + chain + " with key " + locked},
		{"", oneRemote + " tls cert-file = " + chain + " tls key-file = " + key, ""},
	} {
		_, err := loadTcprelay(sections(c.spawnd, c.worker))
		if c.want == "" && err == nil {
			continue
		}
		var bad Errors
		if !errors.As(err, &bad) || !strings.Contains(bad[0].Error(), c.want) || strings.Contains(fmt.Sprint(err), "\n") || strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%s %s\n%v, want\n%s", c.spawnd, c.worker, err, c.want)
		}
	}
}

// All mistakes are found, those of the grammar excepted.
func TestTcprelayAllErrors(t *testing.T) {
	got, err := loadTcprelay(sections("permit x\nlisten { port = nosuchservice realm = a }", "remote = { port = 80 }"))
	var bad Errors
	if !errors.As(err, &bad) || len(bad) != 3 || bad[0].Line != 2 || bad[1].Line != 3 || bad[2].Line != 6 || len(got.Warnings) != 1 {
		t.Errorf("%v, warnings %v", err, got.Warnings)
	}
}

func TestTcprelayWarnings(t *testing.T) {
	got := tcprelayOf(t, sections("listen { port = 1 mode = 660 sticky cache period = 3 } listen { port = 2 userid = 1 sticky cache period = 4 }", oneRemote))
	if len(got.Warnings) != 2 || got.Config.Relay.Pools[0].Sticky.Period != 4*time.Second {
		t.Errorf("%v %+v", got.Warnings, got.Config.Relay.Pools)
	}
}

// inetd leaves its socket as the standard input. Rules hold there, too.
func TestTcprelayInetd(t *testing.T) {
	for _, text := range []string{
		"", "listen { }", "listen { port = 1 haproxy = yes }", "listen { path = /run/x mode = 660 haproxy = yes } listen { port = 2 }",
	} {
		text = sections(text+" background = yes deny ::1", oneRemote+" idle timeout = 3")
		got, err := TcprelaySource{Name: "t.cfg", Text: []byte(text), Inetd: true}.load(nobody, true)
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, got)
		if s := socketsOf(&got.Config); s != "stdin inherited:stdin" || got.Background {
			t.Errorf("%s: %s, background %v", text, s, got.Background)
		}
		l := got.Config.Relay.Listeners[0]
		if (l.Proxy == relay.ProxyRequired) != strings.Contains(text, "haproxy") || len(l.Rules) != 1 || l.Idle != 3*time.Second {
			t.Errorf("%s: %+v", text, l)
		}
	}
	got := tcprelayOf(t, sections("listen { }", oneRemote))
	if s := socketsOf(&got.Config); s != "stdin inherited:stdin" {
		t.Error(s)
	}
}

func TestTcprelaySource(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.cfg": oneRemote, "a.cfg": "rebalance = 4", "far": "id = it { include = \"$CONFDIR/*.cfg\" }"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := LoadTcprelay(TcprelaySource{
		Name: filepath.Join(dir, "far"), Text: []byte("id = he { } id = it { include = \"$CONFDIR/*.cfg\" include /nowhere }"),
		SpawndID: "he", WorkerID: "it",
	})
	if err != nil || got.Config.Relay.Pools[0].Rebalance != 4 || len(got.Warnings) != 1 {
		t.Errorf("%+v %v", got, err)
	}
	_, err = loadTcprelay("include = /dev/zero\n" + sections("", oneRemote))
	if err != nil {
		t.Errorf("a file without an end: %v", err)
	}
	web := func(path string) ([]byte, error) { return []byte(oneRemote), nil }
	got, err = LoadTcprelay(TcprelaySource{Name: "http://h/t.cfg", Text: []byte("id = spawnd { } id = tcprelay { include = http://h/x }"), Read: web})
	if err != nil || len(got.Config.Relay.Pools[0].Remotes) != 1 {
		t.Errorf("%+v %v", got, err)
	}
}

// What is taken can be told to another process.
func FuzzTcprelay(f *testing.F) {
	f.Add("listen = { address = ::0 port = 2222 haproxy = yes } listen { 192.0.2.1 port = 3 }", oneRemote+" idle timeout = 1k")
	f.Add("listen { path = '/run/a b' mode = 777 } permit not 10.0.0.1/8", "remote = { address = /a port = 1 proxy protocol = v1 } remote = { address = 'unix:/a b' proxy protocol = v1 }")
	f.Add("sticky cache period = 1 spawn { users max = 3 } tcp keepalive idle = 3", oneRemote+" rebalance = 3 retire limit = 3 local address = fe80::1%eth0")
	f.Fuzz(func(t *testing.T, first, second string) {
		if strings.Contains(first, "include") || strings.Contains(second, "include") || strings.Contains(second, "cert") || strings.Contains(first, "config") {
			t.Skip("other files are not of interest")
		}
		lookup := func(string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("::ffff:192.0.2.9"), netip.MustParseAddr("2001:db8::1")}, nil
		}
		got, err := TcprelaySource{Name: "t.cfg", Text: []byte(sections(first, second))}.load(lookup, true)
		var bad Errors
		if err != nil && !errors.As(err, &bad) {
			t.Errorf("an error without a place: %v", err)
		}
		if err == nil {
			roundTrip(t, got)
		}
	})
}
