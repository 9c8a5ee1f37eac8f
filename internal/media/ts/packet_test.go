package ts

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestPacketFields(t *testing.T) {
	var m mux
	m.pes(0x1ABC, 0xE0, frame{pts: 90_000, dts: 45_000, pcr: 300*7 + 299, rai: true}, payload(400))
	p := Packet(m.out[:PacketSize])
	if p.PID() != 0x1ABC || !p.PayloadStart() || p.TransportError() || p.Scrambled() || !p.HasPayload() {
		t.Errorf("header % x is read as PID %#x start %v error %v scrambled %v payload %v",
			p[:4], p.PID(), p.PayloadStart(), p.TransportError(), p.Scrambled(), p.HasPayload())
	}
	if !p.RandomAccess() || p.Discontinuity() {
		t.Errorf("random access %v, discontinuity %v", p.RandomAccess(), p.Discontinuity())
	}
	if pcr, ok := p.PCR(); !ok || pcr != 300*7+299 {
		t.Errorf("PCR %d, %v", pcr, ok)
	}
	if pts, dts, ok := p.PESTimes(); !ok || pts != 90_000 || dts != 45_000 {
		t.Errorf("PTS %d, DTS %d, %v", pts, dts, ok)
	}
	if !bytes.HasPrefix(p.Payload(), []byte{0, 0, 1, 0xE0}) || len(p.Payload()) != PacketSize-4-8 {
		t.Errorf("payload % x", p.Payload())
	}
	second := Packet(m.out[PacketSize : 2*PacketSize])
	if second.Continuity() != 1 || second.PayloadStart() {
		t.Errorf("second packet: continuity %d, start %v", second.Continuity(), second.PayloadStart())
	}
	second.SetContinuity(0x1F)
	if second.Continuity() != 15 || !second.HasPayload() {
		t.Errorf("continuity set to 15 reads %d", second.Continuity())
	}
	if _, ok := second.PCR(); ok {
		t.Error("a PCR where none is")
	}
	before := bytes.Clone(second)
	second.SetPCR(5)
	second.ShiftTimes(27_000_000)
	if !bytes.Equal(before, second) {
		t.Error("a packet without times was changed")
	}
}

func TestLyingAdaptationField(t *testing.T) {
	for _, length := range []byte{184, 200, 255} {
		p := Packet(bytes.Repeat([]byte{0xFF}, PacketSize))
		copy(p, []byte{SyncByte, 0x40, 0x20, 0x30, length})
		before := bytes.Clone(p)
		p.SetPCR(1)
		p.ShiftTimes(300)
		if _, ok := p.PCR(); ok || p.RandomAccess() || p.Discontinuity() || len(p.Payload()) != 0 {
			t.Errorf("length %d is believed", length)
		}
		if !bytes.Equal(before, p) {
			t.Errorf("length %d: the packet was changed", length)
		}
	}
	// A field too short for the times that its flags promise.
	p := Packet(bytes.Repeat([]byte{0xFF}, PacketSize))
	copy(p, []byte{SyncByte, 0, 0x20, 0x30, 6, 0x18})
	if _, ok := p.PCR(); ok {
		t.Error("a PCR of five bytes")
	}
	if f := p.opcrField(); f != nil {
		t.Error("an OPCR behind the end of the field")
	}
}

func TestShiftTimesMovesEveryTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pcr := rapid.Int64Range(0, wrapPCR-1).Draw(t, "pcr")
		opcr := rapid.Int64Range(0, wrapPCR-1).Draw(t, "opcr")
		pts := rapid.Int64Range(1, wrap90k-1).Draw(t, "pts")
		dts := rapid.Int64Range(1, wrap90k-1).Draw(t, "dts")
		d := rapid.Int64Range(-2*wrapPCR, 2*wrapPCR).Draw(t, "d")

		p := timedPacket(pcr, opcr, pts, dts)
		p.ShiftTimes(d)

		gotPCR, _ := p.PCR()
		gotPTS, gotDTS, ok := p.PESTimes()
		if want := mod(pcr+d, wrapPCR); gotPCR != want {
			t.Errorf("PCR %d, want %d", gotPCR, want)
		}
		if got, want := readPCR(p.opcrField()), mod(opcr+d, wrapPCR); got != want {
			t.Errorf("OPCR %d, want %d", got, want)
		}
		ticks := floorDiv(d, 300)
		if want := mod(pts+ticks, wrap90k); !ok || gotPTS != want {
			t.Errorf("PTS %d, want %d", gotPTS, want)
		}
		if want := mod(dts+ticks, wrap90k); gotDTS != want {
			t.Errorf("DTS %d, want %d", gotDTS, want)
		}
		p.ShiftTimes(-ticks * 300)
		p.ShiftTimes(ticks*300 - d)
		if !bytes.Equal(p[18:], timedPacket(pcr, opcr, pts, dts)[18:]) && d%300 == 0 {
			t.Error("moved there and back, the packet has changed: a marker or reserved bit was overwritten")
		}
	})
}

