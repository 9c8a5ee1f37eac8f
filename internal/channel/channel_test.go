package channel_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"sluice/internal/channel"
	"sluice/internal/lineup"
)

// TestWhatIsPublished: transport packets come out whole and aligned, whatever the
// datagrams look like; what is no transport stream at all is relayed as it is.
func TestWhatIsPublished(t *testing.T) {
	packets := null(70)
	noise := garbage(1024)
	cut := func(b []byte, size int) [][]byte { return slices.Collect(slices.Chunk(b, size)) }
	tests := []struct {
		name   string
		in     [][]byte
		want   []byte
		format string
	}{
		{"aligned", cut(packets, 7*packet), packets, "ts"},
		{"cut anywhere", cut(packets, 1000), packets, "ts"},
		{"behind a broken beginning", append([][]byte{packets[100:packet]}, cut(packets[packet:], 7*packet)...), packets[packet:], "ts"},
		{"garbage between", append(append(cut(packets[:14*packet], 7*packet), noise), cut(packets[14*packet:], 7*packet)...), packets, "ts"},
		{"garbage before", append([][]byte{noise}, cut(packets, 7*packet)...), packets, "ts"},
		{"no transport stream", slices.Repeat([][]byte{noise}, 9), bytes.Repeat(noise, 9), "raw"},
		{"not enough to tell", [][]byte{noise}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 1, lineup.Settings{})
			for _, b := range tt.in {
				r.put(0, b)
			}
			if got := r.report().Format; got != tt.format {
				t.Errorf("format %q, want %q", got, tt.format)
			}
			if got := all(r.h); !bytes.Equal(got, tt.want) {
				t.Errorf("published %d bytes, want %d (skipped %d)", len(got), len(tt.want), r.report().Sources[0].Skipped)
			}
		})
	}
}

// TestRawAfterATime: a slow source is not held back until there is much of it.
func TestRawAfterATime(t *testing.T) {
	r := newRig(t, 1, lineup.Settings{})
	r.put(0, []byte("one"))
	r.now += time.Second
	r.put(0, []byte("two"))
	if got := string(all(r.h)); got != "onetwo" {
		t.Errorf("published %q", got)
	}
}

