package config

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"sluice/internal/endpoint"
	"sluice/internal/lineup"
	"sluice/internal/uri"
)

// The files that show every key.
const (
	exampleYAML = "../../dist/sluice.yaml"
	exampleConf = "../../dist/sluice.conf"
)

func eachExample(t *testing.T, f func(t *testing.T, path, text string)) {
	for _, path := range []string{exampleYAML, exampleConf} {
		t.Run(path, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f(t, path, string(text))
		})
	}
}

func TestExampleIsTheDefault(t *testing.T) {
	eachExample(t, func(t *testing.T, path, _ string) {
		c, err := Load(path, Run)
		if err != nil {
			t.Fatal(err)
		}
		if diff := equal(Default(), c); diff != "" {
			t.Errorf("the example is not what holds without a file (-default +example):\n%s", diff)
		}
		if len(c.Warnings()) > 0 {
			t.Errorf("warnings: %v", c.Warnings())
		}
	})
}

// A key that the example leaves out would have its default all the same: where its value
// is from tells.
func TestExampleHasEveryKey(t *testing.T) {
	eachExample(t, func(t *testing.T, path, _ string) {
		c, err := Load(path, Run)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range Keys() {
			if c.From(key).String() == "default" {
				t.Errorf("the example lacks the key %s", key)
			}
		}
	})
}

// What is commented out in the examples is a configuration too: its lines have no blank
// or more than one behind the #.
func TestExampleChannels(t *testing.T) {
	eachExample(t, func(t *testing.T, path, text string) {
		inUse := regexp.MustCompile(`(?m)^#(\S|  )`).ReplaceAllString(text, "$1")
		got, err := Parse(path, []byte(inUse), Run)
		if err != nil {
			t.Fatal(err)
		}
		if diff := equal(wantExample(), got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, n := range got.groups() {
			for _, key := range n.base.keys() {
				said := slices.ContainsFunc(n.all, func(x binding) bool {
					return got.From(n.key+"."+x.name+"."+key).String() != "default"
				})
				if !said && key != "list" {
					t.Errorf("none of %s of the example has the key %s", n.key, key)
				}
			}
		}
	})
}

func wantExample() Config {
	want := Default()
	news := Channel{
		Name: "news", Source: source("udp://239.1.1.1:5000"), Settings: lineup.Defaults(),
		Backup: []uri.Source{source("udp://239.3.1.1:5000"), source("udp://10.0.0.7@232.3.1.2:5000")},
	}
	news.Pinned = true
	sports := Channel{Name: "sports", Source: source("rtp://239.1.1.2:5000|rtp://239.2.1.2:5000"), Settings: lineup.Settings{
		NoData: 2 * time.Second, Linger: time.Minute, Growth: 10 * time.Second, Pace: lineup.Pace{Clock: lineup.PCRClock}, Repeat: true, Start: lineup.Start{Back: 5 * time.Second}, Slow: lineup.Disconnect,
		History:     lineup.History{Depth: time.Minute, Bytes: 128 << 20},
		ContentType: "video/mp2t", Redirect: "http://backup.example/", Params: true, MaxClients: 200, MaxEgress: 400e6,
	}}
	sports.Listing = lineup.Listing{Group: "Sports", Title: "Sports: live", Logo: "http://tv.example/sports.png", Guide: "sports.example"}
	want.Channels = []Channel{news, sports}
	want.Routes = []Route{
		{Name: "out", From: "$news", To: endpoint.Target{End: target("udp://239.9.9.1:5000")}, Restart: true},
		{Name: "record", From: "udp://239.1.1.3:5000", To: endpoint.Target{End: target("file:///srv/record.ts"), Write: endpoint.WriteAppend}},
		{Name: "up", From: "$sports", To: endpoint.Target{End: target("http://far.example/in"), Method: "PUT"}},
	}
	want.Relay.Listeners, want.Relay.Pools = wantExampleRelay()
	wantExampleOrigin(&want.Origin)
	return want
}

func wantExampleOrigin(o *OriginPart) {
	o.SinkList = []OriginSink{
		{Name: "live.ts", Channel: "$news"},
		{
			Name: "radio", Channel: "http://radio.example/high", Path: "/radio.mp3", Type: "audio/mpeg", Title: "Radio Example", Bitrate: 128,
			Headers:            []string{"ice-genre", "Jazz", "ice-url", "http://radio.example/"},
			OriginSinkSettings: OriginSinkSettings{ICE: true, Hold: true, Reopen: true, Buffer: 100e3},
		},
	}
	o.RecordList = []OriginRecord{{Name: "news", Channel: "$news", Path: "/archive/news.ts", Again: 5 * time.Second}}
	cdn, channel := newPush("cdn"), newPush("channel")
	cdn.From, cdn.To = "/srv/live", []string{"https://USER:PASSWORD@cdn.example/live/", "http://backup.example/live/"}
	cdn.Headers = []string{"X-Origin", "sluice"}
	channel.From, channel.To = "$sports", []string{"https://far.example/in.ts"}
	o.PushList = []OriginPush{*cdn, *channel}
}

// The sample of an origin is right.
func TestOriginSample(t *testing.T) {
	c, err := Load("../../dist/origin.yaml", OriginRole)
	if err != nil || len(c.Warnings()) > 0 || !c.HasOriginChannels() {
		t.Errorf("origin.yaml: %v, warnings %v", err, c.Warnings())
	}
}

// The samples of a relay are right.
func TestRelaySamples(t *testing.T) {
	c, err := Load("../../dist/relay.yaml", Relay)
	if err != nil || len(c.Warnings()) > 0 || !c.HasRelay() {
		t.Errorf("relay.yaml: %v, warnings %v", err, c.Warnings())
	}
	const name = "../../dist/tcprelay.cfg"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if made, err := LoadTcprelay(TcprelaySource{Name: name, Text: text}); err != nil || len(made.Warnings) > 0 {
		t.Errorf("tcprelay.cfg: %v, warnings %v", err, made.Warnings)
	}
}
