package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gws"
	"sluice/internal/lineup"
	"sluice/internal/process"
	"sluice/internal/uri"
)

var update = flag.Bool("update", false, "write the messages of testdata/bad anew")

func equal(a, b Config) string {
	return cmp.Diff(a, b, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}, netip.AddrPort{}), cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateEmpty())
}

const example = "../../dist/sluice.yaml"

func TestExampleIsTheDefault(t *testing.T) {
	c, err := Load(example, Run)
	if err != nil {
		t.Fatal(err)
	}
	if diff := equal(Default(), c); diff != "" {
		t.Errorf("the example is not what holds without a file (-default +example):\n%s", diff)
	}
}

// A key that the example leaves out would have its default all the same: so the keys
// are looked for in its text.
func TestExampleHasEveryKey(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	top := new(Config).settings()
	for _, key := range keysOf(string(text), "") {
		if _, ok := top.find(key); !ok && !top.hasGroup(key) {
			t.Errorf("the example has the key %s, which is none", key)
		}
	}
	for _, key := range Keys() {
		if !slices.Contains(keysOf(string(text), ""), key) {
			t.Errorf("the example lacks the key %s", key)
		}
	}
}

// keysOf lists the keys that lines of text begin with, with the group that they stand
// in; lines have to begin with indent.
func keysOf(text, indent string) (keys []string) {
	group := ""
	for line := range strings.Lines(text) {
		line, below := strings.CutPrefix(line, indent)
		name, _, ok := strings.Cut(line, ":")
		switch {
		case !below || !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(strings.TrimSpace(line), "-"):
		case !strings.HasPrefix(line, " "):
			group = name
			keys = append(keys, name)
		default:
			keys = append(keys, group+"."+strings.TrimSpace(name))
		}
	}
	return keys
}

