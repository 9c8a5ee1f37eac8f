package ts

import (
	"slices"
	"testing"
	"time"
)

// clockPacket is a packet of a PID that tells the time pcr.
func clockPacket(pid uint16, pcr int64, flags byte) Packet {
	p := make(Packet, PacketSize)
	p[0], p[1], p[2], p[3], p[4], p[5] = SyncByte, byte(pid>>8), byte(pid), 0x20, 183, 0x10|flags
	p.SetPCR(pcr)
	return p
}

// others are n packets of another PID, the first at pcr.
func others(n int, pcr, step int64) (all []Packet) {
	for i := range int64(n) {
		all = append(all, clockPacket(200, pcr+i*step, 0))
	}
	return all
}

func TestPace(t *testing.T) {
	const ms = ClockRate / 1000
	at := func(pcr int64) Packet { return clockPacket(100, pcr, 0) }
	damaged := at(77 * ms)
	damaged[1] |= 0x80
	for _, c := range []struct {
		name string
		all  []Packet
		want []int // milliseconds
	}{
		{"as the clock says", []Packet{at(900 * ms), at(910 * ms), at(950 * ms)}, []int{0, 10, 50}},
		{"over the wrap", []Packet{at(wrapPCR - 5*ms), at(5 * ms), at(15 * ms)}, []int{0, 10, 20}},
		{"a step back keeps the pace", []Packet{at(900 * ms), at(910 * ms), at(0), at(7 * ms)}, []int{0, 10, 20, 27}},
		{"a long step keeps the pace", []Packet{at(0), at(10 * ms), at(6000 * ms), at(6005 * ms)}, []int{0, 10, 20, 25}},
		{"an announced jump keeps the pace", []Packet{at(0), at(10 * ms), clockPacket(100, 12*ms, 0x80), at(17 * ms)}, []int{0, 10, 20, 25}},
		{"only the first clock counts", []Packet{at(0), clockPacket(200, 5*ms, 0), damaged, at(20 * ms)}, []int{0, 20}},
		{"another clock when there is no more of the first", append([]Packet{at(0), at(20 * ms)}, others(11, 500*ms, 20*ms)...), []int{0, 20, 220, 240}},
		{"of several programs one", slices.Concat([]Packet{at(0)}, others(9, 500*ms, 20*ms), []Packet{at(100 * ms)}, others(9, 700*ms, 20*ms)), []int{0, 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var pace Pace
			var got []int
			for _, p := range c.all {
				if due, ok := pace.Tick(p); ok {
					got = append(got, int(due/time.Millisecond))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("due at %v ms, want %v", got, c.want)
			}
		})
	}
	var missed Pace
	for i, want := range []time.Duration{0, 10, 20, 25} {
		if i == 2 {
			missed.Gap()
		}
		if due, ok := missed.Tick(at([]int64{0, 10, 3000, 3005}[i] * ms)); !ok || due != want*time.Millisecond {
			t.Errorf("tick %d, with a gap before the third, is due at %v, want %v ms", i, due, int(want))
		}
	}
	var pace Pace
	for i, want := range []bool{false, false, true} {
		pace.Tick(at([]int64{7, 7, 8}[i]))
		if pace.Steady() != want {
			t.Errorf("tick %d: steady is %v", i, !want)
		}
	}
}
