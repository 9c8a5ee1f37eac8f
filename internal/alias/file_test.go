package alias

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/lineup"
)

// set is a small table of settings in the place of the configuration's.
func set(ch *lineup.Channel, key, value string) (err error) {
	switch key {
	case "title":
		ch.Title = value
	case "logo":
		ch.Logo = value
	case "guide":
		ch.Guide = value
	case "redirect":
		ch.Redirect = value
	case "pinned":
		ch.Pinned = value == "true"
	case "start":
		ch.Start, err = lineup.ParseStart(value)
	case "slow":
		ch.Slow, err = lineup.ParseSlow(value)
	case "no_data", "linger", "history.depth":
		to := map[string]*time.Duration{"no_data": &ch.NoData, "linger": &ch.Linger, "history.depth": &ch.History.Depth}
		*to[key], err = time.ParseDuration(value)
	default:
		err = errors.New("no such setting")
	}
	return err
}

const someChannels = "\ufeff# All of it\r\n" + `
no_data = 3s
query = "from=file"

one udp://239.1.1.1:5000

[group News  at 9]
linger=1m
query = ?key=1

	# indented
two   http://a.example/x	udp://10.0.0.7@232.1.1.1:5000|udp://239.2.1.1:5000
    title = "Two, the second"
    http://u:p@b.example/y?z
    no_data = 0s

Три tcp://c.example:7000
[group Films]
four
	file:///srv/a=b.ts
	history.depth = 1m0s
	query =
`