// What is commented out in the example is a configuration too: its lines have no blank
// or more than one behind the #.
func TestExampleChannels(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	inUse := regexp.MustCompile(`(?m)^#(\S|  )`).ReplaceAllString(string(text), "$1")
	got, err := Parse("example", []byte(inUse), Run)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	news := Channel{
		Name: "news", Source: source("udp://239.1.1.1:5000"), Settings: lineup.Defaults(),
		Backup: []uri.Source{source("udp://239.3.1.1:5000"), source("udp://10.0.0.7@232.3.1.2:5000")},
	}
	news.Pinned = true
	sports := Channel{Name: "sports", Source: source("rtp://239.1.1.2:5000|rtp://239.2.1.2:5000"), Settings: lineup.Settings{
		NoData: 2 * time.Second, Linger: time.Minute, Start: lineup.Start{Back: 5 * time.Second}, Slow: lineup.Disconnect,
		History: lineup.History{Depth: time.Minute, Bytes: 128 << 20}, MaxClients: 200, MaxEgress: 400e6,
	}}
	want.Channels = []Channel{news, sports}
	if diff := equal(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, below, _ := strings.Cut(inUse, "channels:")
	keys := keysOf(below, "    ")
	table := new(Channel).settings()
	for _, key := range table.keys() {
		group, _, _ := strings.Cut(key, ".")
		if !slices.Contains(keys, group) {
			t.Errorf("the example lacks the key %s of a channel", key)
		}
	}
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
      - udp://[ff15::1]:5000
    no_data: 2s
    linger: 3s
    start: 1m30s
    slow: skip
    health: true
    history: {depth: 5s, channel: 2MiB}
    pinned: true
    max_clients: 7
    max_egress: 8M
  2: {source: udp://239.4.1.1:5000, backup: udp://239.4.1.2:5000, history: {depth: 7s}}
  "3.on-air_": {source: 'udp://239.5.1.1:5000'}
listen: "[::1]:5046"
admin: localhost:5047
engines: 3
spread: min-clients
split_channels: true
pin: true
interface: eth1
renew: 0s
allow: [192.0.2.0/24, "2001:db8::/32", 198.51.100.7]
sources:
  - 239.0.0.0/8   # ours
limits: {clients: 1000, per_address: 4, pending: 0, channels: 20, egress: 2500 Mbit/s}
stall: 1m
no_data: 0s
linger: 0s
start: live
slow: disconnect
health: false
history: {depth: 1h, channel: 64MiB, total: 2GB}
grace: 30s
run_dir: /tmp/it's "here"
log:
  level: debug
`

func TestParseEverything(t *testing.T) {
	all := lineup.Settings{
		Start: lineup.Start{Live: true}, Slow: lineup.Disconnect, History: lineup.History{Depth: time.Hour, Bytes: 64 << 20},
	}
	two := all
	two.History.Depth = 7 * time.Second
	want := Config{
		Listen: "[::1]:5046", Admin: "localhost:5047",
		Engines: 3, Spread: gws.MinClients, SplitChannels: true, Pin: true, Interface: "eth1",
		Allow: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
			netip.MustParsePrefix("198.51.100.7/32"),
		},
		Sources: []netip.Prefix{netip.MustParsePrefix("239.0.0.0/8")},
		Limits:  gws.Limits{MaxClients: 1000, MaxPerAddress: 4, MaxChannels: 20, MaxEgress: 2500e6},
		Stall:   time.Minute, Settings: all, HistoryTotal: 2e9,
		Grace: 30 * time.Second, RunDir: `/tmp/it's "here"`, Log: Log{Level: slog.LevelDebug},
		Channels: []Channel{
			{
				Name: "one", Source: source("udp://239.1.1.1:5000|udp://239.2.1.1:5000"),
				Backup: []uri.Source{source("rtp://10.0.0.7@239.3.1.1:5000"), source("udp://[ff15::1]:5000")},
				Settings: lineup.Settings{
					NoData: 2 * time.Second, Linger: 3 * time.Second, Pinned: true,
					History: lineup.History{Depth: 5 * time.Second, Bytes: 2 << 20}, Start: lineup.Start{Back: 90 * time.Second},
					Health: true, MaxClients: 7, MaxEgress: 8e6,
				},
			},
			{Name: "2", Source: source("udp://239.4.1.1:5000"), Backup: []uri.Source{source("udp://239.4.1.2:5000")}, Settings: two},
			{Name: "3.on-air_", Source: source("udp://239.5.1.1:5000"), Settings: all},
		},
	}
	got, err := Parse("test", []byte(everything), Run)
	if err != nil {
		t.Fatal(err)
	}
	if diff := equal(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	fresh := Default()
	for _, key := range Keys() {
		if fresh.Get(key) == got.Get(key) {
			t.Errorf("%s has its default in this test", key)
		}
	}
	base := Channel{Settings: got.Settings}
	if left, all := different(got.Channels[0].settings(), base.settings()).keys(), base.settings().keys(); len(left) != len(all) {
		t.Errorf("channel one says %v, which is not all of %v", left, all)
	}
	again, err := Parse("again", got.YAML(), Run)
	if err != nil {
		t.Fatalf("%v\n%s", err, got.YAML())
	}
	if diff := equal(got, again); diff != "" {
		t.Errorf("after YAML and Parse (-before +after):\n%s", diff)
	}
	for _, key := range Keys() {
		if err := fresh.Set(key, got.Get(key)); err != nil {
			t.Errorf("Set(%s): %v", key, err)
		}
	}
	fresh.Channels = got.Channels
	if diff := equal(got, fresh); diff != "" {
		t.Errorf("set key by key (-want +got):\n%s", diff)
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
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("sluice.yaml", text, Run)
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if bad.Line == 0 {
				t.Errorf("the place is not known: %v", bad)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
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
	if _, err := Load(one, Run); err == nil || !strings.Contains(err.Error(), "512 KiB") {
		t.Errorf("a file without an end: %v", err)
	}
}

func TestGWS(t *testing.T) {
	c, err := Parse("test", []byte(everything), Run)
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.GWS("v1")
	if err != nil {
		t.Fatal(err)
	}
	if g.Build != "v1" || g.Spread != gws.MinClients || !g.Split || g.Limits != c.Limits || len(g.Sources) != 1 || len(g.Allow) != 3 {
		t.Errorf("%+v", g)
	}
	one, ok := g.Lineup.Named("one")
	if !ok || len(one.Sources) != 3 || one.Sources[0].Tag() != "UDP://239.1.1.1:5000|UDP://239.2.1.1:5000" ||
		one.Sources[2].Tag() != "UDP://[ff15::1]:5000" || !one.Pinned || one.NoData != 2*time.Second {
		t.Errorf("channel one: %+v, %v", one, ok)
	}
	if other := g.Lineup.From(source("udp://239.9.9.9:1")); other.Settings != c.Settings {
		t.Errorf("a channel without a name: %+v", other)
	}
}

func TestEngine(t *testing.T) {
	c := Default()
	c.Engines, c.HistoryTotal, c.RunDir, c.Renew = 4, 400<<20, "/r", 7*time.Second
	e := c.Engine("2", "v1")
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.ID != "2" || e.Build != "v1" || e.Socket != "/r/handoff.socket" || e.Stall != c.Stall || e.Renew != c.Renew {
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
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, path := range append(files, example) {
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
		c, err := Parse("fuzz", text, Run)
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
	})
}
