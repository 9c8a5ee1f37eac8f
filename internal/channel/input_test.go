package channel_test

import (
	"bytes"
	"testing"

	"sluice/internal/channel"
	"sluice/internal/media/ts"
)

// TestBadInput: what is wrong inside a stream is counted, and passes as it is.
func TestBadInput(t *testing.T) {
	type fault func(b []byte) []byte
	each := func(pid uint16, change func(p ts.Packet)) fault {
		return func(b []byte) []byte {
			for i := 0; i < len(b); i += packet {
				if p := ts.Packet(b[i : i+packet]); p.PID() == pid {
					change(p)
				}
			}
			return b
		}
	}
	tests := []struct {
		name  string
		fault fault
		jump  int64 // of the clock, for all that follows
		want  func(h *healthCounts)
	}{
		{"nothing", nil, 0, func(*healthCounts) {}},
		{"PMT with a wrong CRC", each(pmtPID, func(p ts.Packet) { p[20] ^= 0xFF }), 0, func(h *healthCounts) { h.crc = 1 }},
		{"PMT whose length lies", each(pmtPID, func(p ts.Packet) { p[6], p[7] = 0xBF, 0xFF }), 0, func(h *healthCounts) { h.crc = 1 }},
		{"transport error", each(audioPID, func(p ts.Packet) { p[1] |= 0x80 }), 0, func(h *healthCounts) { h.transport = 1 }},
		{"clock jumps", nil, 3600 * 27_000_000, func(h *healthCounts) { h.pcrJump = 1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 2, impatient())
			var sent []byte
			for i := range 60 {
				if i == 31 {
					r.stations[0].pcr += tt.jump
				}
				b := r.stations[0].datagram()
				if i == 30 && tt.fault != nil {
					b = tt.fault(b)
				}
				sent = append(sent, b...)
				r.put(0, b)
				r.pass(step)
				if r.c.State(r.now) != channel.Live {
					t.Fatalf("%v", r.c.State(r.now))
				}
			}
			if !bytes.Equal(all(r.h), sent) {
				t.Error("what was published is not what came")
			}
			h := r.report().Health
			var want healthCounts
			tt.want(&want)
			if got := (healthCounts{crc: h.CRC, transport: h.Transport, pcrJump: h.PCRJump}); got != want {
				t.Errorf("counted %+v, want %+v", *h, want)
			}
		})
	}
}

type healthCounts struct{ crc, transport, pcrJump uint64 }

// TestClockWraps: the clock starts over and nothing happens.
func TestClockWraps(t *testing.T) {
	r := newRig(t, 1, impatient())
	r.stations[0].pcr = (1<<33)*300 - 2*27_000_000
	for range 40 {
		r.stations[0].pcr %= (1 << 33) * 300
		r.pass(step, 0)
	}
	r.check(channel.Live, "on air")
	if h := *r.report().Health; h.PCRJump != 0 || h.PCRInterval != 0 {
		t.Errorf("counted %+v", h)
	}
}
