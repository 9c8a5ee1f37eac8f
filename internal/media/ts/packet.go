package ts

import "encoding/binary"

// PacketSize is the length of every transport packet, in bytes.
const PacketSize = 188

// SyncByte is the first byte of every transport packet.
const SyncByte = 0x47

// NullPID is the PID of packets that only fill a constant bit rate.
const NullPID = 0x1FFF

// ClockRate is the frequency of the clock that PCR and OPCR tell, in Hz.
const ClockRate = 27_000_000

// The fields wrap here: PCR and OPCR in ticks of 27 MHz, PTS and DTS in ticks of 90 kHz.
const (
	wrap90k = int64(1) << 33
	wrapPCR = wrap90k * 300
)

// Packet is one transport packet (ISO/IEC 13818-1, 2.4.3.2): exactly
// PacketSize bytes, the first of them SyncByte. Its methods panic on a shorter
// slice and on nothing else: an adaptation field that claims more room than the
// packet has is taken as absent, and such a packet has no payload.
type Packet []byte

// PID names the stream the packet belongs to, 0 to 0x1FFF.
func (p Packet) PID() uint16 { return binary.BigEndian.Uint16(p[1:]) & 0x1FFF }

// PayloadStart reports payload_unit_start_indicator: a PES packet starts with
// this payload, or a section starts within it.
func (p Packet) PayloadStart() bool { return p[1]&0x40 != 0 }

// TransportError reports that a demodulator before us found the packet damaged.
func (p Packet) TransportError() bool { return p[1]&0x80 != 0 }

// Scrambled reports a payload that needs a key (transport_scrambling_control).
func (p Packet) Scrambled() bool { return p[3]&0xC0 != 0 }

// Continuity is the four-bit continuity counter of the packet's PID.
func (p Packet) Continuity() uint8 { return p[3] & 0x0F }

// SetContinuity writes the low four bits of c.
func (p Packet) SetContinuity(c uint8) { p[3] = p[3]&0xF0 | c&0x0F }

// HasPayload reports that the header announces a payload.
func (p Packet) HasPayload() bool { return p[3]&0x10 != 0 }

// Discontinuity reports discontinuity_indicator: a jump of clock or continuity
// counter is meant.
func (p Packet) Discontinuity() bool { return p.adaptationFlag(0x80) }

// RandomAccess reports random_access_indicator: the sender says that a decoder
// can start here.
func (p Packet) RandomAccess() bool { return p.adaptationFlag(0x40) }

// PCR returns the program clock reference in ticks of 27 MHz (base × 300 +
// extension), 0 to 2³³ × 300 − 1.
func (p Packet) PCR() (ticks int64, ok bool) {
	f := p.pcrField()
	if f == nil {
		return 0, false
	}
	return readPCR(f), true
}

// SetPCR replaces the program clock reference, wrapped into its range. It does
// nothing to a packet that has none.
func (p Packet) SetPCR(ticks int64) {
	if f := p.pcrField(); f != nil {
		writePCR(f, ticks)
	}
}

// RemovePCR takes the program clock reference out; what follows it in the adaptation
// field moves up. It does nothing to a packet that has none.
func (p Packet) RemovePCR() {
	if p.pcrField() == nil {
		return
	}
	f := p.adaptation()
	f[0] &^= 0x10
	n := copy(f[1:], f[7:])
	for i := range f[1+n:] {
		f[1+n+i] = 0xFF
	}
}

// RemovePESTimes takes PTS and DTS out of the PES header that starts in this packet,
// stuffing in their place. It does nothing where PESTimes finds none.
func (p Packet) RemovePESTimes() {
	pts, dts := p.pesFields()
	if pts == nil {
		return
	}
	b := p.Payload()
	b[7] &^= 0xC0
	header := b[9:min(9+int(b[8]), len(b))]
	n := copy(header, header[len(pts)+len(dts):])
	for i := range header[n:] {
		header[n+i] = 0xFF
	}
}

// Payload returns what follows header and adaptation field; it aliases p and is
// empty when there is nothing.
func (p Packet) Payload() []byte {
	switch p[3] & 0x30 {
	case 0x10:
		return p[4:PacketSize]
	case 0x30:
		if start := 5 + int(p[4]); start < PacketSize {
			return p[start:PacketSize]
		}
	}
	return nil
}

// PESTimes returns the PTS and DTS of the PES header that starts in this packet,
// in ticks of 90 kHz. A header without a DTS gives the PTS for both. It is not ok
// when no readable header with a PTS starts here (also: the packet is scrambled).
func (p Packet) PESTimes() (pts, dts int64, ok bool) {
	ptsField, dtsField := p.pesFields()
	if ptsField == nil {
		return 0, 0, false
	}
	pts = read90k(ptsField)
	if dtsField == nil {
		return pts, pts, true
	}
	return pts, read90k(dtsField), true
}

