package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/internal/flow"
	"sluice/internal/health"
	"sluice/internal/relay"
)

const passphrases = `relay:
  listeners: {web: {listen: ':80', pool: app, tls: {certificates: ['a.pem key=a.key passphrase="open sesame"', 'b.pem passphrase_file=/etc/pass']}}}
  pools: {app: {remotes: '10.0.0.1:80', tls: {enabled: true, certificate: 'c.pem passphrase=sesame'}}}
`

// A passphrase reaches the relay, and the process that reads what YAML writes, but nobody else.
func TestPassphrasesAreMasked(t *testing.T) {
	c, err := Parse("a.yaml", []byte(passphrases), Relay)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Relay.Listeners[0].TLS.Certificates[0].Passphrase; got != "open sesame" {
		t.Error("the passphrase is not read")
	}
	again, err := Parse("b.yaml", c.YAML(), Relay)
	if err != nil {
		t.Fatal(err)
	}
	if diff := equal(c, again); diff != "" {
		t.Error("a child does not get it")
	}
	seen := ""
	for _, l := range c.Lines() {
		seen += l.Value + "\n"
	}
	if _, err := c.RelayConfig(); err != nil { // of the file, whose place is the line with all of it
		seen += err.Error()
	}
	errs, _ := c.CheckFiles()
	for _, e := range append(errs, c.relayWarnings()...) {
		seen += e.Error()
	}
	for name, text := range map[string]string{
		"a.yaml": strings.Replace(passphrases, "key=", "kye=", 1),
		"b.yaml": strings.Replace(passphrases, "passphrase=", "passphrse=", 2),
		"c.yaml": strings.ReplaceAll(passphrases, "pool: app", "pool: ap"),
		"d.yaml": strings.Replace(passphrases, "]}}}", "]}}", 1),
		"e.yaml": strings.Replace(passphrases, `"open sesame"`, "open sesame", 1),
		"a.conf": `relay : { pools : { app : { tls : { certificate = "a.pem passphrase=\"open sesame\" x"; }; }; }; };`,
		"b.conf": `relay : { pools : { app : { tls : { passphrase = "open sesame"; }; }; }; ;`,
	} {
		_, err := Parse(name, []byte(text), Relay)
		if err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		seen += err.Error() + "\n"
	}
	if strings.Contains(seen, "sesame") || !strings.Contains(seen, "passphrase=-") || !strings.Contains(seen, "passphrase_file=/etc/pass") {
		t.Errorf("what is shown:\n%s", seen)
	}
}

