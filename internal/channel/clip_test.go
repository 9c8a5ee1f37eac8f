package channel_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"sluice/internal/channel"
	"sluice/internal/history"
	"sluice/internal/lineup"
	"sluice/internal/media/ts"
)

// clip is 9.6 s of H.264 and AAC as ffmpeg makes them: that of the demo.
func clip(t testing.TB) []byte {
	b, err := os.ReadFile("../tools/demo/clip.ts")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	datagram = 7 * packet
	clipTime = 9600 * time.Millisecond
)

// player sends the clip over and over, in real datagrams.
type player struct {
	clip []byte
	at   int
	sent []byte
}

func (p *player) play(r *rig, source int, d time.Duration) {
	for range int64(d) * int64(len(p.clip)) / int64(clipTime) / datagram {
		b := p.clip[p.at:min(p.at+datagram, len(p.clip))]
		p.at = (p.at + len(b)) % len(p.clip)
		p.sent = append(p.sent, b...)
		r.put(source, b)
	}
}

// TestRealStreams: one recording after another, and all of each from its key frame on.
func TestRealStreams(t *testing.T) {
	r := newRig(t, 2, impatient())
	first, second := &player{clip: clip(t)}, &player{clip: clip(t)}
	second.at = len(second.clip) / 2 / packet * packet
	for range 40 {
		first.play(r, 0, step)
		r.pass(step)
	}
	for range 80 {
		second.play(r, 1, step)
		r.pass(step)
	}
	r.check(channel.Backup, "trial", "on air")
	out := all(r.h)
	if !bytes.HasPrefix(out, first.sent) {
		t.Fatal("the first is not there as it came")
	}
	rest := out[len(first.sent):]
	for i := range 3 {
		if p := ts.Packet(rest[i*packet : (i+1)*packet]); p.HasPayload() || !p.Discontinuity() {
			t.Errorf("packet %d behind the switch announces nothing", i)
		}
	}
	rest = rest[3*packet:]
	if pat, pmt := ts.Packet(rest[:packet]), ts.Packet(rest[packet:2*packet]); pat.PID() != 0 || pmt.PID() == 0 || !pmt.PayloadStart() {
		t.Error("no tables behind the switch")
	}
	rest = rest[2*packet:]
	if p := ts.Packet(rest[:packet]); !p.RandomAccess() {
		t.Error("the switch is not at a key frame")
	}
	told := 0
	for i := 0; i < len(rest); i += packet {
		if p := ts.Packet(rest[i : i+packet]); p.Discontinuity() {
			told++
			p[5] &^= 0x80
		}
	}
	if told != 1 {
		t.Errorf("%d clocks announced, the clip has one", told)
	}
	if !bytes.HasSuffix(second.sent, rest) || len(rest) < len(second.sent)/2 {
		t.Error("the second is not there as it came")
	}
}

// TestNoAllocation: what passes on air leaves nothing for the collector.
func TestNoAllocation(t *testing.T) {
	pool := history.NewPool(0)
	defer pool.Close()
	h := history.New(pool, history.Limits{Bytes: 1 << 20})
	defer h.Free()
	settings := lineup.Defaults()
	r := rigOn(t, h, 2, settings)
	s := r.stations[0]
	r.put(0, s.datagram())
	b := bytes.Clone(s.datagram()) // no key frame, no tables
	for _, size := range []int{datagram, 1000} {
		push := func() {
			r.put(0, b[:size])
			r.put(0, b[size:])
			for h.Due() {
				h.Retire()
			}
		}
		for range 2000 {
			push()
		}
		if n := testing.AllocsPerRun(2000, push); n != 0 {
			t.Errorf("%v allocations a datagram in pieces of %d", n, size)
		}
	}
}

// BenchmarkIngest is what the clip costs on its way into the channel, datagram by
// datagram: on air (with and without the health of the stream), in datagrams that are no
// whole packets, and on trial.
func BenchmarkIngest(b *testing.B) {
	for _, bb := range []struct {
		name   string
		health bool
		size   int
		source int
	}{
		{"air", false, datagram, 0},
		{"air-health", true, datagram, 0},
		{"air-cut", true, 1000, 0},
		{"trial", true, datagram, 1},
	} {
		b.Run(bb.name, func(b *testing.B) {
			pool := history.NewPool(0)
			defer pool.Close()
			h := history.New(pool, history.Limits{Bytes: 4 << 20})
			defer h.Free()
			r := rigOn(b, h, 2, lineup.Settings{Health: bb.health})
			r.put(0, r.stations[0].datagram())
			if bb.source > 0 {
				r.feeds[bb.source] = r.c.Opened(bb.source, 0)
			}
			all := clip(b)
			f := r.feeds[bb.source]
			b.SetBytes(int64(bb.size))
			b.ReportAllocs()
			at := 0
			for b.Loop() {
				f.At(0)
				n := copy(f.Reserve(bb.size)[:bb.size], all[at:])
				f.Commit(n)
				if at += n; at == len(all) {
					at = 0
				}
				for h.Due() {
					h.Retire()
				}
			}
		})
	}
}