// ShiftTimes adds d, in ticks of 27 MHz, to every time in the packet: PCR, OPCR
// and, when a PES header starts here, PTS and DTS. Each wraps in its own range.
// PTS and DTS move by whole ticks of 90 kHz, rounded down: give a multiple of 300
// where picture and clock must not drift apart.
func (p Packet) ShiftTimes(d int64) {
	if f := p.pcrField(); f != nil {
		writePCR(f, readPCR(f)+d)
	}
	if f := p.opcrField(); f != nil {
		writePCR(f, readPCR(f)+d)
	}
	pts, dts := p.pesFields()
	d90k := floorDiv(d, 300)
	if pts != nil {
		write90k(pts, read90k(pts)+d90k)
	}
	if dts != nil {
		write90k(dts, read90k(dts)+d90k)
	}
}

// Aligned reports that b is one or more whole packets: its length is a multiple
// of PacketSize and a sync byte stands at each.
func Aligned(b []byte) bool {
	if len(b) == 0 || len(b)%PacketSize != 0 {
		return false
	}
	for i := 0; i < len(b); i += PacketSize {
		if b[i] != SyncByte {
			return false
		}
	}
	return true
}

// adaptation returns the adaptation field from its flags on (2.4.3.4), nil when
// there is none or it does not fit.
func (p Packet) adaptation() []byte {
	if p[3]&0x20 == 0 || p[4] == 0 {
		return nil
	}
	end := 5 + int(p[4])
	if end > PacketSize {
		return nil
	}
	return p[5:end]
}

func (p Packet) adaptationFlag(mask byte) bool {
	f := p.adaptation()
	return f != nil && f[0]&mask != 0
}

func (p Packet) pcrField() []byte {
	f := p.adaptation()
	if len(f) < 7 || f[0]&0x10 == 0 {
		return nil
	}
	return f[1:7]
}

func (p Packet) opcrField() []byte {
	f := p.adaptation()
	if f == nil || f[0]&0x08 == 0 {
		return nil
	}
	at := 1
	if f[0]&0x10 != 0 {
		at += 6
	}
	if len(f) < at+6 {
		return nil
	}
	return f[at : at+6]
}

// pesFields returns the five bytes each of PTS and DTS (2.4.3.6), nil where absent.
func (p Packet) pesFields() (pts, dts []byte) {
	if !p.PayloadStart() || p.Scrambled() {
		return nil, nil
	}
	b := p.Payload()
	if !hasPESHeader(b) {
		return nil, nil
	}
	length := int(b[8])
	switch b[7] >> 6 {
	case 2:
		if length >= 5 && len(b) >= 14 {
			return b[9:14], nil
		}
	case 3:
		if length >= 10 && len(b) >= 19 {
			return b[9:14], b[14:19]
		}
	}
	return nil, nil
}

// hasPESHeader reports that b starts with a PES packet whose stream_id has the
// optional header of flags and times, and that the fixed nine bytes are there.
func hasPESHeader(b []byte) bool {
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[6]&0xC0 != 0x80 {
		return false
	}
	switch b[3] {
	case 0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF: // table 2-21: no header
		return false
	}
	return true
}

// readPCR reads 33 bits of base, 6 reserved, 9 of extension.
func readPCR(f []byte) int64 {
	base := int64(binary.BigEndian.Uint32(f))<<1 | int64(f[4]>>7)
	return base*300 + int64(f[4]&1)<<8 + int64(f[5])
}

func writePCR(f []byte, ticks int64) {
	ticks = mod(ticks, wrapPCR)
	base, ext := ticks/300, ticks%300
	binary.BigEndian.PutUint32(f, uint32(base>>1))
	f[4] = byte(base&1)<<7 | f[4]&0x7E | byte(ext>>8)
	f[5] = byte(ext)
}

// read90k reads the 33 bits of a PTS or DTS around its marker bits.
func read90k(f []byte) int64 {
	return int64(f[0]>>1&7)<<30 | int64(f[1])<<22 | int64(f[2]>>1)<<15 | int64(f[3])<<7 | int64(f[4]>>1)
}

// write90k leaves prefix and marker bits as they are.
func write90k(f []byte, ticks int64) {
	v := mod(ticks, wrap90k)
	f[0] = f[0]&0xF1 | byte(v>>30)<<1
	f[1] = byte(v >> 22)
	f[2] = f[2]&1 | byte(v>>15)<<1
	f[3] = byte(v >> 7)
	f[4] = f[4]&1 | byte(v)<<1
}

// mod is the remainder that is never negative.
func mod(a, n int64) int64 {
	if a %= n; a < 0 {
		a += n
	}
	return a
}

func floorDiv(a, n int64) int64 { return (a - mod(a, n)) / n }
