package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/auth"
	"sluice/internal/gws"
	"sluice/internal/process"
	"sluice/internal/uri"
)

func TestGWS(t *testing.T) {
	c := wantEverything()
	g, err := c.GWS("v1")
	if err != nil {
		t.Fatal(err)
	}
	if g.Build != "v1" || g.Spread != gws.MinClients || !g.Split || g.Limits != c.Limits || len(g.Sources) != 1 || len(g.Allow) != 3 ||
		!g.KeepEngines || g.Statistics || !g.Udpxy || g.MinEngines != 2 || g.Request != c.Request || g.Unavailable != c.Unavailable ||
		len(g.Proxies) != 1 || len(g.Targets) != 1 || len(g.ReadFrom) != 2 || len(g.WriteTo) != 1 {
		t.Errorf("%+v", g)
	}
	one, ok := g.Lineup.Named("one")
	if !ok || len(one.Sources) != 3 || one.Sources[0].Tag() != "UDP://239.1.1.1:5000|UDP://239.2.1.1:5000" ||
		one.Sources[2].Tag() != "HTTP://tv.example:80/a,b" || !one.Pinned || one.NoData != 2*time.Second || one.Title != "One: the news" || !one.Trusted {
		t.Errorf("channel one: %+v, %v", one, ok)
	}
	if other := g.Lineup.From(source("udp://239.9.9.9:1")); other.Settings != c.Settings {
		t.Errorf("a channel without a name: %+v", other)
	}
}

func TestRoutes(t *testing.T) {
	c := wantEverything()
	g, err := c.GWS("v1")
	if err != nil {
		t.Fatal(err)
	}
	out, disk := g.Routes[0], g.Routes[1]
	if out.Name != "out" || out.Channel.Name != "one" || out.Channel.NoData != 2*time.Second || !out.Restart || !out.Target.Trusted || out.Target.Bitrate != 8e6 {
		t.Errorf("from a channel: %+v", out)
	}
	if disk.Channel.Name != "" || disk.Channel.Tag() != "UDP://239.6.1.1:5000" || !disk.Channel.Trusted || disk.Target.End.Path != "/srv/a.ts" {
		t.Errorf("from a source: %+v", disk)
	}
	bad, err := Parse("a.yaml", []byte("engines: 1\nroutes:\n  x: {from: $nobody, to: 'udp://239.1.1.1:5000'}\n"), Run)
	if err != nil {
		t.Fatal(err) // a list may have the channel
	}
	if _, err := bad.GWS("v1"); err == nil || !strings.HasPrefix(err.Error(), "a.yaml:3:3: route x: no channel is called nobody\n") {
		t.Errorf("from a channel that is not there: %v", err)
	}
}

// What is empty in the file is empty for gws, which takes nil for its own default.
func TestEmptyLists(t *testing.T) {
	c, err := Parse("a.yaml", []byte("allow: []\nsources: []\n"), Run)
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.GWS("v1")
	if err != nil || g.Allow == nil || g.Sources == nil || len(g.Allow)+len(g.Sources) > 0 {
		t.Errorf("%v %v, %v", g.Allow, g.Sources, err)
	}
}

func TestEngine(t *testing.T) {
	c := Default()
	c.Engines, c.HistoryTotal, c.RunDir, c.Renew = 4, 400<<20, "/r", 7*time.Second
	c.Reconnect = Reconnect{3, time.Minute}
	c.ReadFrom, c.WriteTo, c.Targets = []string{"/a"}, []string{"/b"}, c.Allow
	e := c.Engine("2", "v1")
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.ID != "2" || e.Build != "v1" || e.Socket != "/r/handoff.socket" || e.Stall != c.Stall || e.Renew != c.Renew ||
		e.ReconnectAttempts != 3 || e.ReconnectDelay != time.Minute || e.ReadFrom[0] != "/a" || e.WriteTo[0] != "/b" ||
		len(e.Targets) != len(c.Targets) || len(e.Sources) != len(c.Sources) {
		t.Errorf("%+v", e)
	}
	if e.Memory != 100<<20 {
		t.Errorf("share of the memory %d, want a quarter of 400 MiB", e.Memory)
	}
	c.HistoryTotal = 0
	memory := process.Memory()
	if memory == 0 {
		memory = unknownMemory
	}
	if got := c.Engine("2", "v1").Memory; got != memory/16 {
		t.Errorf("share of the memory %d, want a quarter of a quarter of %d", got, memory)
	}
	if c.Engines = 0; c.EngineCount() < 1 {
		t.Errorf("%d engines", c.EngineCount())
	}
	if c.RunDir = ""; c.RunDirectory() != process.DefaultRunDir() {
		t.Errorf("run directory %s", c.RunDirectory())
	}
	if c.Socket = "/s"; c.SocketPath() != "/s" {
		t.Errorf("socket %s", c.SocketPath())
	}
}

