package lineup

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/uri"
)

func source(t *testing.T, s string) uri.Source {
	t.Helper()
	src, err := uri.ParseSource(s)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func channel(t *testing.T, name string, sources ...string) Channel {
	t.Helper()
	c := Channel{Name: name, Settings: Defaults()}
	for _, s := range sources {
		c.Sources = append(c.Sources, source(t, s))
	}
	return c
}

func TestLookUp(t *testing.T) {
	news := channel(t, "news", "udp://239.1.1.1:5000|udp://239.2.1.1:5000", "udp://239.3.1.1:5000")
	news.Pinned = true
	film := channel(t, "Film-1_b.x", "rtp://239.1.1.2:5000")
	settings := Defaults()
	settings.NoData = 0
	list := []Channel{news, film}
	l, err := New(settings, list)
	if err != nil {
		t.Fatal(err)
	}
	list[0] = Channel{} // the caller's own
	for _, want := range []Channel{news, film} {
		if got, ok := l.Named(want.Name); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %+v", want.Name, ok, got)
		}
	}
	for _, name := range []string{"", "News", "film", "$news"} {
		if got, ok := l.Named(name); ok {
			t.Errorf("%q is %+v", name, got)
		}
	}
	for from, want := range map[string]string{
		"udp://239.1.1.1:5000|udp://239.2.1.1:5000": "news",
		"udp://239.1.1.2:5000":                      "Film-1_b.x", // RTP is detected by itself
		"udp://239.1.1.1:5000":                      "",           // one leg is not both
		"udp://239.3.1.1:5000":                      "",           // a back-up is a channel of its own
		"udp://239.9.9.9:9":                         "",
	} {
		src := source(t, from)
		got := l.From(src)
		if got.Name != want {
			t.Errorf("%s is channel %q, want %q", from, got.Name, want)
		}
		if alone := (Channel{Sources: []uri.Source{src}, Settings: settings}); want == "" && !reflect.DeepEqual(got, alone) {
			t.Errorf("%s: %+v, want %+v", from, got, alone)
		}
	}
	if got := l.Channels(); !reflect.DeepEqual(got, []Channel{news, film}) {
		t.Errorf("channels %+v", got)
	}
	if tag := news.Tag(); tag != "UDP://239.1.1.1:5000|UDP://239.2.1.1:5000" {
		t.Errorf("tag %q", tag)
	}
}

