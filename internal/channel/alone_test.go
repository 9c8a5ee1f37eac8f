package channel_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/lineup"
)

// TestReopened: an only source that breaks is opened again at once, then once a second, and
// goes on air at a key frame, behind a seam.
func TestReopened(t *testing.T) {
	r := newRig(t, 1, lineup.Settings{NoData: 10 * sec})
	r.pass(3*sec, 0)
	r.feeds[0] = nil
	r.c.Failed(0, errRefused, r.now)
	if !r.c.Wants(0, r.now) {
		t.Fatal("not wanted at once")
	}
	r.c.Failed(0, errRefused, r.now)
	for _, want := range []struct {
		after time.Duration
		open  bool
	}{{0, false}, {sec - 1, false}, {sec, true}} {
		if got := r.c.Wants(0, r.now+want.after); got != want.open {
			t.Errorf("%v after it could not be opened: wanted %v", want.after, got)
		}
	}
	r.pass(2*sec, 0)
	if s := r.c.State(r.now); s != channel.Live || r.opened[0] != 2 || len(r.switches) != 0 {
		t.Errorf("%v, opened %d times, %d switches", s, r.opened[0], len(r.switches))
	}
	parts := runs(t, all(r.h), 0)
	if len(parts) != 2 || parts[1].lead == 0 || !parts[1].key || !parts[1].announced {
		t.Errorf("%+v", parts)
	}
}

// TestCut: an only source that would begin anew is not opened again.
func TestCut(t *testing.T) {
	r := newRig(t, 1, lineup.Settings{})
	r.pass(3*sec, 0)
	r.feeds[0] = nil
	r.c.Cut()
	r.c.Failed(0, errRefused, r.now)
	if due := r.c.Overdue(r.now); due != channel.SourceFailed || r.c.Wants(0, r.now) {
		t.Errorf("due %q, wanted %v", due, r.c.Wants(0, r.now))
	}
}

// TestReopenedInVain: a source that breaks whenever it is opened is opened once a second,
// and the channel ends when the last byte is as old as the no-data time.
func TestReopenedInVain(t *testing.T) {
	r := newRig(t, 1, lineup.Settings{NoData: 10 * sec})
	r.pass(3*sec, 0)
	last := r.now
	for r.c.Overdue(r.now) == channel.None && r.now < last+20*sec {
		if r.feeds[0] != nil {
			r.feeds[0] = nil
			r.c.Failed(0, errRefused, r.now)
		}
		r.pass(step)
	}
	if due := r.c.Overdue(r.now); due != channel.SourceFailed || r.now-last != 10*sec {
		t.Errorf("%q after %v", due, r.now-last)
	}
	if n := r.opened[0]; n < 10 || n > 12 {
		t.Errorf("opened %d times in 10 s", n)
	}
}

// TestFinishedAmongSeveral: then the next one is taken.
func TestFinishedAmongSeveral(t *testing.T) {
	r := newRig(t, 2, lineup.Settings{NoData: 2 * sec})
	r.pass(2*sec, 0, 1)
	r.finish(0)
	r.pass(3*sec, 0, 1)
	if due, states := r.c.Overdue(r.now), r.states(); due != channel.None || states[1] != "on air" {
		t.Errorf("due %q, %q", due, states)
	}
}

// TestShort: what a source sent that ended before it was known what it is comes through.
func TestShort(t *testing.T) {
	for name, b := range map[string][]byte{
		"text": []byte("short"), "one packet and a half": null(2)[:packet*3/2], "packets, not at once": null(3),
	} {
		r := newRig(t, 1, lineup.Settings{})
		for _, c := range b { // in as small pieces as can be
			r.put(0, []byte{c})
		}
		r.finish(0)
		if got := all(r.h); !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes of %d came", name, len(got), len(b))
		}
	}
}

// TestTrickle: packets that come a byte at a time are packets all the same.
func TestTrickle(t *testing.T) {
	r := newRig(t, 1, lineup.Settings{})
	sent := null(20)
	for _, c := range sent {
		r.put(0, []byte{c})
	}
	if f := r.report().Format; f != "ts" || !bytes.HasPrefix(sent, all(r.h)) || r.h.Head() < 15*packet {
		t.Errorf("%d bytes of format %q", r.h.Head(), f)
	}
}

// TestCopy: a file is copied as it is, is waited for without end, and is not begun again.
func TestCopy(t *testing.T) {
	pool := history.NewPool(0)
	defer pool.Close()
	h := history.New(pool, history.Limits{})
	defer h.Free()
	conf := lineup.Channel{Copy: 1, Settings: lineup.Settings{NoData: sec}}
	conf.Sources = newRig(t, 1, lineup.Settings{}).c.Sources
	c := channel.New(conf, h, 0)
	c.Join()
	f := c.Opened(0, 0)
	sent := slices.Concat(null(10), garbage(1024), null(10)[:packet/2])
	put(f, 0, sent)
	if got := all(h); !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d", len(got), len(sent))
	}
	if due := c.Overdue(time.Hour); due != channel.None {
		t.Errorf("after an hour: %q", due)
	}
	c.Failed(0, errRefused, time.Hour)
	if due := c.Overdue(time.Hour); due != channel.SourceFailed || c.Wants(0, time.Hour) {
		t.Errorf("broken: due %q, wanted %v", due, c.Wants(0, time.Hour))
	}
}

// TestObey: settings of a later order hold at once; who is pinned stays so.
func TestObey(t *testing.T) {
	r := newRig(t, 1, lineup.Settings{NoData: 10 * sec, Pinned: true})
	r.pass(sec, 0)
	r.c.Obey(lineup.Settings{NoData: 2 * sec})
	r.pass(2 * sec)
	if due := r.c.Overdue(r.now); due != channel.NoData || !r.c.Pinned {
		t.Errorf("due %q, pinned %v", due, r.c.Pinned)
	}
}