// TestLife walks through the states of a channel with one source.
func TestLife(t *testing.T) {
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	type check struct {
		at     float64
		do     func(*rig)
		state  channel.State
		reason channel.Reason
	}
	leave := func(r *rig) { r.c.Leave(r.now) }
	join := func(r *rig) { r.c.Join() }
	data := func(r *rig) { r.put(0, null(7)) }
	limits := lineup.Settings{Linger: 3 * time.Second, NoData: 5 * time.Second}
	pinned := limits
	pinned.Pinned = true
	tests := []struct {
		name     string
		settings lineup.Settings
		steps    []check
	}{
		{"silent from the start", limits, []check{
			{4.9, nil, channel.Joining, channel.None},
			{5, nil, channel.Joining, channel.NoData},
		}},
		{"falls silent", limits, []check{
			{1, data, channel.Live, channel.None},
			{2, nil, channel.Live, channel.None},
			{2.1, nil, channel.Silent, channel.None},
			{5.9, nil, channel.Silent, channel.None},
			{6, nil, channel.Silent, channel.NoData},
		}},
		{"comes back", limits, []check{
			{1, data, channel.Live, channel.None},
			{5.5, nil, channel.Silent, channel.None},
			{5.6, data, channel.Live, channel.None},
			{10.5, nil, channel.Silent, channel.None},
		}},
		{"is waited for without end", lineup.Settings{Linger: time.Second}, []check{
			{3600, nil, channel.Joining, channel.None},
			{3601, data, channel.Live, channel.None},
			{90000, nil, channel.Silent, channel.None},
			{90000, leave, channel.Lingering, channel.None},
			{90001, nil, channel.Lingering, channel.Unused},
		}},
		{"lingers, is watched again, is left", limits, []check{
			{1, data, channel.Live, channel.None},
			{2, leave, channel.Lingering, channel.None},
			{4, data, channel.Lingering, channel.None},
			{4.5, join, channel.Live, channel.None},
			{5, leave, channel.Lingering, channel.None},
			{7, data, channel.Lingering, channel.None},
			{8, nil, channel.Lingering, channel.Unused},
			{8, func(r *rig) { r.c.End(r.now) }, channel.Closed, channel.None},
		}},
		{"is not kept at all", lineup.Settings{}, []check{
			{1, data, channel.Live, channel.None},
			{2, leave, channel.Lingering, channel.Unused},
		}},
		{"pinned", pinned, []check{
			{1, data, channel.Live, channel.None},
			{1, leave, channel.Live, channel.None},
			{4.5, nil, channel.Silent, channel.None},
			{5, data, channel.Live, channel.None},
			{9, data, channel.Live, channel.None},
			{14, nil, channel.Silent, channel.NoData},
		}},
		{"pinned later", limits, []check{
			{1, data, channel.Live, channel.None},
			{1, leave, channel.Lingering, channel.None},
			{5, data, channel.Lingering, channel.Unused},
			{5, func(r *rig) { r.c.Pin() }, channel.Live, channel.None},
		}},
		{"pinned no more", pinned, []check{
			{1, data, channel.Live, channel.None},
			{1, leave, channel.Live, channel.None},
			{5, data, channel.Live, channel.None},
			{6, func(r *rig) { r.c.Unpin(r.now) }, channel.Lingering, channel.None},
			{7, data, channel.Lingering, channel.None},
			{7, func(r *rig) { r.c.Unpin(r.now) }, channel.Lingering, channel.None}, // begins nothing anew
			{10, data, channel.Lingering, channel.Unused},
		}},
		{"fails", limits, []check{
			{1, data, channel.Live, channel.None},
			{2, func(r *rig) { r.fail(0) }, channel.Silent, channel.None},
			{5.9, nil, channel.Silent, channel.None},
			{6, nil, channel.Silent, channel.SourceFailed},
		}},
		{"fails and is waited for without end", lineup.Settings{}, []check{
			{1, data, channel.Live, channel.None},
			{2, func(r *rig) { r.fail(0) }, channel.Silent, channel.None},
			{3600, nil, channel.Silent, channel.None},
		}},
		{"is held back", limits, []check{
			{1, data, channel.Live, channel.None},
			{5.9, func(r *rig) { r.c.Held(r.now) }, channel.Live, channel.None},
			{10.8, nil, channel.Silent, channel.None},
			{10.9, nil, channel.Silent, channel.NoData},
		}},
		{"ends", limits, []check{
			{1, data, channel.Live, channel.None},
			{1, func(r *rig) { r.finish(0) }, channel.Silent, channel.SourceEnded},
		}},
		{"ends without a word", limits, []check{
			{1, func(r *rig) { r.finish(0) }, channel.Joining, channel.SourceEnded},
		}},
		{"cannot be opened", lineup.Settings{}, []check{
			{1, func(r *rig) { r.fail(0) }, channel.Joining, channel.SourceFailed},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 1, tt.settings)
			for _, s := range tt.steps {
				r.now = at(s.at)
				if s.do != nil {
					s.do(r)
				}
				if state, due := r.c.State(r.now), r.c.Overdue(r.now); state != s.state || due != s.reason {
					t.Fatalf("at %v s: %v, due %q; want %v, %q", s.at, state, due, s.state, s.reason)
				}
			}
		})
	}
}

// TestEnd: nothing is wanted of a channel that has ended.
func TestEnd(t *testing.T) {
	r := newRig(t, 2, lineup.Settings{})
	r.pass(time.Second, 0)
	r.c.End(r.now)
	r.tune()
	if r.feeds[0] != nil || !r.c.Ended() || r.c.EndedFor(r.now+time.Second) != time.Second || r.report().State != "closed" {
		t.Errorf("open %v, ended %v for %v, %q", r.feeds[0] != nil, r.c.Ended(), r.c.EndedFor(r.now+time.Second), r.report().State)
	}
}

