package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/endpoint"
	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/logs"
	"sluice/internal/uri"
)

var update = flag.Bool("update", false, "write the messages of testdata/bad anew")

func equal(a, b Config) string {
	return cmp.Diff(a, b, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}, netip.AddrPort{}), cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateEmpty())
}

// What the README shows of the file is understood.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("the README shows no configuration")
	}
	for _, block := range blocks {
		c, err := Parse("README.md", block[1], Run)
		if err != nil {
			t.Error(err)
		} else if len(c.Channels) == 0 {
			t.Errorf("no channel in\n%s", block[1])
		}
	}
}

// source is what s says.
func source(s string) uri.Source {
	u, err := uri.ParseSource(s)
	if err != nil {
		panic(err)
	}
	return u
}

// everything is a file that sets every key to what is not its default. Its channels
// stand before what holds for all of them.
const everything = `
channels:
  one:
    source: udp://239.1.1.1:5000|udp://239.2.1.1:5000   # two legs
    backup:
      - rtp://10.0.0.7@239.3.1.1:5000
      - http://tv.example/a,b
    no_data: 2s
    linger: 3s
    growth: 4s
    pace: 128k
    repeat: true
    start: 1m30s
    slow: skip
    health: true
    content_type: video/mp2t
    redirect: https://b.example/one
    params: append
    history: {depth: 5s, channel: 2MiB}
    pinned: true
    max_clients: 7
    max_egress: 8M
    group: News
    title: "One: the news"
    logo: http://tv.example/one.png
    guide: one.example
    list: /etc/channels.conf
  2: {source: udp://239.4.1.1:5000, backup: udp://239.4.1.2:5000, history: {depth: 7s}}
  "3.on-air_": {source: 'udp://239.5.1.1:5000'}
routes:
  out: {from: $one, to: 'udp://239.9.9.9:5000', restart: true, bitrate: 8M}
  disk: {from: 'udp://239.6.1.1:5000', to: 'file:///srv/a.ts', write: append}
  up: {from: $2, to: 'http://user:word@up.example/x?k=1', method: POST}
listen: ["[::1]:5046", "tv=https://:5443"]
admin: localhost:5047
tls: {certificate: /etc/c.pem, key: /etc/k.pem}
trusted_proxies: 192.0.2.1
udpxy: true
engines: 3
min_engines: 2
force_shutdown: false
spread: min-clients
split_channels: true
pin: true
interface: eth1
renew: 0s
allow: [192.0.2.0/24, "2001:db8::/32", 198.51.100.7]
sources:
  - 239.0.0.0/8   # ours
targets: 10.0.0.0/8
files: {read: [/srv/media, "/srv/a,b/"], write: /srv/out}
limits: {clients: 1000, per_address: 4, pending: 0, channels: 20, egress: 2500 Mbit/s}
stall: 1m
request_timeout: 3s
unavailable: 4s
no_data: 0s
linger: 0s
growth: 0s
pace: frame
repeat: false
start: live
slow: disconnect
health: false
content_type: video/mpeg
redirect: http://b.example/
params: ignore
history: {depth: 1h, channel: 64MiB, total: 2GB}
auth:
  tokens: /etc/tokens
  secrets: /etc/secrets
  hook: http://127.0.0.1:9/ask?x=1
  timeout: 2s
  helper: [/usr/bin/helper, "-x y"]
  helpers: 2
  line_end: crlf
  listener_alias: true
  denied_for: 0s
  denied_entries: 5
  protocol: a1p
report: {cache: 0s, statistics: false}
grace: 30s
run_dir: /tmp/it's "here"
socket: /tmp/s
user: tv
pid_file: /tmp/p
reconnect: {attempts: 3, delay: 2s}
log:
  level: norm
  file: /tmp/log
  max_size: 1MiB
  max_files: 2
  time: raw_mono
  syslog: false
access_log: {file: /tmp/access, max_size: 2MiB, max_files: 3}
channels_file: channels.conf
playlists: [http://tv.example/list.m3u?a=1, /etc/list.m3u]
playlist_refresh: 1h
` + everythingRelay + everythingOrigin

