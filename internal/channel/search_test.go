package channel_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/internal/channel"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
)

const sec = time.Second

// settings with a no-data time of two seconds.
func impatient() lineup.Settings { return lineup.Settings{NoData: 2 * sec, Health: true} }

func (r *rig) check(state channel.State, sources ...string) {
	if got := r.c.State(r.now); got != state || !slices.Equal(r.states(), sources) {
		r.t.Fatalf("at %v: %v with %q, want %v with %q", r.now, got, r.states(), state, sources)
	}
}

func (r *rig) due(want channel.Reason) {
	if got := r.c.Overdue(r.now); got != want {
		r.t.Fatalf("at %v: due %q, want %q", r.now, got, want)
	}
}

// output checks what all switches promise, and returns the stations in their order.
func (r *rig) output() (from []byte) {
	all := runs(r.t, all(r.h), r.h.Tail())
	for i, run := range all {
		from = append(from, run.from)
		switch {
		case run.lost > 0:
			r.t.Fatalf("station %d is on air at %d and misses something in %d places", run.from, run.at, run.lost)
		case i == 0:
		case run.lead != 3 || run.tables != 2 || !run.key:
			r.t.Fatalf("station %d goes on at %d with %d leaders, %d tables, key frame %v", run.from, run.at, run.lead, run.tables, run.key)
		case run.clock && !run.announced:
			r.t.Fatalf("station %d goes on at %d with a clock that is not announced", run.from, run.at)
		}
	}
	return from
}

// TestBackup: the way there and back.
func TestBackup(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.check(channel.Joining, "on air", "standby")
	r.pass(3*sec, 0, 1)
	r.check(channel.Live, "on air", "standby")
	r.pass(1100*time.Millisecond, 1)
	r.check(channel.Silent, "on air", "standby")
	r.pass(900*time.Millisecond, 1)
	r.check(channel.Silent, "on air", "trial")
	for range 10 {
		r.pass(step, 1) // up to its key frame
	}
	r.check(channel.Backup, "trial", "on air")
	if m, _ := r.c.Start(lineup.Start{}, r.now); m.Offset < r.h.Head()-8*packet*10 {
		t.Errorf("clients begin at %d, before the switch", m.Offset)
	}

	r.pass(4*sec, 0, 1) // healthy, but not for long enough
	r.check(channel.Backup, "trial", "on air")
	r.pass(2500*time.Millisecond, 0, 1)
	r.check(channel.Live, "on air", "standby")
	r.pass(sec, 0, 1)

	if got := r.output(); !bytes.Equal(got, []byte{0, 1, 0}) {
		t.Errorf("on air were %v", got)
	}
	if want := []channel.Switch{{From: 0, To: 1, Reason: channel.NoData}, {From: 1, To: 0, Reason: channel.Recovered}}; !slices.Equal(r.switches, want) {
		t.Errorf("told %v, want %v", r.switches, want)
	}
}

// TestSwitchOfAStream: an ordinary receiver of the output meets no fault but what is
// really missing, which is sound; and so do the channel's own counters, which only count
// what each source did on air.
func TestSwitchOfAStream(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.pass(3050*time.Millisecond, 0, 1)
	r.pass(4*sec, 1)
	r.pass(7*sec, 0, 1)
	if got := r.output(); !bytes.Equal(got, []byte{0, 1, 0}) {
		t.Fatalf("on air were %v", got)
	}
	tracker := ts.Tracker{CheckHealth: true}
	keys := 0
	for _, s := range tracker.Scan(all(r.h), 0) {
		if s.Kind == ts.KeyFrame {
			keys++
		}
	}
	h := tracker.Health()
	if sound := h.Continuity; sound > 2 {
		t.Errorf("%d counters jump at two switches", sound)
	}
	h.Continuity = 0
	if h != (ts.Health{}) {
		t.Errorf("faults in the output: %+v", h)
	}
	if want := len(all(r.h)) / (70 * packet); keys < want {
		t.Errorf("%d key frames in %d s", keys, want)
	}
	if got := r.report().Health; got == nil || got.PCRJump != 0 || got.Continuity != 0 || got.PAT != 0 {
		t.Errorf("counted on air: %+v", got)
	}
}

