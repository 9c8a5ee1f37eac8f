package channel_test

import (
	"bytes"
	"testing"
	"time"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/report"
)

const packet = 188

// null returns n null packets, numbered so that they can be told apart.
func null(n int) []byte {
	b := bytes.Repeat([]byte{0xFF}, n*packet)
	for i := range n {
		copy(b[i*packet:], []byte{0x47, 0x1F, 0xFF, 0x10, byte(i >> 8), byte(i)})
	}
	return b
}

func newChannel(t *testing.T, times channel.Times) (*channel.Channel, *history.History) {
	pool := history.NewPool(0)
	h := history.New(pool, history.Limits{})
	t.Cleanup(func() { h.Free(); pool.Close() })
	return channel.New("UDP://239.1.1.1:5000", times, h, 0), h
}

func put(c *channel.Channel, now time.Duration, b []byte) {
	c.At(now)
	for len(b) > 0 {
		n := copy(c.Reserve(1), b)
		c.Commit(n)
		b = b[n:]
	}
}

func all(h *history.History) []byte {
	return bytes.Join(h.Slices(nil, h.Tail(), int(h.Head()-h.Tail())), nil)
}

// TestWhatIsPublished: transport packets come out whole and aligned, whatever the
// datagrams look like; what is no transport stream at all is relayed as it is.
func TestWhatIsPublished(t *testing.T) {
	packets := null(70)
	garbage := bytes.Repeat([]byte("no packets here "), 64)
	cut := func(b []byte, size int) (out [][]byte) {
		for len(b) > 0 {
			n := min(size, len(b))
			out, b = append(out, b[:n]), b[n:]
		}
		return out
	}
	tests := []struct {
		name   string
		in     [][]byte
		want   []byte
		format string
	}{
		{"aligned", cut(packets, 7*packet), packets, "ts"},
		{"cut anywhere", cut(packets, 1000), packets, "ts"},
		{"behind a broken beginning", append([][]byte{packets[100:packet]}, cut(packets[packet:], 7*packet)...), packets[packet:], "ts"},
		{"garbage between", append(append(cut(packets[:14*packet], 7*packet), garbage), cut(packets[14*packet:], 7*packet)...), packets, "ts"},
		{"garbage before", append([][]byte{garbage}, cut(packets, 7*packet)...), packets, "ts"},
		{"no transport stream", [][]byte{garbage, garbage, garbage, garbage, garbage, garbage, garbage, garbage, garbage}, bytes.Repeat(garbage, 9), "raw"},
		{"not enough to tell", [][]byte{garbage}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, h := newChannel(t, channel.Times{})
			for _, b := range tt.in {
				put(c, 0, b)
			}
			if got := c.Report(report.Source{}).Format; got != tt.format {
				t.Errorf("format %q, want %q", got, tt.format)
			}
			if got := all(h); !bytes.Equal(got, tt.want) {
				t.Errorf("published %d bytes, want %d (skipped %d)", len(got), len(tt.want), c.Report(report.Source{}).Source.Skipped)
			}
		})
	}
}

// TestRawAfterATime: a slow source is not held back until there is much of it.
func TestRawAfterATime(t *testing.T) {
	c, h := newChannel(t, channel.Times{})
	put(c, 0, []byte("one"))
	put(c, time.Second, []byte("two"))
	if got := string(all(h)); got != "onetwo" {
		t.Errorf("published %q", got)
	}
}

// TestLife walks through the states that the package comment draws.
func TestLife(t *testing.T) {
	times := channel.Times{Linger: 3 * time.Second, NoData: 5 * time.Second}
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	type check struct {
		at     float64
		do     func(*channel.Channel)
		state  channel.State
		reason channel.Reason
	}
	join := func(c *channel.Channel) { c.Join() }
	leave := func(s float64) func(*channel.Channel) { return func(c *channel.Channel) { c.Leave(at(s)) } }
	data := func(s float64) func(*channel.Channel) { return func(c *channel.Channel) { put(c, at(s), null(7)) } }
	for name, steps := range map[string][]check{
		"silent from the start": {
			{0, join, channel.Joining, channel.None},
			{4.9, nil, channel.Joining, channel.None},
			{5, nil, channel.Joining, channel.NoData},
		},
		"falls silent": {
			{0, join, channel.Joining, channel.None},
			{1, data(1), channel.Live, channel.None},
			{5.9, nil, channel.Live, channel.None},
			{6, nil, channel.Live, channel.NoData},
		},
		"lingers, is watched again, is left": {
			{0, join, channel.Joining, channel.None},
			{1, data(1), channel.Live, channel.None},
			{2, leave(2), channel.Lingering, channel.None},
			{4, data(4), channel.Lingering, channel.None},
			{4.5, join, channel.Live, channel.None},
			{5, leave(5), channel.Lingering, channel.None},
			{7, data(7), channel.Lingering, channel.None},
			{8, nil, channel.Lingering, channel.Unused},
			{8, func(c *channel.Channel) { c.End(at(8)) }, channel.Ended, channel.None},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newChannel(t, times)
			for _, s := range steps {
				if s.do != nil {
					s.do(c)
				}
				if c.State() != s.state || c.Overdue(at(s.at)) != s.reason {
					t.Fatalf("at %v s: %v, due %q; want %v, %q", s.at, c.State(), c.Overdue(at(s.at)), s.state, s.reason)
				}
			}
		})
	}
}

// TestGarbageIsSilence: a transport stream that turns to garbage is as good as none.
func TestGarbageIsSilence(t *testing.T) {
	c, _ := newChannel(t, channel.Times{NoData: 5 * time.Second})
	c.Join()
	put(c, 0, null(7))
	for now := time.Duration(0); now < 5*time.Second; now += time.Second {
		if r := c.Overdue(now); r != channel.None {
			t.Fatalf("overdue at %v: %v", now, r)
		}
		put(c, now, bytes.Repeat([]byte("no packets here "), 64))
	}
	if r := c.Overdue(5 * time.Second); r != channel.NoData {
		t.Errorf("after 5 s of garbage: %q", r)
	}
}

// TestSkipFinishesThePacket: a client whose last send ended inside a packet gets the
// rest of it before it goes on elsewhere.
func TestSkipFinishesThePacket(t *testing.T) {
	c, h := newChannel(t, channel.Times{})
	packets := null(3000) // more than two segments
	put(c, 0, packets)
	tail := h.AfterRetire()
	for _, off := range []int64{0, 1, 187, 188, 189, tail - 1} {
		cut, to := c.Skip(off, tail)
		end := (off + packet - 1) / packet * packet
		if !bytes.Equal(cut, packets[off:end]) {
			t.Errorf("at %d: %d bytes finish the packet, want %d", off, len(cut), end-off)
		}
		if to.Offset < tail || to.Offset%packet != 0 || to.Offset > h.Head() {
			t.Errorf("at %d: goes on at %d, window from %d to %d", off, to.Offset, tail, h.Head())
		}
	}
}