// wantEverything is what it says.
func wantEverything() Config {
	all := lineup.Settings{
		Start: lineup.Start{Live: true}, Slow: lineup.Disconnect, History: lineup.History{Depth: time.Hour, Bytes: 64 << 20},
		Pace:        lineup.Pace{Clock: lineup.FrameClock},
		ContentType: "video/mpeg", Redirect: "http://b.example/",
	}
	two := all
	two.History.Depth = 7 * time.Second
	return Config{
		Listen:  []Door{{Address: "[::1]:5046"}, {Alias: "tv", Address: ":5443", TLS: true}},
		Admin:   Door{Address: "localhost:5047"},
		TLS:     TLS{"/etc/c.pem", "/etc/k.pem"},
		Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Udpxy: true,
		Engines: 3, MinEngines: 2, Spread: gws.MinClients, SplitChannels: true, Pin: true, Interface: "eth1",
		Allow: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
			netip.MustParsePrefix("198.51.100.7/32"),
		},
		Sources:  []netip.Prefix{netip.MustParsePrefix("239.0.0.0/8")},
		Targets:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		ReadFrom: []string{"/srv/media", "/srv/a,b"}, WriteTo: []string{"/srv/out"},
		Limits: gws.Limits{MaxClients: 1000, MaxPerAddress: 4, MaxChannels: 20, MaxEgress: 2500e6},
		Stall:  time.Minute, Request: 3 * time.Second, Unavailable: 4 * time.Second,
		Settings: all, HistoryTotal: 2e9,
		Auth: Auth{
			TokenFile: "/etc/tokens", SecretFile: "/etc/secrets", Hook: "http://127.0.0.1:9/ask?x=1", Timeout: 2 * time.Second,
			Helper: []string{"/usr/bin/helper", "-x y"}, Helpers: 2, CRLF: true, ListenerAlias: true, DeniedEntries: 5,
		},
		Grace: 30 * time.Second, RunDir: `/tmp/it's "here"`, Socket: "/tmp/s", User: "tv", PIDFile: "/tmp/p",
		Reconnect:    Reconnect{3, 2 * time.Second},
		Log:          Log{Level: logs.Norm, File: "/tmp/log", MaxSize: 1 << 20, MaxFiles: 2, Time: logs.TimeMono},
		Access:       Access{"/tmp/access", 2 << 20, 3},
		ChannelFiles: []string{"channels.conf"}, Playlists: []string{"http://tv.example/list.m3u?a=1", "/etc/list.m3u"}, Refresh: time.Hour,
		Channels: []Channel{
			{
				Name: "one", Source: source("udp://239.1.1.1:5000|udp://239.2.1.1:5000"),
				Backup: []uri.Source{source("rtp://10.0.0.7@239.3.1.1:5000"), source("http://tv.example/a,b")},
				Settings: lineup.Settings{
					NoData: 2 * time.Second, Linger: 3 * time.Second, Growth: 4 * time.Second, Pace: lineup.Pace{Bitrate: 128_000}, Repeat: true, Pinned: true,
					History: lineup.History{Depth: 5 * time.Second, Bytes: 2 << 20}, Start: lineup.Start{Back: 90 * time.Second},
					Health: true, MaxClients: 7, MaxEgress: 8e6,
					ContentType: "video/mp2t", Redirect: "https://b.example/one", Params: true,
				},
				Listing: lineup.Listing{Group: "News", Title: "One: the news", Logo: "http://tv.example/one.png", Guide: "one.example"},
				List:    "/etc/channels.conf",
			},
			{Name: "2", Source: source("udp://239.4.1.1:5000"), Backup: []uri.Source{source("udp://239.4.1.2:5000")}, Settings: two},
			{Name: "3.on-air_", Source: source("udp://239.5.1.1:5000"), Settings: all},
		},
		Routes: []Route{
			{Name: "out", From: "$one", To: endpoint.Target{End: target("udp://239.9.9.9:5000"), Bitrate: 8e6}, Restart: true},
			{Name: "disk", From: "udp://239.6.1.1:5000", To: endpoint.Target{End: target("file:///srv/a.ts"), Write: endpoint.WriteAppend}},
			{Name: "up", From: "$2", To: endpoint.Target{End: target("http://user:word@up.example/x?k=1"), Method: "POST"}},
		},
		Relay: wantRelay(), Origin: wantOrigin(),
	}
}