func TestAuthConfig(t *testing.T) {
	dir := t.TempDir()
	tokens, secrets := filepath.Join(dir, "tokens"), filepath.Join(dir, "secrets")
	put(t, tokens, "# who\nann abc\n")
	put(t, secrets, "00112233445566778899aabbccddeeff\n")
	c := wantEverything()
	c.Auth.TokenFile, c.Auth.SecretFile = tokens, secrets
	a, err := c.AuthConfig()
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Tokens) != 1 || a.Tokens[0] != (auth.Token{Name: "ann", Value: "abc"}) || len(a.Secrets) != 1 || len(a.Secrets[0]) != 16 {
		t.Errorf("tokens and secrets: %+v", a)
	}
	if a.Hook != c.Auth.Hook || a.Timeout != 2*time.Second || len(a.Helper) != 2 || a.Helpers != 2 || !a.CRLF || !a.ListenerAlias || a.DeniedEntries != 5 {
		t.Errorf("%+v", a)
	}
	if a.DeniedFor >= 0 {
		t.Errorf("denied_for of 0s: %v, which auth takes for its default", a.DeniedFor)
	}
	put(t, tokens, "ann\n")
	if _, err := c.AuthConfig(); err == nil || !strings.Contains(err.Error(), "auth.tokens: "+tokens+":1: ") {
		t.Errorf("a broken file of tokens: %v", err)
	}
}

// put writes a file that only its owner may read.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Credentials are needed to open a source, but not to tell of it.
func TestCredentialsAreMasked(t *testing.T) {
	const text = "channels:\n  a: {source: 'http://user:word@tv.example/a?key=1'}\nplaylists: 'https://user:word@tv.example/l?key=1'\n" +
		"origin:\n  push: {a: {from: /srv, to: 'http://user:word@tv.example/', headers: [Authorization, Bearer word, X-Key, word]}}\n"
	c, err := Parse("a.yaml", []byte(text), Run)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range c.Lines() {
		if strings.Contains(l.Value, "word") || strings.Contains(l.Value, "key=") {
			t.Errorf("%s is shown as %s", l.Key, l.Value)
		}
	}
	again, err := Parse("b.yaml", c.YAML(), Run)
	if err != nil || again.Channels[0].Source[0] != c.Channels[0].Source[0] || c.Channels[0].Source[0] == (uri.End{}) {
		t.Fatalf("they are lost on the way to a child: %v", err)
	}
	if got := again.Origin.PushList[0].Headers; !slices.Equal(got, []string{"Authorization", "Bearer word", "X-Key", "word"}) {
		t.Errorf("a child gets %q", got)
	}
	for name, text := range map[string]string{
		"a.yaml": "channels:\n  a: {source: 'http://user:word@tv.example:0/a?key=1'}\n",
		"a.conf": "channels : { a : { source = \"http://user:word@tv.example:0/a?key=1\"; }; };\n",
		"b.yaml": "playlists: 'http://user:word@tv.example/a?key=1'\nplaylists: x\n",
		"c.yaml": "origin: {push: {a: {from: /srv, to: 'http://tv.example/', headers: [X-A, b, Authorization, 'Bearer word', X-B]}}}\n",
		"d.yaml": "origin: {push: {a: {from: /srv, to: 'http://tv.example/', headers: [\n  Authorization,\n  Basic wordé]}}}\n",
		"b.conf": "playlists = \"http://user:word@tv.example/a?key=1\" ;; x\n",
	} {
		_, err := Parse(name, []byte(text), Run)
		if err == nil || strings.Contains(err.Error(), "word") || strings.Contains(err.Error(), "key=1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