// timedPacket has all four times.
func timedPacket(pcr, opcr, pts, dts int64) Packet {
	var m mux
	m.pes(videoPID, 0xE0, frame{pts: pts, dts: dts, pcr: 1, stuffing: 6}, payload(400))
	p := Packet(m.out[:PacketSize])
	p[5] |= 0x08
	copy(p[12:], []byte{0, 0, 0, 0, 0x7E, 0})
	writePCR(p[12:], opcr)
	p.SetPCR(pcr)
	return p
}

func TestPESTimesWithoutDTSAndWhereNoHeaderIs(t *testing.T) {
	var m mux
	m.pes(audioPID, 0xC0, frame{pts: 1234}, payload(10))
	m.pes(audioPID, 0xBE, frame{pts: 1234}, payload(10))                  // padding stream: no header
	m.pes(audioPID, 0xC0, frame{pts: 1234, scrambled: true}, payload(10)) // unreadable
	m.pes(audioPID, 0xC0, frame{}, payload(10))
	m.section(0, patSection(0, 1, pmtPID))
	for i, want := range []bool{true, false, false, false, false} {
		pts, dts, ok := Packet(m.out[i*PacketSize:][:PacketSize]).PESTimes()
		if ok != want || want && (pts != 1234 || dts != 1234) {
			t.Errorf("packet %d: PTS %d, DTS %d, %v", i, pts, dts, ok)
		}
	}
}

func TestAligned(t *testing.T) {
	var m mux
	m.null(7)
	bad := bytes.Clone(m.out)
	bad[6*PacketSize] = 0
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"a datagram":      {m.out, true},
		"one packet":      {m.out[:PacketSize], true},
		"nothing":         {nil, false},
		"a byte short":    {m.out[:len(m.out)-1], false},
		"a byte late":     {m.out[1:], false},
		"last sync wrong": {bad, false},
	} {
		if got := Aligned(c.b); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRemoveTimes(t *testing.T) {
	var with, without mux
	with.pes(videoPID, 0xE0, frame{pts: 5, dts: 4, pcr: 7}, payload(50))
	without.pes(videoPID, 0xE0, frame{}, payload(50))
	p := Packet(with.out)
	p.RemovePCR()
	p.RemovePESTimes()
	if _, ok := p.PCR(); ok {
		t.Error("the PCR is still there")
	}
	if _, _, ok := p.PESTimes(); ok {
		t.Error("the PTS is still there")
	}
	es := func(p Packet) []byte { b := p.Payload(); return b[9+int(b[8]):] }
	if want := Packet(without.out); !bytes.Equal(es(p), es(want)) {
		t.Errorf("the picture is %X, want %X", es(p), es(want))
	}
	again := bytes.Clone(p)
	p.RemovePCR()
	p.RemovePESTimes()
	if !bytes.Equal(again, p) {
		t.Error("removed what is not there")
	}

	// An OPCR after the PCR moves up.
	field := append([]byte{0x18, 0, 0, 0, 1, 0x7E, 0}, 0, 0, 0, 2, 0x7E, 9)
	var m mux
	m.packet(videoPID, false, field, payload(20))
	p = Packet(m.out)
	p.RemovePCR()
	if got := readPCR(p.opcrField()); got != 4*300+9 {
		t.Errorf("OPCR %d, want %d", got, 4*300+9)
	}
	if !bytes.Equal(p.Payload(), payload(20)) {
		t.Error("the payload has changed")
	}
}
