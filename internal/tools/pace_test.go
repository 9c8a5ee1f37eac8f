package tools

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"sluice/internal/media/ts"
)

// due runs packets through a pacer and returns their times.
func due(t *testing.T, p pacer, all ...ts.Packet) (times []time.Duration, err error) {
	t.Helper()
	take := func() {
		for {
			_, at, ok := p.next()
			if !ok {
				return
			}
			times = append(times, at)
		}
	}
	for _, packet := range all {
		if err := p.add(packet); err != nil {
			return times, err
		}
		take()
	}
	err = p.end()
	take()
	return times, err
}

func TestRatePacer(t *testing.T) {
	for _, bitrate := range []int64{1, 1504, 500_000, 7_777_777, maxBitrate} {
		p := &ratePacer{bitrate: bitrate}
		for _, n := range []int64{0, 1, 7, 1_000_000} {
			p.sent = n
			times, err := due(t, p, packet(100, 0, nil))
			want := float64(n) * ts.PacketSize * 8 / float64(bitrate) * 1e9
			if err != nil || len(times) != 1 || math.Abs(float64(times[0])-want) > 1+want*1e-12 {
				t.Errorf("%d bit/s: packet %d is due at %v (%v), want %.0f ns", bitrate, n, times, err, want)
			}
		}
	}
}

func TestClockPacer(t *testing.T) {
	const ms = ts.ClockRate / 1000
	plain := packet(100, 0, []byte{1})
	clock := func(pcr int64) ts.Packet { return withPCR(packet(100, 0, nil), pcr) }
	jump := func(pcr int64) ts.Packet {
		p := clock(pcr)
		p[5] |= 0x80
		return p
	}
	other := withPCR(packet(200, 0, nil), 77777*ms)
	for _, c := range []struct {
		name string
		all  []ts.Packet
		want []int // milliseconds
	}{
		{"spread between two", []ts.Packet{clock(5 * ms), plain, plain, plain, clock(45 * ms)}, []int{0, 10, 20, 30, 40}},
		{"the lead has the pace of what follows", []ts.Packet{plain, plain, clock(0), plain, clock(20 * ms)}, []int{0, 10, 20, 30, 40}},
		{"the tail has the pace before", []ts.Packet{clock(0), clock(10 * ms), plain, plain}, []int{0, 10, 20, 30}},
		{"the pace changes", []ts.Packet{clock(0), plain, clock(20 * ms), plain, clock(60 * ms)}, []int{0, 10, 20, 40, 60}},
		{"over the wrap", []ts.Packet{clock(wrapPCR - 5*ms), clock(5 * ms), clock(15 * ms)}, []int{0, 10, 20}},
		{"a step back keeps the pace", []ts.Packet{clock(900 * ms), clock(910 * ms), plain, clock(0), clock(5 * ms)}, []int{0, 10, 20, 30, 35}},
		{"a long step keeps the pace", []ts.Packet{clock(0), clock(10 * ms), clock(6000 * ms), clock(6005 * ms)}, []int{0, 10, 20, 25}},
		{"an announced jump keeps the pace", []ts.Packet{clock(0), clock(10 * ms), jump(12 * ms), clock(17 * ms)}, []int{0, 10, 20, 25}},
		{"the same PCR again keeps the pace", []ts.Packet{clock(0), clock(10 * ms), clock(10 * ms), clock(15 * ms)}, []int{0, 10, 20, 25}},
		{"a jump before the pace is known", []ts.Packet{clock(900 * ms), clock(0), clock(10 * ms)}, []int{0, 10, 20}},
		{"only the first clock counts", []ts.Packet{clock(0), other, clock(20 * ms)}, []int{0, 10, 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := due(t, &clockPacer{}, c.all...)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("times %v, want %v ms", got, c.want)
			}
			for i, want := range c.want {
				if got[i] != time.Duration(want)*time.Millisecond {
					t.Errorf("packet %d is due at %s, want %d ms", i, got[i], want)
				}
			}
		})
	}
}

func TestClockPacerWithoutClock(t *testing.T) {
	plain := packet(100, 0, []byte{1})
	if _, err := due(t, &clockPacer{}, plain, plain); !errors.Is(err, ErrNoClock) {
		t.Errorf("no PCR: %v", err)
	}
	if _, err := due(t, &clockPacer{}, withPCR(packet(100, 0, nil), 0), plain); !errors.Is(err, ErrNoClock) {
		t.Errorf("one PCR: %v", err)
	}
	p := &clockPacer{}
	for range maxHeld {
		if err := p.add(plain); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.add(plain); !errors.Is(err, ErrNoClock) {
		t.Errorf("nothing for long: %v", err)
	}
}

// The clip's packets are due when its clock says, to the tick.
func TestClockPacerFollowsTheClip(t *testing.T) {
	src := newSource(bytes.NewReader(Clip()), false)
	p := &clockPacer{}
	var first, firstDue time.Duration
	count := 0
	check := func() {
		for packet, at, ok := p.next(); ok; packet, at, ok = p.next() {
			pcr, has := packet.PCR()
			if !has {
				continue
			}
			if count++; count == 1 {
				first, firstDue = ticks(pcr), at
			}
			if off := (at - firstDue) - (ticks(pcr) - first); off.Abs() > 100*time.Nanosecond {
				t.Fatalf("PCR %d is due %s off", count, off)
			}
		}
	}
	for _, packet := range packets(t, src, 1<<20) {
		if err := p.add(packet); err != nil {
			t.Fatal(err)
		}
		check()
	}
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	check()
	if count != 240 {
		t.Errorf("only %d PCRs", count)
	}
}