// TestGarbageIsSilence: a transport stream that turns to garbage is as good as none.
func TestGarbageIsSilence(t *testing.T) {
	r := newRig(t, 1, lineup.Settings{NoData: 5 * time.Second})
	r.put(0, null(7))
	for range 5 {
		if due := r.c.Overdue(r.now); due != channel.None {
			t.Fatalf("overdue at %v: %v", r.now, due)
		}
		r.put(0, garbage(1024))
		r.now += time.Second
	}
	if due := r.c.Overdue(r.now); due != channel.NoData {
		t.Errorf("after 5 s of garbage: %q", due)
	}
}

// TestSkipFinishesThePacket: a client whose last send ended inside a packet gets the
// rest of it before it goes on elsewhere, also where the stream before was no packets.
func TestSkipFinishesThePacket(t *testing.T) {
	for name, before := range map[string][]byte{"from the start": nil, "behind a raw stream": garbage(80 << 10)[:70001]} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, lineup.Settings{NoData: time.Second})
			if before != nil {
				r.put(0, before)
				r.fail(0)
				r.pass(time.Second, 1)
			}
			base := r.h.Head()
			if before != nil {
				base = int64(len(before))
				r.put(1, null(3000))
			} else {
				r.put(0, null(3000)) // more than two segments
			}
			out := all(r.h)
			tail := r.h.AfterRetire()
			for _, off := range []int64{base, base + 1, base + 187, base + 188, base + 189, tail - 1} {
				cut, to := r.c.Skip(off, tail)
				end := base + (off-base+packet-1)/packet*packet
				if !bytes.Equal(cut, out[off:end]) {
					t.Errorf("at %d: %d bytes finish the packet, want %d", off, len(cut), end-off)
				}
				if to.Offset < tail || (to.Offset-base)%packet != 0 || to.Offset > r.h.Head() {
					t.Errorf("at %d: goes on at %d, window from %d to %d", off, to.Offset, tail, r.h.Head())
				}
			}
			if cut, _ := r.c.Skip(base-min(base, 3), tail); len(cut) > 0 {
				t.Errorf("%d bytes finish a packet where there are none", len(cut))
			}
		})
	}
}

// TestStart: where clients begin that come later.
func TestStart(t *testing.T) {
	r := newRig(t, 1, lineup.Settings{})
	if _, ok := r.c.Start(lineup.Start{}, 0); ok {
		t.Error("a start in a channel that has nothing")
	}
	r.pass(10*time.Second, 0) // a key frame at 0.1 s, 1.1 s, … 9.1 s
	head := r.h.Head()
	const second = 10 * 7 * packet
	for _, tt := range []struct {
		start lineup.Start
		at    int64 // of the tables in front of it
	}{
		{lineup.Start{}, 9 * second},
		{lineup.Start{Back: time.Millisecond}, 9 * second},
		{lineup.Start{Back: 3 * time.Second}, 6 * second},
		{lineup.Start{Back: 2900 * time.Millisecond}, 7 * second},
		{lineup.Start{Back: time.Hour}, 0},
	} {
		m, ok := r.c.Start(tt.start, r.now)
		if !ok || m.Offset != tt.at+2*packet || len(m.Preamble) != 2*packet {
			t.Errorf("%v: at %d with %d bytes before it, want %d and two packets", tt.start, m.Offset, len(m.Preamble), tt.at+2*packet)
		}
		if out := all(r.h); ok && !bytes.Equal(m.Preamble, out[m.Offset-2*packet:m.Offset]) {
			t.Errorf("%v: not the tables that stand before it", tt.start)
		}
	}
	if m, ok := r.c.Start(lineup.Start{Live: true}, r.now); !ok || m.Offset != head || len(m.Preamble) > 0 {
		t.Errorf("live is at %d with %d bytes before it, want %d", m.Offset, len(m.Preamble), head)
	}
}
