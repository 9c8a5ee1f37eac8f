package gws

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"sluice/internal/handoff"
	"sluice/internal/lineup"
	"sluice/internal/report"
)

func pinned(name, source string) lineup.Channel {
	c := channelOf(name, source)
	c.Pinned = true
	return c
}

// TestPinsAreDue: who is asked to pin what, and when.
func TestPinsAreDue(t *testing.T) {
	a, b, c := pinned("a", tagA), pinned("b", tagB), channelOf("c", tagC)
	s := desk(Config{MaxEngines: 9, Lineup: lineupOf(t, nil, a, b, c)})
	at := time.Now().Add(time.Hour) // that far from what engines do
	due := func(after time.Duration, want ...string) {
		t.Helper()
		at = at.Add(after)
		got := []string{}
		for _, o := range s.duePins(at) {
			if !o.pin.Channel.Pinned {
				t.Errorf("%s is not to be pinned", o.pin.Channel.Name)
			}
			got = append(got, o.pin.Channel.Name+" at "+o.engine.hello.Engine)
		}
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	due(0) // no engine
	one := s.enlist(t, "1")
	two := s.enlist(t, "2")
	s.settled = at.Add(settleTime)
	due(settleTime - 1)
	due(1, "a at 1", "b at 2") // in turn
	due(pinAgain - 1)
	due(1, "a at 1", "b at 2") // neither was opened; they stay where they are
	s.onChannelOpen(one, handoff.ChannelOpen{Tag: tagA})
	due(pinAgain - 1)
	due(1, "b at 2")
	s.onChannelOpen(two, handoff.ChannelOpen{Tag: tagB})
	due(time.Hour)

	// Its source failed.
	s.onChannelEnd(two, handoff.ChannelEnd{Tag: tagB})
	s.pins[1].next = at.Add(pinAgain) // not by the clock of the world
	due(pinAgain - 1)
	s.onChannelOpen(one, handoff.ChannelOpen{Tag: tagB}) // a client opened it
	due(1, "b at 1")
	due(time.Hour)

	// Engines leave.
	s.onBye(one, handoff.Bye{})
	due(time.Hour, "a at 2", "b at 2")
	s.onChannelOpen(two, handoff.ChannelOpen{Tag: tagA})
	s.onChannelOpen(two, handoff.ChannelOpen{Tag: tagB})
	s.lose(one, errEnd)
	s.lose(two, errEnd)
	due(time.Hour)
	if s.tally.clients != 0 || len(s.tally.channels) != 0 {
		t.Errorf("something is left: %+v", s.tally)
	}
}

// TestPinsAreLearned: what engines have pinned already is left with them, also for a gws
// that knows only their reports.
func TestPinsAreLearned(t *testing.T) {
	s := desk(Config{MaxEngines: 9, Lineup: lineupOf(t, nil, pinned("a", tagA), pinned("b", tagB), pinned("c", tagC))})
	s.enlist(t, "1")
	s.enlist(t, "2", report.Channel{Tag: tagA, State: "live", Pinned: true}, report.Channel{Tag: tagB, State: "live"},
		report.Channel{Tag: tagC, State: report.ChannelClosed, Pinned: true})
	if s.duePins(time.Now()) != nil {
		t.Error("a channel is pinned before all engines are there")
	}
	got := make(map[string]string)
	for _, o := range s.duePins(time.Now().Add(time.Hour)) {
		got[o.pin.Channel.Name] = o.engine.hello.Engine
	}
	if want := map[string]string{"b": "2", "c": "1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestExcessPins: a channel that two engines have pinned, or that is not to be pinned, is
// let go, once.
func TestExcessPins(t *testing.T) {
	s := desk(Config{MaxEngines: 9, Lineup: lineupOf(t, nil, pinned("a", tagA), channelOf("b", tagB))})
	all := func(state string, tags ...string) (list []report.Channel) {
		for _, tag := range tags {
			list = append(list, report.Channel{Tag: tag, State: state, Pinned: true})
		}
		return list
	}
	s.enlist(t, "1", all(report.ChannelClosed, tagA)...)
	two := s.enlist(t, "2", all("live", tagA)...)
	s.enlist(t, "3", append(all("live", tagA, tagB), report.Channel{Tag: tagC, State: "live"})...)
	if s.excessPins(time.Now()) != nil {
		t.Error("a channel is let go before all engines are there")
	}
	at := time.Now().Add(time.Hour)
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for _, x := range s.excessPins(at) {
			got = append(got, x.unpin.Tag+" at "+x.engine.hello.Engine)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if due := s.duePins(at); due != nil {
			t.Errorf("due are %v", due)
		}
	}
	expect(tagA+" at 3", tagB+" at 3")
	expect()
	s.replaceBelief(two, report.Engine{Channels: all("live", tagA, tagC)})
	expect(tagC + " at 2")
}

// An end that is told makes the channel wait, and nothing else.
func TestEndedPinWaits(t *testing.T) {
	s := desk(Config{MaxEngines: 1, Lineup: lineupOf(t, nil, pinned("a", tagA), pinned("b", tagB))})
	e := s.enlist(t, "1")
	s.settled = time.Time{}
	s.onChannelEnd(e, handoff.ChannelEnd{Tag: tagA})
	if due := s.duePins(time.Now()); len(due) != 1 || due[0].pin.Channel.Name != "b" {
		t.Errorf("due are %v", due)
	}
}

// TestIssue2PinnedChannels: pinned channels are asked for when the engine is there, their
// clients go to it, and another engine gets them when it is lost.
func TestIssue2PinnedChannels(t *testing.T) {
	news := pinned("news", tag)
	h := open(t, Config{Lineup: lineupOf(t, nil, news)}, func(s *Server) { s.pinning = time.Hour })
	at := time.Now().Add(time.Hour)
	one := h.engine("1")
	h.server.sendPins(at)
	if m := one.recv(); !reflect.DeepEqual(m, handoff.Pin{Channel: arrived(t, news)}) {
		t.Fatalf("the engine was told %#v", m)
	}
	one.send(handoff.ChannelOpen{Tag: tag})
	h.log.wait("channel opened")
	two := h.engine("2")
	for range 2 { // whoever's turn it is
		client := h.ask("GET /$news HTTP/1.0\r\n\r\n")
		if a := one.serve("news"); !reflect.DeepEqual(a.Channel, arrived(t, news)) {
			t.Errorf("asked for %+v", a.Channel)
		}
		h.all(client)
	}
	one.die()
	h.log.wait("engine lost", "engine=1")
	h.server.sendPins(at.Add(pinAgain))
	if m := two.recv(); !reflect.DeepEqual(m, handoff.Pin{Channel: arrived(t, news)}) {
		t.Fatalf("the other engine was told %#v", m)
	}
	two.send(handoff.ChannelOpen{Tag: tag})
	h.log.waitMore(1, "channel opened")
	back := h.engine("1", report.Channel{Tag: tag, State: "live", Pinned: true}) // it was alive
	h.server.sendPins(at.Add(2 * pinAgain))
	if m := back.recv(); m != (handoff.Unpin{Tag: tag}) {
		t.Fatalf("the engine that came back was told %#v", m)
	}
}