func TestRelayWarnings(t *testing.T) {
	text := "relay:\n  listeners:\n    web: {listen: ':80', pool: app, routes: [sni=a.example pool=app pass]}\n  pools:\n    app: {remotes: 'a:80'}\n    old: {remotes: 'b:80'}\n"
	c, err := Parse("a.yaml", []byte(text), Run)
	if err != nil {
		t.Fatal(err)
	}
	want := `a.yaml:3:37: relay.listeners.web.routes: "sni=a.example pool=app pass": nothing is decrypted here, so pass changes nothing
a.yaml:6:5: relay.pools.old: no listener sends anybody there`
	if got := warnings(c); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Who changes what of the relay learns when it holds.
func TestRelayDiff(t *testing.T) {
	const pools = "  pools: {a: {remotes: 'a:80'}, b: {remotes: 'b:80'}}\n"
	old, err := Parse("a.yaml", []byte("relay:\n  listeners: {x: {listen: ':1', pool: a}, y: {listen: ':2', pool: b}}\n"+pools), Run)
	if err != nil {
		t.Fatal(err)
	}
	now, err := Parse("a.yaml", []byte("relay:\n  threads: 2\n  drain: 1s\n  listeners: {x: {listen: ':1', pool: b}, z: {listen: ':2', pool: b}}\n"+pools), Run)
	if err != nil {
		t.Fatal(err)
	}
	atOnce, later := Diff(old, now)
	if want := []string{"relay.drain", "relay.listeners.x", "relay.listeners.z", "relay.listeners.y"}; !slices.Equal(atOnce, want) {
		t.Errorf("at once %v, want %v", atOnce, want)
	}
	if !slices.Equal(later, []string{"relay.threads"}) {
		t.Errorf("after a restart %v", later)
	}
}

// What others than Parse have filled in is checked as a file is.
func TestRelayByHand(t *testing.T) {
	c := Default()
	l, err := c.Relay.AddListener("web")
	if err != nil {
		t.Fatal(err)
	}
	l.Pool, l.Addrs = "app", []relay.Socket{{Addr: addr(":80")}}
	p, err := c.Relay.AddPool("app")
	if err != nil {
		t.Fatal(err)
	}
	p.Remotes = []relay.Remote{{Addr: addr("10.0.0.1:80")}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(c *Config, l *RelayListener, p *RelayPool){
		"relay.threads: bad number \"-1\"":    func(c *Config, _ *RelayListener, _ *RelayPool) { c.Relay.Threads = -1 },
		"relay.listeners.web.hello: bad time": func(_ *Config, l *RelayListener, _ *RelayPool) { l.Hello = 0 },
		"relay.listeners.web.listen: it has characters": func(_ *Config, l *RelayListener, _ *RelayPool) {
			l.Addrs[0] = relay.Socket{Addr: addr("unix:/a"), User: "a\nb"}
		},
		"relay.listeners.web.tls.certificates: bad cert": func(_ *Config, l *RelayListener, _ *RelayPool) {
			l.TLS.Certificates = []RelayCertificate{{Chain: "a", Passphrase: "\n"}}
		},
		"relay.pools.app.remotes: 10.0.0.1:80: weight":                          func(_ *Config, _ *RelayListener, p *RelayPool) { p.Remotes[0].Weight = maxWeight + 1 },
		"relay.pools.app.check.timeout: bad time":                               func(_ *Config, _ *RelayListener, p *RelayPool) { p.Check.Timeout = time.Microsecond },
		"relay.pools: bad name of a pool \"app\\n\"":                            func(_ *Config, _ *RelayListener, p *RelayPool) { p.Name = "app\n" },
		"relay.pools.app.check.path: it is of use with":                         func(_ *Config, _ *RelayListener, p *RelayPool) { p.Check.Path = "/" },
		"relay.listeners.web: it listens nowhere":                               func(_ *Config, l *RelayListener, _ *RelayPool) { l.Addrs = nil },
		"relay.pools.app: there is another of this name":                        func(c *Config, _ *RelayListener, p *RelayPool) { c.Relay.Pools = append(c.Relay.Pools, *p) },
		"relay.listeners.web.dscp: bad number \"64\": want ":                    func(_ *Config, l *RelayListener, _ *RelayPool) { l.DSCP = 64 },
		"relay.listeners.web.keepalive.idle: bad time \"9h6m8s\": want 9h6m7s ": func(_ *Config, l *RelayListener, _ *RelayPool) { l.KeepAlive.Idle = maxKeepAlive + time.Second },
		"relay.listeners.web.keepalive.interval: bad":                           func(_ *Config, l *RelayListener, _ *RelayPool) { l.KeepAlive.Interval = maxKeepAlive + time.Second },
	} {
		bad := c
		bad.Relay.Listeners, bad.Relay.Pools = slices.Clone(c.Relay.Listeners), slices.Clone(c.Relay.Pools)
		l, p := &bad.Relay.Listeners[0], &bad.Relay.Pools[0]
		l.Addrs, p.Remotes = slices.Clone(l.Addrs), slices.Clone(p.Remotes)
		spoil(&bad, l, p)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
	if err := c.Validate(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := c.Relay.AddListener("a b"); err == nil {
		t.Error("a name with a blank is taken")
	}
	if _, err := c.Relay.AddPool(""); err == nil {
		t.Error("a pool without a name is taken")
	}
}

// The kinds of checks are in the order of their words.
func TestChoices(t *testing.T) {
	p := newPool("")
	for text, want := range map[string]health.Kind{"off": health.Off, "tcp": health.TCP, "tls": health.TLS, "http": health.HTTP, "https": health.HTTPS, "talk": health.Talk} {
		kind, _ := p.settings().find("check.type")
		if err := kind.value.Set(text); err != nil || p.Check.Kind != want || kind.value.String() != text {
			t.Errorf("%s: %d, %v", text, p.Check.Kind, err)
		}
	}
}

func TestRelayFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	chain, key := selfSigned(t)
	put(t, in("both.pem"), chain+key)
	put(t, in("chain.pem"), chain)
	put(t, in("key.pem"), key)
	put(t, in("no.pem"), "nothing\n")
	text := func(certificate, clientCA, ca, dir string) []byte {
		return []byte("relay:\n  session_log: {file: " + in(dir+"log") + "}\n  listeners:\n    web: {listen: 'unix:" + in(dir+"socket") +
			"', pool: app, tls: {certificates: '" + certificate + "', client_ca: " + clientCA + "}}\n  pools:\n    app: {remotes: 'a:80', tls: {enabled: true, ca: " + ca + "}}\n")
	}
	for _, certificate := range []string{in("both.pem"), in("chain.pem") + " key=" + in("key.pem")} {
		c, err := Parse("a.yaml", text(certificate, in("chain.pem"), in("chain.pem"), ""), Relay)
		if err != nil {
			t.Fatal(err)
		}
		if errs, _ := c.CheckFiles(); len(errs) > 0 {
			t.Errorf("%s: %v", certificate, errs)
		}
	}
	for _, c := range []struct{ certificate, clientCA, ca, dir, want string }{
		{in("chain.pem"), "", "", "", "a.yaml:4:"},
		{in("none.pem"), "", "", "", in("none.pem")},
		{in("both.pem") + " passphrase_file=" + in("none"), "", "", "", in("none")},
		{in("both.pem"), in("no.pem"), "", "", in("no.pem")},
		{in("both.pem"), "", in("no.pem"), "", in("no.pem")},
		{in("both.pem"), "", "", "none/", "relay.session_log.file"},
	} {
		conf, err := Parse("a.yaml", text(c.certificate, "'"+c.clientCA+"'", "'"+c.ca+"'", c.dir), Relay)
		if err != nil {
			t.Fatal(err)
		}
		errs, _ := conf.CheckFiles()
		if len(errs) == 0 || !strings.Contains(errs[0].Error(), c.want) {
			t.Errorf("%+v: %v", c, errs)
		}
	}
	c, err := Parse("a.yaml", text(in("chain.pem")+" key="+in("key.pem"), "''", "''", ""), Relay)
	if err != nil {
		t.Fatal(err)
	}
	if w := warnings(c); w != "" {
		t.Errorf("mode 0600: %s", w)
	}
	if err := os.Chmod(in("key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if w := warnings(c); !strings.Contains(w, "everybody may read "+in("key.pem")) {
		t.Errorf("mode 0644: %s", w)
	}
}

// selfSigned makes a certificate and its key, both PEM.
func selfSigned(t *testing.T) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"a.example"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<37, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", secret)
}

// Whatever may be said of a relay is written so that it is read again.
func TestRelayRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Default()
		l, p := newListener("web"), newPool("app")
		l.Pool = "app"
		l.Addrs = rapid.SliceOfN(rapid.Custom(anySocket), 1, 3).Draw(t, "listen")
		l.Rate = rapid.Float64Range(1e-6, 1e9).Draw(t, "rate")
		l.HalfClose = rapid.SampledFrom([]time.Duration{-1, time.Millisecond, time.Hour}).Draw(t, "half close")
		l.TLS.Certificates = rapid.SliceOfN(rapid.Custom(anyCertificate), 0, 2).Draw(t, "certificates")
		p.Remotes = []relay.Remote{{Addr: addr("10.0.0.1:80"), Weight: rapid.IntRange(0, maxWeight).Draw(t, "weight"), Backup: rapid.Bool().Draw(t, "backup")}}
		p.Check.Kind = health.Talk
		p.Check.Send = rapid.SliceOf(rapid.Byte()).Draw(t, "send")
		p.Check.Expect = rapid.SliceOf(rapid.Byte()).Draw(t, "expect")
		c.Relay.Listeners, c.Relay.Pools = []RelayListener{*l}, []RelayPool{*p}
		if c.Validate() != nil {
			t.Skip("the sockets cannot stand beside each other")
		}
		again, err := Parse("again", c.YAML(), Relay)
		if err != nil {
			t.Fatalf("%v\n%s", err, c.YAML())
		}
		if diff := equal(c, again); diff != "" {
			t.Fatalf("%s\n%s", diff, c.YAML())
		}
	})
}