// TestOffAirIsNotCounted: faults of a source on trial are its own, not the channel's.
func TestOffAirIsNotCounted(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.pass(1100*time.Millisecond, 0, 1)
	r.stations[0].datagram() // lost on air
	r.pass(sec, 0, 1)
	onAir := *r.report().Health
	if onAir.Continuity != 2 {
		t.Fatalf("a lost datagram of two PIDs: %+v", onAir)
	}
	r.pass(4*sec, 1)
	for range 5 {
		r.stations[0].datagram()
		r.pass(200*time.Millisecond, 0, 1)
	}
	if got := *r.report().Health; got.Continuity != onAir.Continuity {
		t.Errorf("on air %+v, then with a bad source on trial %+v", onAir, got)
	}
	if got := r.report().Sources[0].Continuity; got < 10 {
		t.Errorf("%d jumps of the source on trial", got)
	}
	r.pass(8*sec, 0, 1)
	r.check(channel.Live, "on air", "standby")
	if got := *r.report().Health; got.Continuity != onAir.Continuity {
		t.Errorf("on air %+v, then on trial and back %+v", onAir, got)
	}
	off := newRig(t, 1, lineup.Settings{})
	off.pass(sec, 0)
	if off.report().Health != nil {
		t.Error("health is counted though it is switched off")
	}
}

// TestFlapping: a first source that comes and goes each second stays off air while the
// back-up is good; and returns once it is healthy.
func TestFlapping(t *testing.T) {
	for name, flap := range map[string]func(*rig){
		"silent": func(r *rig) { r.pass(sec, 0, 1); r.pass(1100*time.Millisecond, 1) },
		"breaking": func(r *rig) {
			for r.refuse[0] = nil; r.feeds[0] == nil; {
				r.pass(step, 0, 1)
			}
			r.pass(4*sec, 0, 1)
			r.fail(0)
		},
		"with holes": func(r *rig) { r.pass(500*time.Millisecond, 0, 1); r.stations[0].datagram() },
		"out of sync": func(r *rig) {
			r.pass(sec, 0, 1)
			r.put(0, []byte("noise"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, impatient())
			r.pass(2*sec, 0, 1)
			r.pass(4*sec, 1)
			r.check(channel.Backup, "trial", "on air")
			for range 30 {
				flap(r)
				if r.states()[1] != "on air" {
					t.Fatalf("at %v: %q", r.now, r.states())
				}
			}
			r.refuse[0] = nil
			r.pass(13*sec, 0, 1)
			r.check(channel.Live, "on air", "standby")
			if got := r.output(); !bytes.Equal(got, []byte{0, 1, 0}) {
				t.Errorf("on air were %v", got)
			}
		})
	}
}

// TestWorseBackup: what is silent, garbage or broken is passed over.
func TestWorseBackup(t *testing.T) {
	r := newRig(t, 4, impatient())
	r.pass(2*sec, 0)
	r.refuse[1] = errRefused
	noise := func(d time.Duration, on ...int) {
		for end := r.now + d; r.now < end; {
			r.put(2, garbage(1024))
			r.pass(step, on...)
		}
	}
	noise(2*sec, 3)
	r.check(channel.Silent, "on air", "failed", "trial", "standby")
	noise(2*sec, 3)
	r.check(channel.Silent, "on air", "failed", "standby", "trial")
	noise(sec, 3)
	r.check(channel.Backup, "trial", "failed", "standby", "on air")
	r.due(channel.None)
	if s := r.report().Sources[1]; s.Error != errRefused.Error() {
		t.Errorf("source 1: %q", s.Error)
	}
	if got := r.output(); !bytes.Equal(got, []byte{0, 3}) {
		t.Errorf("on air were %v", got)
	}
}

// TestFullCircle: when all have been tried the channel ends, or goes round without end.
func TestFullCircle(t *testing.T) {
	t.Run("silent", func(t *testing.T) {
		r := newRig(t, 3, impatient())
		r.pass(2*sec, 0)
		r.pass(6*sec - step)
		r.due(channel.None)
		r.pass(step)
		r.due(channel.NoData)
	})
	t.Run("silent from the start", func(t *testing.T) {
		r := newRig(t, 3, impatient())
		r.pass(6*sec - step)
		r.due(channel.None)
		r.pass(step)
		r.due(channel.NoData)
	})
	t.Run("on a back-up, the first silent all the time", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.pass(2*sec, 0)
		r.pass(8*sec, 1)
		r.check(channel.Backup, "trial", "on air")
		r.pass(2*sec - step)
		r.due(channel.None)
		r.pass(step)
		r.due(channel.NoData)
	})
	t.Run("without end", func(t *testing.T) {
		r := newRig(t, 3, lineup.Settings{})
		r.pass(2*sec, 0)
		r.pass(100 * sec)
		r.due(channel.None)
		if r.opened[1] < 5 || r.opened[2] < 5 || r.opened[0] != 1 {
			t.Errorf("in 100 s opened %v times", r.opened)
		}
		r.pass(20*sec, 2)
		r.check(channel.Backup, "trial", "standby", "on air")
	})
	t.Run("failed", func(t *testing.T) {
		r := newRig(t, 3, lineup.Settings{})
		r.pass(2*sec, 0)
		r.refuse[1], r.refuse[2] = errRefused, errRefused
		r.fail(0)
		r.due(channel.SourceFailed)
	})
	t.Run("one silent, the others failed", func(t *testing.T) {
		r := newRig(t, 3, lineup.Settings{})
		r.pass(2*sec, 0)
		r.refuse[1], r.refuse[2] = errRefused, errRefused
		r.pass(20 * sec)
		r.due(channel.None)
		r.refuse[2] = nil
		r.pass(8*sec, 2)
		r.check(channel.Backup, "trial", "failed", "on air")
	})
	t.Run("a hint in time", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.pass(2*sec, 0)
		r.refuse[1] = errRefused
		r.pass(2 * sec)
		r.due(channel.NoData)
		r.pass(step, 0)
		r.due(channel.None)
	})
}

