package handoff

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/internal/report"
)

func TestSplitAndGather(t *testing.T) {
	for _, c := range []struct {
		channels, clients int
		parts             func(n int) bool
	}{
		{0, 0, func(n int) bool { return n == 1 }},
		{1, 0, func(n int) bool { return n == 1 }},
		{3, 5, func(n int) bool { return n == 1 }},
		{1, 5000, func(n int) bool { return n > 1 }},
		{400, 20, func(n int) bool { return n > 1 }},
		{40, 1000, func(n int) bool { return n > 10 }},
	} {
		t.Run(fmt.Sprintf("%d channels of %d", c.channels, c.clients), func(t *testing.T) {
			want := fullEngine(c.channels, c.clients)
			parts := SplitReport(3, want)
			if !c.parts(len(parts)) {
				t.Errorf("%d parts", len(parts))
			}
			got := gather(t, &Gather{}, parts)
			if !reflect.DeepEqual(got, want) {
				t.Error("what was gathered is not what was split")
			}
		})
	}
}

// gather sends the parts through the codec.
func gather(t *testing.T, g *Gather, parts []Report) report.Engine {
	t.Helper()
	for i, p := range parts {
		b, err := Encode(nil, p)
		if err != nil {
			t.Fatalf("part %d of %d: %v", i, len(parts), err)
		}
		m, err := Decode(b)
		if err != nil {
			t.Fatalf("part %d of %d: %v", i, len(parts), err)
		}
		whole, done := g.Add(m.(Report))
		if done != (i == len(parts)-1) {
			t.Fatalf("part %d of %d: done is %v", i, len(parts), done)
		}
		if done {
			return whole
		}
	}
	t.Fatal("never done")
	return report.Engine{}
}

// Parts are full: a splitter that makes one part a channel would pass the rest.
func TestSplitFillsParts(t *testing.T) {
	parts := SplitReport(1, fullEngine(40, 1000))
	for i, p := range parts[:len(parts)-1] {
		b, err := Encode(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < MaxMessage*9/10 {
			t.Errorf("part %d of %d has only %d bytes", i, len(parts), len(b))
		}
	}
}

func TestSplitCutsWhatIsTooLong(t *testing.T) {
	long := strings.Repeat("é", 70_000)
	streams := make([]report.Stream, 9000)
	for i := range streams {
		streams[i] = report.Stream{Program: 0xffff, PID: 0x1fff, Codec: long}
	}
	source := report.Source{Tag: long, State: long, Error: long, Legs: slices.Repeat([]report.Leg{{Tag: long, Dropped: long}}, 9)}
	fill(reflect.ValueOf(&source.Legs[0]).Elem(), math.MaxUint64-100)
	source.Legs[0].Tag = long
	e := report.Engine{ID: long, Version: long, Error: long, Channels: []report.Channel{{
		Name: long, Tag: long, State: long, Format: long, Streams: streams, Sources: slices.Repeat([]report.Source{source}, 50),
		Clients: []report.Client{{Tag: long, Addr: long}},
	}}}
	got := gather(t, &Gather{}, SplitReport(0, e))
	ch := got.Channels[0]
	if len(ch.Streams) != maxStreams || len(ch.Streams[0].Codec) != maxCodec || len(ch.Clients) != 1 {
		t.Errorf("%d streams, codec of %d bytes, %d clients", len(ch.Streams), len(ch.Streams[0].Codec), len(ch.Clients))
	}
	if len(ch.Sources) != maxSources || len(ch.Sources[0].Legs) != maxLegs {
		t.Errorf("%d sources of %d legs", len(ch.Sources), len(ch.Sources[0].Legs))
	}
	src := ch.Sources[0]
	for most, texts := range map[int][]string{
		maxTag:    {ch.Tag, ch.Clients[0].Tag},
		maxText:   {got.ID, got.Version, got.Error, ch.Clients[0].Addr},
		maxDetail: {ch.Name, ch.State, ch.Format, src.Tag, src.State, src.Error, src.Legs[1].Tag, src.Legs[1].Dropped},
	} {
		for _, s := range texts {
			if len(s) != most || !strings.HasPrefix(long, s) {
				t.Errorf("cut to %d bytes, want %d", len(s), most)
			}
		}
	}
	if streams[0].Codec != long || e.Channels[0].Tag != long || source.Tag != long || source.Legs[0].Tag != long {
		t.Error("the engine's own report was changed")
	}
}

func TestGatherForgetsAnUnfinishedReport(t *testing.T) {
	var g Gather
	g.Add(Report{Query: 1, Engine: fullEngine(2, 0)})
	want := fullEngine(1, 1)
	if got := gather(t, &g, SplitReport(2, want)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestGatherIsBounded(t *testing.T) {
	var g Gather
	part := Report{Engine: report.Engine{Channels: []report.Channel{{Tag: "a"}, {Tag: "b"}}}}
	for range maxParts + 10 {
		g.Add(part)
	}
	whole, done := g.Add(Report{Last: true})
	if !done || len(whole.Channels) != 2*maxParts || whole.Error == "" {
		t.Errorf("done %v, %d channels, error %q", done, len(whole.Channels), whole.Error)
	}
	if whole, _ := g.Add(Report{Last: true}); len(whole.Channels) != 0 || whole.Error != "" {
		t.Errorf("the next report begins with the last: %+v", whole)
	}
}