// anyText is what may be said in a word: all that can be shown.
func anyText() *rapid.Generator[string] {
	return rapid.StringMatching(`[ -~äé]{1,12}`)
}

func anySocket(t *rapid.T) relay.Socket {
	if rapid.Bool().Draw(t, "unix") {
		return relay.Socket{
			Addr: flow.Addr{Network: flow.Unix, Path: filepath.Clean("/" + anyText().Draw(t, "path"))},
			Mode: rapid.Uint32Range(0, 0o777).Draw(t, "mode"), User: anyText().Draw(t, "user"),
		}
	}
	return relay.Socket{
		Addr: flow.Addr{
			Network: rapid.SampledFrom([]flow.Network{flow.TCP, flow.SCTP}).Draw(t, "network"),
			IP:      netip.AddrPortFrom(netip.IPv6Unspecified(), rapid.Uint16().Draw(t, "port")),
		},
		Only6: rapid.Bool().Draw(t, "v6only"), Device: anyText().Draw(t, "device"), Retry: time.Duration(rapid.IntRange(1, 1000).Draw(t, "retry")) * time.Second,
	}
}

func anyCertificate(t *rapid.T) RelayCertificate {
	return RelayCertificate{Chain: anyText().Draw(t, "chain"), Key: anyText().Draw(t, "key"), Passphrase: anyText().Draw(t, "passphrase")}
}