// target is the end that s names.
func target(s string) uri.End {
	e, err := uri.Parse(s)
	if err != nil {
		panic(err)
	}
	return e
}

func TestParseEverything(t *testing.T) {
	got, err := Parse("test", []byte(everything), Run)
	if err != nil {
		t.Fatal(err)
	}
	if diff := equal(wantEverything(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	fresh := Default()
	for _, key := range Keys() {
		if fresh.Get(key) == got.Get(key) && key != "auth.protocol" {
			t.Errorf("%s has its default in this test", key)
		}
	}
	again, err := Parse("again", got.YAML(), Run)
	if err != nil {
		t.Fatalf("%v\n%s", err, got.YAML())
	}
	if diff := equal(got, again); diff != "" {
		t.Errorf("after YAML and Parse (-before +after):\n%s", diff)
	}
	for _, key := range Keys() {
		if key == "auth.helper" {
			continue // one of its words has a blank, which text on a command line cannot have
		}
		if err := fresh.Set(key, got.Get(key)); err != nil {
			t.Errorf("Set(%s): %v", key, err)
		}
	}
	fresh.Channels, fresh.Routes, fresh.Auth.Helper = got.Channels, got.Routes, got.Auth.Helper
	fresh.Relay.Listeners, fresh.Relay.Pools = got.Relay.Listeners, got.Relay.Pools
	fresh.Origin.SinkList, fresh.Origin.RecordList, fresh.Origin.PushList = got.Origin.SinkList, got.Origin.RecordList, got.Origin.PushList
	if diff := equal(got, fresh); diff != "" {
		t.Errorf("set key by key (-want +got):\n%s", diff)
	}
}

// The test above would not see a key of what the user names that its file leaves out.
func TestEverythingIsEverything(t *testing.T) {
	got := wantEverything()
	for _, n := range got.groups() {
		said := map[string]bool{}
		for _, x := range n.all {
			for _, key := range different(x.table, n.base).keys() {
				said[key] = true
			}
		}
		for _, key := range n.base.keys() {
			if !said[key] {
				t.Errorf("none of %s says %s", n.key, key)
			}
		}
	}
}

func TestParseNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "\ufeff", "\r\n", "channels: {}"} {
		c, err := Parse("test", []byte(text), Run)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := equal(Default(), c); diff != "" {
			t.Errorf("%q (-default +got):\n%s", text, diff)
		}
	}
}

func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.[yc]*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		ext := filepath.Ext(path)
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("sluice"+ext, text, Run)
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if bad.Line == 0 {
				t.Errorf("the place is not known: %v", bad)
			}
			golden := strings.TrimSuffix(path, ext) + ".txt"
			got := []byte(err.Error() + "\n")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func TestSet(t *testing.T) {
	c := Default()
	if err := c.Set("engine", "1"); err == nil || !strings.Contains(err.Error(), "did you mean engines?") {
		t.Errorf("an unknown key: %v", err)
	}
	if err := c.Set("allow", "192.0.2.0/24, nobody"); err == nil {
		t.Error("a bad item passed")
	}
	if diff := equal(Default(), c); diff != "" {
		t.Errorf("what failed has changed something:\n%s", diff)
	}
	if c.Get("engine") != "" {
		t.Error("an unknown key has a value")
	}
}