func TestNoLineup(t *testing.T) {
	var l *Lineup
	src := source(t, "udp://239.1.1.1:5000")
	if got := l.From(src); !reflect.DeepEqual(got, Channel{Sources: []uri.Source{src}, Settings: Defaults()}) {
		t.Errorf("%+v", got)
	}
	if _, ok := l.Named("news"); ok || len(l.Channels()) != 0 {
		t.Error("there is a channel in no lineup")
	}
	if err := Defaults().check(); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	const a, b = "udp://239.1.1.1:5000", "udp://239.1.1.2:5000"
	with := func(change func(*Settings)) []Channel {
		c := channel(t, "x", a)
		change(&c.Settings)
		return []Channel{c}
	}
	many := channel(t, "x")
	for i := range MaxSources + 1 {
		many.Sources = append(many.Sources, source(t, fmt.Sprintf("udp://239.1.1.1:%d", 5000+i)))
	}
	noLegs, threeLegs := channel(t, "x", a), channel(t, "x", a)
	fileLeg := channel(t, "x", a)
	fileLeg.Sources[0] = append(fileLeg.Sources[0], source(t, "file:///srv/film.ts")...)
	noLegs.Sources = append(noLegs.Sources, nil)
	threeLegs.Sources[0] = append(threeLegs.Sources[0], threeLegs.Sources[0][0], threeLegs.Sources[0][0])
	for _, c := range []struct {
		want     string
		channels []Channel
	}{
		{`bad channel name ""`, []Channel{channel(t, "", a)}},
		{`bad channel name "a b"`, []Channel{channel(t, "a b", a)}},
		{`bad channel name "a/b"`, []Channel{channel(t, "a/b", a)}},
		{"65 bytes", []Channel{channel(t, strings.Repeat("x", 65), a)}},
		{"66 bytes", []Channel{channel(t, strings.Repeat("ж", 33), a)}},
		{"channel x: 0 sources", []Channel{channel(t, "x")}},
		{"channel x: 9 sources", []Channel{many}},
		{"channel x: source of 0 legs", []Channel{noLegs}},
		{"channel x: source of 3 legs", []Channel{threeLegs}},
		{"channel x: FILE:///srv/film.ts cannot be merged", []Channel{fileLeg}},
		{"channel x: HTTP://h:80/x is named twice", []Channel{channel(t, "x", a, "http://h/x", "http://h:80/x")}},
		{"channel x: UDP://239.1.1.1:5000 is named twice", []Channel{channel(t, "x", a, b, "rtp://239.1.1.1:5000")}},
		{"channel x is there twice", []Channel{channel(t, "x", a), channel(t, "x", b)}},
		{"channels x and y have the same first source", []Channel{channel(t, "x", a), channel(t, "y", "rtp://239.1.1.1:5000")}},
		{"channel x: no-data time", with(func(s *Settings) { s.NoData = -1 })},
		{"channel x: linger", with(func(s *Settings) { s.Linger = maxTime + 1 })},
		{"channel x: history depth", with(func(s *Settings) { s.History.Depth = -1 })},
		{"channel x: history of", with(func(s *Settings) { s.History.Bytes = -1 })},
		{"channel x: start", with(func(s *Settings) { s.Start.Back = MaxBack + 1 })},
		{"channel x: limit of -1 clients", with(func(s *Settings) { s.MaxClients = -1 })},
		{"channel x: limit of -1 bits", with(func(s *Settings) { s.MaxEgress = -1 })},
		{"channel x: unknown policy 2", with(func(s *Settings) { s.Slow = 2 })},
		{"channel x: unknown clock 4", with(func(s *Settings) { s.Pace.Clock = NoClock + 1 })},
		{"channel x: pace of -1 bits", with(func(s *Settings) { s.Pace.Bitrate = -1 })},
		{"channel x: growth time", with(func(s *Settings) { s.Growth = -1 })},
		{"channel x: bad content type", with(func(s *Settings) { s.ContentType = "video" })},
		{"channel x: bad redirect", with(func(s *Settings) { s.Redirect = "/elsewhere" })},
		{"channel x: title", []Channel{{Name: "x", Sources: []uri.Source{source(t, a)}, Listing: Listing{Title: "a\nb"}}}},
		{"channel x: bad logo", []Channel{{Name: "x", Sources: []uri.Source{source(t, a)}, Listing: Listing{Logo: "x.png"}}}},
	} {
		if l, err := New(Defaults(), c.channels); err == nil || l != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	for want, settings := range map[string]Settings{
		"all channels: no-data": {NoData: -1},
		"can be pinned":         {Pinned: true},
	} {
		if _, err := New(settings, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	extreme := Settings{
		NoData: maxTime, Linger: maxTime, History: History{maxTime, math.MaxInt64}, Start: Start{Back: MaxBack},
		Slow: Disconnect, MaxClients: math.MaxInt32, MaxEgress: math.MaxInt64, Growth: maxTime, Pace: Pace{NoClock, MaxBitrate},
		ContentType: "video/mp2t", Redirect: "https://b.example/udp/?x=y",
	}
	for _, settings := range []Settings{{}, extreme} {
		if _, err := New(settings, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestParsePace(t *testing.T) {
	for in, want := range map[string]Pace{
		"auto": {}, "pcr": {Clock: PCRClock}, "frame": {Clock: FrameClock}, "none": {Clock: NoClock},
		"1": {Bitrate: 1}, "128k": {Bitrate: 128_000}, "8M": {Bitrate: 8e6}, "1500k": {Bitrate: 1.5e6}, "100G": {Bitrate: 100e9}, "1001": {Bitrate: 1001},
	} {
		if got, err := ParsePace(in); err != nil || got != want || got.String() != in {
			t.Errorf("%s: %+v, %v, written as %s; want %+v", in, got, err, got, want)
		}
	}
	for _, in := range []string{"", "Auto", "pcr ", "bitrate", "0", "-1", "+1", "0k", "128K", "128kb", "k", "1.5M", "101G", "9999999999999999999", "100000000001"} {
		if got, err := ParsePace(in); err == nil || !strings.Contains(err.Error(), "want auto, pcr, frame, none or a bit rate") {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	if got, err := ParsePace("1000000"); err != nil || got.String() != "1M" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestParseSlow(t *testing.T) {
	for _, want := range []Slow{Skip, Disconnect} {
		if got, err := ParseSlow(want.String()); err != nil || got != want {
			t.Errorf("%v: %v, %v", want, got, err)
		}
	}
	for in, want := range map[string]string{"wait": "cannot wait", "": "want skip or disconnect", "Skip": "want skip or disconnect"} {
		if got, err := ParseSlow(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", in, got, err, want)
		}
	}
}

func TestParseStart(t *testing.T) {
	for in, want := range map[string]Start{
		"live": {Live: true}, "key": {}, "30s": {Back: 30 * time.Second}, "1m30s": {Back: 90 * time.Second}, "1.5s": {Back: 1500 * time.Millisecond},
		"24h": {Back: MaxBack}, "1ms": {Back: time.Millisecond}, "1.0005s": {Back: time.Second},
	} {
		got, err := ParseStart(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", in, got, err, want)
		}
		if again, err := ParseStart(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q, which is %+v, %v", in, got.String(), again, err)
		}
	}
	for in, want := range map[string]string{
		"": "want live", "0s": "want live", "-1s": "want live", "+1s": "want live", "30": "want live", "1us": "want live", "LIVE": "want live", "1s ": "want live",
		"24h1s": "at most 24h", "1000000h": "at most 24h",
	} {
		if got, err := ParseStart(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzParseStart(f *testing.F) {
	for _, s := range []string{"live", "key", "30s", "1.0005s", "1ns", "-5s", "24h", "9223372036s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := ParseStart(in)
		if err != nil {
			return
		}
		if s.Live && s.Back != 0 || s.Back < 0 || s.Back > MaxBack {
			t.Fatalf("%q is %+v", in, s)
		}
		if again, err := ParseStart(s.String()); err != nil || again != s {
			t.Fatalf("%q is %+v, written %q, and that is %+v, %v", in, s, s.String(), again, err)
		}
	})
}
