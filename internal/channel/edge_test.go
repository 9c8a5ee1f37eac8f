package channel_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"sluice/internal/channel"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
)

// TestTurnsBeginAnew: data ends a search; the next one tries everybody again.
func TestTurnsBeginAnew(t *testing.T) {
	r := newRig(t, 3, impatient())
	r.pass(sec, 0)
	r.pass(5 * sec)
	r.check(channel.Silent, "on air", "standby", "trial")
	r.pass(step, 0)
	r.pass(2 * sec)
	r.check(channel.Silent, "on air", "trial", "standby")
	r.due(channel.None)
}

// TestTimeAfterFailure: a channel whose source breaks has the no-data time, however long
// the others have been silent.
func TestTimeAfterFailure(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.pass(2 * sec)
	r.pass(10*sec, 1)
	r.fail(1)
	r.due(channel.None)
	r.pass(2*sec - step)
	r.due(channel.None)
	r.pass(step)
	r.due(channel.NoData)
}

// TestShortPatience: less than what counts as a gap is enough to be left; but then the
// first source has to be healthy anew.
func TestShortPatience(t *testing.T) {
	r := newRig(t, 2, lineup.Settings{NoData: 500 * time.Millisecond})
	r.stations[1].group = 1
	r.pass(sec, 0, 1)
	for range 3 {
		r.pass(600*time.Millisecond, 1)
		r.pass(5*sec, 0, 1)
		r.check(channel.Backup, "trial", "on air")
		r.pass(2*sec, 0, 1)
		r.check(channel.Live, "on air", "standby")
	}
	r.output()
}

// TestKeyFrameAwaitedAnew: how long a key frame was waited for in an earlier turn does not
// matter in the next.
func TestKeyFrameAwaitedAnew(t *testing.T) {
	noKey := func(r *rig, d time.Duration, on ...int) {
		r.stations[0].group = 1 << 30
		r.stations[0].made = 1
		r.pass(d, on...)
		r.stations[0].group, r.stations[0].made = 10, 1
	}
	t.Run("after it was on air", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.pass(sec, 0, 1)
		r.pass(4*sec, 1)
		r.pass(8*sec, 0, 1)
		r.check(channel.Live, "on air", "standby")
		r.pass(8*sec, 1)
		r.check(channel.Backup, "trial", "on air")
		r.pass(2 * sec)
		noKey(r, sec, 0)
		r.pass(sec, 0)
		r.check(channel.Live, "on air", "standby")
		r.output()
	})
	t.Run("after it was healthy", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.pass(sec, 0, 1)
		r.pass(4*sec, 1)
		noKey(r, 7*sec, 0, 1)
		r.pass(2*sec, 1)
		noKey(r, 6*sec, 0, 1)
		r.check(channel.Backup, "trial", "on air")
		r.pass(sec, 0, 1)
		r.check(channel.Live, "on air", "standby")
		r.output()
	})
}

// TestClocksOfAll: every PID's new clock is announced, also one that comes later.
func TestClocksOfAll(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.stations[1].clocks = true
	r.pass(2*sec, 0)
	at := r.h.Head()
	r.pass(2 * sec)
	for range 20 {
		for p := range slices.Chunk(r.stations[1].datagram(), packet) {
			r.put(1, p)
		}
		r.pass(step)
	}
	clocks := map[uint16]int{}
	for p := range slices.Chunk(all(r.h)[at:], packet) {
		if p := ts.Packet(p); p.HasPayload() && p.Discontinuity() {
			clocks[p.PID()]++
		}
	}
	if len(clocks) != 2 || clocks[videoPID] != 1 || clocks[audioPID] != 1 {
		t.Errorf("announced %v", clocks)
	}
}

// TestMiddleOfAUnit: where a source goes on air with what is not the beginning of
// anything, only its clock is announced: its payload really has a gap.
func TestMiddleOfAUnit(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.stations[1].plain = true
	r.pass(2*sec, 0)
	at := r.h.Head()
	r.pass(2*sec+channel.KeyTime, 1)
	r.now += sec
	r.check(channel.Silent, "on air", "trial")
	r.put(1, r.stations[1].key()[packet:])
	r.check(channel.Backup, "trial", "on air")
	if p := ts.Packet(all(r.h)[at:]); r.h.Head() != at+packet || p.Discontinuity() || p.PayloadStart() {
		t.Errorf("%d bytes behind the switch", r.h.Head()-at)
	}
}

// TestMoreThanIsHeld: a key frame that is already forgotten when it is recognized is none.
func TestMoreThanIsHeld(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.stations[1].group = 1 << 30
	r.pass(2*sec, 0)
	r.pass(2 * sec)
	b := r.stations[1].datagram()
	for len(b) < 3<<20 {
		b = append(b, r.stations[1].datagram()...)
	}
	r.put(1, b[:100]) // and then as much at once as there is room
	r.put(1, b[100:])
	r.check(channel.Silent, "on air", "trial")
	r.now += channel.KeyTime
	b = nil
	for len(b) < 3<<20 {
		b = append(b, r.stations[1].datagram()...)
	}
	r.put(1, b[:100])
	r.put(1, b[100:])
	r.check(channel.Backup, "trial", "on air")
	got := runs(t, all(r.h), 0)
	if len(got) != 2 || got[1].lost > 0 || !bytes.HasSuffix(all(r.h), b[len(b)/2:]) {
		t.Errorf("published %+v", got)
	}
}

// TestNoStartBeforeTheSeam: a key frame that began before its source was put on air, and
// was recognized behind it, is nothing to begin at: its first packet is not there.
func TestNoStartBeforeTheSeam(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.stations[1].group, r.stations[1].made = 1<<30, 1
	r.pass(2*sec, 0)
	r.pass(2*sec+channel.KeyTime-step, 1)
	r.check(channel.Silent, "on air", "trial")
	back := r.stations[1]
	tables, key, sound := back.tables(), back.key(), back.sound()
	r.put(1, slices.Concat(tables, key[:packet]))
	at := r.h.Head()
	r.pass(step)
	r.now += step
	r.put(1, sound)
	r.check(channel.Backup, "trial", "on air")
	r.put(1, key[packet:])
	m, ok := r.h.Latest()
	if !ok || m.Offset != at || len(m.Preamble) > 0 {
		t.Errorf("a start at %d with tables of %d bytes, want the seam at %d, which is no key frame", m.Offset, len(m.Preamble), at)
	}
}