// TestFailure: a source that breaks is replaced at once, and the first is tried again
// after RetryTime.
func TestFailure(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.pass(2*sec, 0, 1)
	r.fail(0)
	r.check(channel.Silent, "failed", "trial")
	r.refuse[0] = nil
	r.pass(sec, 0, 1)
	r.check(channel.Backup, "failed", "on air")
	r.pass(3900*time.Millisecond, 0, 1)
	r.check(channel.Backup, "failed", "on air")
	r.pass(step, 0, 1)
	r.check(channel.Backup, "trial", "on air")
	r.pass(6100*time.Millisecond, 0, 1)
	r.check(channel.Live, "on air", "standby")
	if want := []channel.Switch{{From: 0, To: 1, Reason: channel.SourceFailed}, {From: 1, To: 0, Reason: channel.Recovered}}; !slices.Equal(r.switches, want) {
		t.Errorf("told %v, want %v", r.switches, want)
	}
	r.output()
}

// TestFirstDeliversAgain: data from the source on air ends the search for another.
func TestFirstDeliversAgain(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.pass(2*sec, 0)
	r.pass(2 * sec)
	r.check(channel.Silent, "on air", "trial")
	r.pass(step, 0)
	r.check(channel.Live, "on air", "standby")
	if len(r.switches) > 0 {
		t.Errorf("told %v", r.switches)
	}
}

// TestBackupFails: the first, on trial, is taken at once when the back-up fails it.
func TestBackupFails(t *testing.T) {
	r := newRig(t, 3, impatient())
	r.pass(2*sec, 0, 1)
	r.pass(4*sec, 1)
	r.pass(2*sec, 0, 1)
	r.check(channel.Backup, "trial", "on air", "standby")
	r.fail(1)
	r.pass(sec, 0)
	r.check(channel.Live, "on air", "failed", "standby")
	r.output()
}

// TestCold: while nothing was published nobody waits for a key frame.
func TestCold(t *testing.T) {
	t.Run("first", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.stations[0].datagram()
		r.pass(step, 0)
		r.check(channel.Live, "on air", "standby")
		if r.h.Head() != 7*packet {
			t.Errorf("published %d bytes", r.h.Head())
		}
	})
	t.Run("back-up", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.pass(2 * sec)
		r.check(channel.Joining, "on air", "trial")
		r.pass(step, 1)
		r.check(channel.Backup, "trial", "on air")
		if m, _ := r.c.Start(lineup.Start{}, r.now); len(m.Preamble) != 2*packet {
			t.Error("the key frame is no start")
		}
		r.pass(3*sec, 1)
		if out := runs(t, all(r.h), 0); len(out) != 1 || out[0].lead != 0 || out[0].packets != 31*7 {
			t.Errorf("published %+v", out)
		}
	})
	t.Run("back-up in the middle", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.pass(2 * sec)
		r.stations[1].datagram()
		r.pass(step, 1)
		if r.h.Head() != 7*packet {
			t.Errorf("published %d bytes", r.h.Head())
		}
	})
	t.Run("back-up of one that cannot be opened", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.fail(0)
		r.check(channel.Joining, "failed", "on air")
		r.pass(step, 1)
		r.check(channel.Backup, "failed", "on air")
		if want := []channel.Switch{{From: 0, To: 1, Reason: channel.SourceFailed}}; !slices.Equal(r.switches, want) {
			t.Errorf("told %v, want %v", r.switches, want)
		}
	})
}

// TestSlowToOpen: a source that is still being opened has no more time than another.
func TestSlowToOpen(t *testing.T) {
	r := newRig(t, 2, impatient())
	c := channel.New(r.c.Channel, r.h, 0) // nothing of it is open yet
	r.c, r.feeds[0] = c, nil
	c.Join()
	if !c.Wants(0, 1900*time.Millisecond) || c.Wants(1, 1900*time.Millisecond) {
		t.Error("not the first alone is wanted")
	}
	if !c.Wants(0, 2*sec) || !c.Wants(1, 2*sec) {
		t.Error("not both are wanted")
	}
	r.now = 2 * sec
	r.feeds[1] = c.Opened(1, r.now)
	r.put(1, r.stations[1].datagram())
	r.tune()
	r.check(channel.Backup, "trial", "on air")
	if want := []channel.Switch{{From: 0, To: 1, Reason: channel.NoData}}; !slices.Equal(r.switches, want) {
		t.Errorf("told %v, want %v", r.switches, want)
	}
}

