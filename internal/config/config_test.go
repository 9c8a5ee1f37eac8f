package config

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/process"
)

var update = flag.Bool("update", false, "write the messages of testdata/bad anew")

func equal(a, b Config) string {
	return cmp.Diff(a, b, cmp.Comparer(func(x, y netip.Prefix) bool { return x == y }))
}

const example = "../../dist/sluice.yaml"

func TestExampleIsTheDefault(t *testing.T) {
	c, err := Load(example)
	if err != nil {
		t.Fatal(err)
	}
	if diff := equal(Default(), c); diff != "" {
		t.Errorf("the example is not what holds without a file (-default +example):\n%s", diff)
	}
}

// A key that the example leaves out would have its default all the same: so every key
// is taken out in turn by changing its value.
func TestExampleHasEveryKey(t *testing.T) {
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	group := ""
	for line := range strings.Lines(string(text)) {
		name, _, ok := strings.Cut(line, ":")
		switch {
		case !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(strings.TrimSpace(line), "-"):
		case !strings.HasPrefix(line, " "):
			group = name
			found = append(found, name)
		default:
			found = append(found, group+"."+strings.TrimSpace(name))
		}
	}
	has := map[string]bool{}
	for _, key := range found {
		has[key] = true
		if _, ok := new(Config).find(key); !ok && !isGroup(key) {
			t.Errorf("the example has the key %s, which is none", key)
		}
	}
	for _, key := range Keys() {
		if !has[key] {
			t.Errorf("the example lacks the key %s", key)
		}
	}
}

// everything is a file that sets every key to what is not its default.
const everything = `
listen: "[::1]:5046"
admin: localhost:5047
engines: 3
interface: eth1
allow: [192.0.2.0/24, "2001:db8::/32", 198.51.100.7]
sources:
  - 239.0.0.0/8   # ours
linger: 0s
no_data: 1500ms
stall: 1m
history: {depth: 1h, channel: 64MiB, total: 2GB}
grace: 30s
run_dir: /tmp/it's "here"
log:
  level: debug
`

func TestParseEverything(t *testing.T) {
	want := Config{
		Listen: "[::1]:5046", Admin: "localhost:5047", Engines: 3, Interface: "eth1",
		Allow: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
			netip.MustParsePrefix("198.51.100.7/32"),
		},
		Sources: []netip.Prefix{netip.MustParsePrefix("239.0.0.0/8")},
		NoData:  1500 * time.Millisecond, Stall: time.Minute,
		History: History{Depth: time.Hour, Channel: 64 << 20, Total: 2e9},
		Grace:   30 * time.Second, RunDir: `/tmp/it's "here"`, Log: Log{Level: slog.LevelDebug},
	}
	got, err := Parse("test", []byte(everything))
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
	again, err := Parse("again", got.YAML())
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
	if diff := equal(got, fresh); diff != "" {
		t.Errorf("set key by key (-want +got):\n%s", diff)
	}
}

func TestParseNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "\ufeff", "\r\n"} {
		c, err := Parse("test", []byte(text))
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
			_, err = Parse("sluice.yaml", text)
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
	if c, err := Load(two); err != nil || c.Engines != 2 {
		t.Errorf("%d engines, %v", c.Engines, err)
	}
	if _, err := Find(filepath.Join(two, "below-a-file")); err == nil {
		t.Error("a path that cannot be looked at was passed over")
	}
	if _, err := Load(one); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a directory was read")
	}
	if err := os.WriteFile(one, bytes.Repeat([]byte("#"), maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(one); err == nil || !strings.Contains(err.Error(), "256 KiB") {
		t.Errorf("a file without an end: %v", err)
	}
}

func TestGWSWaitsLongerThanAnEngine(t *testing.T) {
	c := Default()
	c.NoData = time.Minute
	if g := c.GWS("v1"); g.AnswerTimeout <= c.NoData || g.Build != "v1" {
		t.Errorf("gws waits %v for an engine that may take %v", g.AnswerTimeout, c.NoData)
	}
}

func TestEngine(t *testing.T) {
	c := Default()
	c.Engines, c.Linger, c.History.Total, c.RunDir = 4, 0, 400<<20, "/r"
	e := c.Engine("2", "v1")
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.ID != "2" || e.Build != "v1" || e.Socket != "/r/handoff.socket" {
		t.Errorf("%+v", e)
	}
	if e.Linger >= 0 {
		t.Errorf("linger 0 became %v, which an engine takes for its default", e.Linger)
	}
	if e.HistoryTotal != 100<<20 {
		t.Errorf("share of the history %d, want a quarter of 400 MiB", e.HistoryTotal)
	}
	c.History.Total = 0
	memory := process.Memory()
	if memory == 0 {
		memory = unknownMemory
	}
	if got := c.Engine("2", "v1").HistoryTotal; got != memory/16 {
		t.Errorf("share of the history %d, want a quarter of a quarter of %d", got, memory)
	}
	if c.Engines = 0; c.EngineCount() < 1 {
		t.Errorf("%d engines", c.EngineCount())
	}
	if c.RunDir = ""; c.RunDirectory() != process.DefaultRunDir() {
		t.Errorf("run directory %s", c.RunDirectory())
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
		c, err := Parse("fuzz", text)
		if err != nil {
			var bad *Error
			if !errors.As(err, &bad) || bad.Error() == "" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again, err := Parse("again", c.YAML())
		if err != nil {
			t.Fatalf("%v\n%s", err, c.YAML())
		}
		if diff := equal(c, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}