func TestParseFile(t *testing.T) {
	got, err := ParseFile("c.conf", []byte(someChannels), lineup.Defaults(), set)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, ch := range got.Channels {
		if !ch.Trusted || ch.History.Bytes != lineup.Defaults().History.Bytes {
			t.Errorf("%+v", ch)
		}
		s := fmt.Sprintf("%s [%s] %q %v %v %v", ch.Name, ch.Group, ch.Title, ch.NoData, ch.Linger, ch.History.Depth)
		for _, source := range ch.Sources {
			s += " " + source.String()
		}
		all = append(all, s)
	}
	want := []string{
		`one [] "" 3s 5s 10s udp://239.1.1.1:5000`,
		`two [News  at 9] "Two, the second" 0s 1m0s 10s http://a.example:80/x?key=1 udp://10.0.0.7@232.1.1.1:5000|udp://239.2.1.1:5000 http://u:p@b.example:80/y?z&key=1`,
		`Три [News  at 9] "" 3s 1m0s 10s tcp://c.example:7000`,
		`four [Films] "" 3s 5s 1m0s file:///srv/a=b.ts`,
	}
	if got.Name != "c.conf" || len(got.Warnings) != 0 || !reflect.DeepEqual(all, want) {
		t.Errorf("%s %v: got\n%s\nwant\n%s", got.Name, got.Warnings, strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	if got, err := ParseFile("c.conf", nil, lineup.Defaults(), set); err != nil || len(got.Channels) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseFileRefuses(t *testing.T) {
	const a, b = "udp://239.1.1.1:5000", "udp://239.1.1.2:5000"
	for text, want := range map[string]string{
		"news " + a + "\nnews " + b:             "c.conf:2:1: the name news is taken in line 1\n   2 | news udp://239.1.1.2:5000\n     | ^",
		"one " + a + "\ntwo " + a + "\n\n":      "c.conf:2:1: channel two has the same first source as the one in line 1\n   2 | two",
		"one " + a + "\n\ttwo " + a:             "c.conf:2:2: \"two\" is no URL: want such as udp://GROUP:PORT\n   2 |  two udp://239.1.1.1:5000\n     |  ^",
		"one  " + a + "  ftp://x":               "c.conf:1:28: unsupported scheme",
		"Первый канал " + a:                     "c.conf:1:8: \"канал\" is no URL: want such as udp://GROUP:PORT\n   1 | Первый канал udp://239.1.1.1:5000\n     |        ^",
		"a/b " + a:                              "c.conf:1:1: bad channel name",
		"News = " + a:                           "c.conf:1:6: \"=\" is no URL",
		"one":                                   "c.conf:1:1: channel one has no source",
		"one\n\ttitle = x\ntwo " + a:            "c.conf:1:1: channel one has no source",
		"  title = x":                           "c.conf:1:3: an indented line belongs",
		"one " + a + "\nlinger = 1s":            "c.conf:2:1: what holds for a whole group",
		"one " + a + " # news":                  "c.conf:1:26: a comment stands in a line of its own",
		"one " + a + "\n title = x\n nothing=y": "c.conf:3:10: nothing: no such setting\n   3 |  nothing=y\n     |          ^",
		"linger = 1":                            "c.conf:1:10: linger: time: missing unit",
		"one " + a + "\n source = " + b:         "c.conf:2:2: sources stand behind the channel's name",
		"one " + a + "\n group = x":             "c.conf:2:2: a group begins with a line",
		"one " + a + "\n redirect = /x":         "c.conf:1:1: channel one: bad redirect",
		"one " + a + "\n start = 1":             "c.conf:2:10: start: bad start",
		"one " + strings.Repeat(a+"x ", 1):      "c.conf:1:5: bad address",
		"[group]":                               "c.conf:1:1: want [group NAME]",
		"[group x":                              "c.conf:1:1: want [group NAME]",
		"[grupp x]":                             "c.conf:1:1: want [group NAME]",
		"[]":                                    "c.conf:1:1: want [group NAME]",
		"[":                                     "c.conf:1:1: want [group NAME]",
		"one " + a + "\n\xff":                   "c.conf:2:1: not in UTF-8",
		"one http://h/\n query = " + long():     "c.conf:1:1: channel one: URL of",
		strings.Repeat("c ", 1) + nineSources(): "c.conf:1:1: channel c: 9 sources",
		"[group " + long() + "]\none " + a:      "c.conf:2:1: channel one: group of",
	} {
		got, err := ParseFile("c.conf", []byte(text), lineup.Defaults(), set)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q: %+v\n%v\nwant %s", text, got, err, want)
		}
	}
}

func long() string { return strings.Repeat("x", 5000) }

func nineSources() string {
	var b strings.Builder
	for i := range 9 {
		fmt.Fprintf(&b, " udp://239.1.1.%d:5000", i)
	}
	return b.String()
}

// TestFileErrorsKeepSecrets: the line that an error shows has none either.
func TestFileErrorsKeepSecrets(t *testing.T) {
	for _, text := range []string{
		"one http://u:SECRET@h/ x", "one http://h/?token=SECRET x", "one http://u:SECRET@h:x/", "one\n http://u:SECRET@h/?SECRET\n x",
		" query = SECRET", "one udp://239.1.1.1:5\nquery = token=SECRET", "one udp://239.1.1.1:5\n redirect = http://u:SECRET@h/", "[group http://u:SECRET@h/",
		"one http:/u:SECRET@h/", "one http://u:SECRET@h/\none http://h/",
	} {
		_, err := ParseFile("c.conf", []byte(text), lineup.Defaults(), set)
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(someChannels)
	if got, err := LoadFile(path, lineup.Defaults(), set); err != nil || len(got.Channels) != 4 || got.Name != path {
		t.Errorf("%+v, %v", got, err)
	}
	write(strings.Repeat("#", MaxBytes+1))
	if _, err := LoadFile(path, lineup.Defaults(), set); err == nil || !strings.Contains(err.Error(), "more than 8 MiB") {
		t.Errorf("%v", err)
	}
	if _, err := LoadFile(dir, lineup.Defaults(), set); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("%v", err)
	}
	if _, err := LoadFile(path+"x", lineup.Defaults(), set); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// many is a file of n channels.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "channel-%d udp://239.%d.%d.%d:5000\n    title = Channel %d\n", i, i>>16, i>>8&0xff, i&0xff, i)
	}
	return b.String()
}

func TestFileLimit(t *testing.T) {
	if got, err := ParseFile("c.conf", []byte(many(MaxEntries)), lineup.Defaults(), set); err != nil || len(got.Channels) != MaxEntries {
		t.Errorf("%d channels, %v", len(got.Channels), err)
	}
	if _, err := ParseFile("c.conf", []byte(many(MaxEntries+1)), lineup.Defaults(), set); err == nil || !strings.Contains(err.Error(), "c.conf:40001:1: more than 20000") {
		t.Errorf("%v", err)
	}
}

func BenchmarkParseFile(b *testing.B) {
	text := []byte(many(10_000))
	for b.Loop() {
		if _, err := ParseFile("c.conf", text, lineup.Defaults(), set); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add(someChannels)
	for _, s := range []string{"[", "[group", "a=", " = ", "a\n\t=\n", "query=?\none http://h", "\ufeff", "a udp://1.1.1.1:1\n\"\"=\"", "title = \"", "\v", "a\u00a0udp://1.1.1.1:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseFile("c.conf", []byte(text), lineup.Defaults(), set)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "c.conf:") || strings.Count(err.Error(), "\n") < 2 {
				t.Errorf("%q has no place", err)
			}
			return
		}
		if _, err := lineup.New(lineup.Defaults(), list.Channels); err != nil {
			t.Error(err)
		}
	})
}