// TestNoKeyFrames: a back-up that shows none (it may be scrambled) is taken after KeyTime.
func TestNoKeyFrames(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.stations[1].plain = true
	r.pass(2*sec, 0, 1)
	r.pass(2*sec+channel.KeyTime-step, 1)
	r.check(channel.Silent, "on air", "trial")
	r.pass(2*step, 1)
	r.check(channel.Backup, "trial", "on air")
	out := runs(t, all(r.h), 0)
	if len(out) != 2 || out[1].from != 1 || out[1].lost > 0 || !out[1].announced {
		t.Errorf("published %+v", out)
	}
}

// TestRaw: a back-up of another kind.
func TestRaw(t *testing.T) {
	t.Run("packets after a raw stream", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		raw := garbage(80 << 10)[:70001]
		r.put(0, raw)
		r.pass(5*sec, 1)
		r.check(channel.Backup, "trial", "on air")
		if out := all(r.h); !bytes.HasPrefix(out, raw) {
			t.Error("the raw stream is not there")
		} else if got := runs(t, out[len(raw):], 0); len(got) != 1 || got[0].lead != 3 || !got[0].key {
			t.Errorf("behind it: %+v", got)
		}
	})
	t.Run("a raw stream after packets is garbage", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.pass(2*sec, 0)
		head := r.h.Head()
		for range 40 {
			r.put(1, garbage(64<<10))
			r.pass(step)
		}
		r.due(channel.NoData)
		if r.h.Head() != head {
			t.Errorf("%d bytes of it were published", r.h.Head()-head)
		}
	})
	t.Run("a raw stream after a raw one", func(t *testing.T) {
		r := newRig(t, 2, impatient())
		r.put(0, garbage(8<<20))
		r.pass(2 * sec)
		r.put(1, garbage(128<<10))
		r.check(channel.Backup, "trial", "on air")
		for range 52 {
			r.put(0, garbage(64<<10))
			r.put(1, garbage(64<<10))
			r.pass(step)
		}
		r.check(channel.Live, "on air", "standby")
	})
}

// TestHealthyTime: what the first source has to do to come back.
func TestHealthyTime(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.pass(2*sec, 0, 1)
	r.pass(4*sec, 1)
	for range 4 { // a few counters that jump are no burst
		r.stations[0].datagram()
		r.pass(1200*time.Millisecond, 0, 1)
	}
	r.pass(sec, 0, 1)
	if r.states()[0] != "trial" {
		t.Errorf("eight jumps in five seconds: %q", r.states())
	}
	r.stations[0].datagram()
	r.pass(7*sec, 0, 1)
	r.check(channel.Live, "on air", "standby")
}

// TestReport: what is told of sources that are open no more.
func TestReport(t *testing.T) {
	r := newRig(t, 2, impatient())
	r.pass(sec, 0)
	r.put(0, garbage(4096))
	r.pass(sec, 0)
	r.fail(0)
	got := r.report()
	if s := got.Sources[0]; s.SyncLost != 1 || s.Skipped == 0 || s.Tag != "UDP://239.1.1.1:5000" || s.Legs == nil {
		t.Errorf("the first source: %+v", s)
	}
	if got.Name != "one" || got.Tag != "UDP://239.1.1.1:5000" || got.Format != "ts" || got.Bytes == 0 || got.Health.SyncLoss != 1 {
		t.Errorf("%+v", got)
	}
	r.pass(sec, 1)
	if got := r.report(); len(got.Streams) != 2 || got.Streams[0].Codec != "h264" {
		t.Errorf("streams on air: %+v", got.Streams)
	}
}

// TestChunking: the switch is the same however the back-up's bytes are cut.
func TestChunking(t *testing.T) {
	for _, size := range []int{packet, 7 * packet, 1000, 1316 * 40, 700 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := newRig(t, 2, impatient())
			r.stations[1].late = true
			r.pass(2*sec, 0)
			r.pass(2 * sec)
			var b []byte
			for range 4000 {
				b = append(b, r.stations[1].datagram()...)
			}
			for chunk := range slices.Chunk(b, size) {
				r.put(1, chunk)
			}
			r.tune()
			r.check(channel.Backup, "trial", "on air")
			if got := r.output(); !bytes.Equal(got, []byte{0, 1}) {
				t.Errorf("on air were %v", got)
			}
		})
	}
}