func TestFindAndLoad(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "two.yaml")
	if path, err := Find(one, two); path != "" || err != nil {
		t.Errorf("found %q, %v", path, err)
	}
	if err := os.WriteFile(two, []byte("engines: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err := Find(one, two); path != two || err != nil {
		t.Errorf("found %q, %v; want %s", path, err, two)
	}
	if c, err := Load(two, Run); err != nil || c.Engines != 2 {
		t.Errorf("%d engines, %v", c.Engines, err)
	}
	if _, err := Find(filepath.Join(two, "below-a-file")); err == nil {
		t.Error("a path that cannot be looked at was passed over")
	}
	if _, err := Load(one, Run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Load(dir, Run); err == nil {
		t.Error("a directory was read")
	}
	if err := os.WriteFile(one, bytes.Repeat([]byte("#"), maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(one, Run); err == nil || !strings.Contains(err.Error(), "16 MiB") {
		t.Errorf("a file without an end: %v", err)
	}
}

// Many channels fit into a file, and what the children get of them into theirs.
func TestManyChannels(t *testing.T) {
	c := Default()
	for i := range 1000 {
		ch := Channel{Name: fmt.Sprint("channel-", i), Source: source(fmt.Sprintf("udp://239.1.1.1:%d", i+1)), Settings: c.Settings}
		ch.Backup = []uri.Source{source(fmt.Sprintf("udp://239.2.1.1:%d", i+1))}
		ch.Linger = time.Minute
		c.Channels = append(c.Channels, ch)
	}
	text := c.YAML()
	if len(text) > maxFile {
		t.Errorf("%d bytes", len(text))
	}
	again, err := Parse("again", text, Run)
	if err != nil {
		t.Fatal(err)
	}
	if diff := equal(c, again); diff != "" {
		t.Error(diff)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"run", "send", "probe", "history.depth"}
	for word, want := range map[string]string{
		"rum": "run", "sned": "send", "sent": "send", "prob": "probe", "history.dept": "history.depth",
		"x": "", "": "", "elephant": "", strings.Repeat("run", 1000): "",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestValuesText(t *testing.T) {
	for text, want := range map[string]string{"60s": "1m", "90s": "1m30s", "3600s": "1h", "10m": "10m", "1500ms": "1.5s", "0s": "0s"} {
		var d time.Duration
		if err := (duration{to: &d}).Set(text); err != nil || (duration{to: &d}).String() != want {
			t.Errorf("%s: %s, %v; want %s", text, duration{to: &d}, err, want)
		}
	}
	for text, want := range map[string]string{"1024KiB": "1MiB", "1000B": "1KB", "7B": "7B", "3 GB": "3GB", "0": "0", "1GiB": "1GiB"} {
		var n int64
		if err := (size{to: &n}).Set(text); err != nil || (size{to: &n}).String() != want {
			t.Errorf("%s: %s, %v; want %s", text, size{to: &n}, err, want)
		}
	}
	for text, want := range map[string]string{"900M": "900M", "1000M": "1G", "1500kbit/s": "1500k", "7 bit/s": "7bit/s", "0": "0", "10Gbit/s": "10G"} {
		var n int64
		if err := (rate{to: &n}).Set(text); err != nil || (rate{to: &n}).String() != want {
			t.Errorf("%s: %s, %v; want %s", text, rate{to: &n}, err, want)
		}
	}
}

// What is understood can be written and read again, and nothing else than an *Error
// comes of the rest.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(gigapxyConf))
	files, _ := filepath.Glob("testdata/bad/*.[yc]*")
	for _, path := range append(files, exampleYAML, exampleConf) {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4<<10 {
			return // the YAML parser needs time that grows with the square of the length
		}
		tryParse(t, "fuzz.yaml", text)
		if !bytes.Contains(text, []byte("@include")) { // of this machine's files
			tryParse(t, "fuzz.conf", text)
		}
	})
}

func tryParse(t *testing.T, name string, text []byte) {
	c, err := Parse(name, text, Run)
	if err != nil {
		var bad *Error
		if !errors.As(err, &bad) || bad.Error() == "" {
			t.Fatalf("%T: %v", err, err)
		}
		return
	}
	again, err := Parse("again", c.YAML(), Run)
	if err != nil {
		t.Fatalf("%v\n%s", err, c.YAML())
	}
	if diff := equal(c, again); diff != "" {
		t.Fatalf("(-first +again):\n%s", diff)
	}
	if a, b := Diff(c, again); len(a)+len(b) > 0 {
		t.Fatalf("%v %v", a, b)
	}
	if len(c.Lines()) < len(Keys()) {
		t.Fatal("settings are missing")
	}
	_, _ = c.GWS("v1") // a route may want a channel of a list
}
