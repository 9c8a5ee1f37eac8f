package engine

import (
	"reflect"
	"testing"

	"sluice/internal/handoff"
	"sluice/internal/loop"
)

// TestQueueIsBounded: events beyond the bound are dropped and known to be lost;
// answers are kept.
func TestQueueIsBounded(t *testing.T) {
	q := newQueue()
	for range maxQueue + 10 {
		q.event(handoff.ChannelOpen{})
	}
	q.answer(handoff.Started{ID: 1})
	items, lost, _ := q.take()
	if len(items) != maxQueue+1 || !lost {
		t.Errorf("%d items, lost %v", len(items), lost)
	}
	if _, ok := items[maxQueue].(handoff.Started); !ok {
		t.Errorf("the answer is not there")
	}
	if items, lost, _ = q.take(); len(items) != 0 || lost {
		t.Errorf("taken twice: %d items, lost %v", len(items), lost)
	}
}

// TestOnlyTheNewestRates: those that gws did not take in time are replaced.
func TestOnlyTheNewestRates(t *testing.T) {
	o := observer{queue: newQueue()}
	old := make([]loop.Rate, 2*maxRates+1)
	o.Rates(old)
	o.Rates([]loop.Rate{{Tag: "a", Bps: 1}, {Tag: "b", Bps: 2}})
	items, _, _ := o.queue.take()
	want := handoff.Rates{Channels: []handoff.Rate{{Tag: "a", Bps: 1}, {Tag: "b", Bps: 2}}}
	if len(items) != 1 || !reflect.DeepEqual(items[0], want) {
		t.Errorf("%+v", items)
	}
	o.Rates(old)
	items, _, _ = o.queue.take()
	for i, m := range items {
		if r := m.(handoff.Rates); r.More != (i < 2) || len(r.Channels) == 0 {
			t.Errorf("part %d: %d channels, more %v", i, len(r.Channels), r.More)
		}
	}
	if len(items) != 3 {
		t.Errorf("%d parts, want 3", len(items))
	}
}

func TestRecent(t *testing.T) {
	r := newRecent(3)
	for _, id := range []uint64{1, 2, 3, 4} {
		if !r.add(id) {
			t.Errorf("%d is new", id)
		}
	}
	if r.add(4) || r.add(2) {
		t.Error("4 and 2 were there")
	}
	if !r.add(1) {
		t.Error("1 is forgotten")
	}
}

func TestValidate(t *testing.T) {
	ok := Config{ID: "1", Socket: "/x"}
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]Config{
		"no ID":      {Socket: "/x"},
		"no socket":  {ID: "1"},
		"memory":     {ID: "1", Socket: "/x", Memory: -1},
		"renewal":    {ID: "1", Socket: "/x", Renew: -1},
		"reconnects": {ID: "1", Socket: "/x", ReconnectAttempts: -1},
		"buffer":     {ID: "1", Socket: "/x", ReceiveBuffer: -1},
	} {
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
