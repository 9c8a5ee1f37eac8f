package ts

import (
	"encoding/binary"
	"slices"
)

// mux writes a transport stream for tests, field by field.
type mux struct {
	out      []byte
	counters map[uint16]uint8
}

// frame is what may stand beside the payload of a PES packet.
type frame struct {
	pts, dts  int64 // 90 kHz; 0 = none
	pcr       int64 // 27 MHz; 0 = none
	rai       bool
	scrambled bool
	stuffing  int // more bytes of adaptation field in the first packet
}

func (m *mux) offset() int64 { return int64(len(m.out)) }

// packet appends one packet with as much of payload as fits and returns the rest.
// adaptation is the field from its flags on; it is stuffed where the payload ends.
func (m *mux) packet(pid uint16, start bool, adaptation, payload []byte) (rest []byte) {
	if m.counters == nil {
		m.counters = map[uint16]uint8{}
	}
	const header = 4
	space := PacketSize - header
	if adaptation != nil {
		space -= 1 + len(adaptation)
	}
	n := min(space, len(payload))
	if missing := space - n; missing > 0 {
		if adaptation == nil {
			missing-- // the length byte
			if missing > 0 {
				adaptation = []byte{0}
				missing--
			} else {
				adaptation = []byte{}
			}
		}
		adaptation = append(slices.Clone(adaptation), fill(missing)...)
	}
	p := []byte{SyncByte, byte(pid >> 8), byte(pid), 0}
	if start {
		p[1] |= 0x40
	}
	if adaptation != nil {
		p[3] |= 0x20
		p = append(append(p, byte(len(adaptation))), adaptation...)
	}
	if n > 0 {
		p[3] |= 0x10
		p[3] |= m.counters[pid]
		m.counters[pid] = (m.counters[pid] + 1) & 0x0F
	} else {
		p[3] |= (m.counters[pid] + 15) & 0x0F
	}
	m.out = append(append(m.out, p...), payload[:n]...)
	return payload[n:]
}

func fill(n int) []byte { return slices.Repeat([]byte{0xFF}, n) }

// pes appends a PES packet.
func (m *mux) pes(pid uint16, streamID byte, f frame, es []byte) {
	header := []byte{0, 0, 1, streamID, 0, 0, 0x80, 0, 0}
	if f.pts != 0 {
		header[7] |= 0x80
		header = append(header, stamp(0x20, f.pts)...)
		if f.dts != 0 {
			header[7] |= 0x40
			header[9] |= 0x10
			header = append(header, stamp(0x10, f.dts)...)
		}
	}
	header[8] = byte(len(header) - 9)
	payload := append(header, es...)
	begin := len(m.out)
	payload = m.packet(pid, true, f.adaptation(), payload)
	for len(payload) > 0 {
		payload = m.packet(pid, false, nil, payload)
	}
	if f.scrambled {
		for i := begin; i < len(m.out); i += PacketSize {
			m.out[i+3] |= 0x80
		}
	}
}

func (f frame) adaptation() []byte {
	flags, field := byte(0), []byte(nil)
	if f.rai {
		flags |= 0x40
	}
	if f.pcr != 0 {
		flags |= 0x10
		field = make([]byte, 6)
		field[4] = 0x7E
		writePCR(field, f.pcr)
	}
	if flags == 0 && f.stuffing == 0 {
		return nil
	}
	return append(append([]byte{flags}, field...), fill(f.stuffing)...)
}

func stamp(prefix byte, ticks int64) []byte {
	f := []byte{prefix | 1, 0, 1, 0, 1}
	write90k(f, ticks)
	return f
}

// section appends the packets of one section, alone in its packets.
func (m *mux) section(pid uint16, s []byte) {
	payload := append([]byte{0}, s...)
	if short := len(payload) % 184; short != 0 {
		payload = append(payload, fill(184-short)...)
	}
	for start := true; len(payload) > 0; start = false {
		payload = m.packet(pid, start, nil, payload)
	}
}

func newSection(table uint8, id uint16, version, number, last uint8, contents []byte) section {
	s := []byte{table, 0xB0, 0, 0, 0, 0xC1 | version<<1, number, last}
	binary.BigEndian.PutUint16(s[1:], 0xB000|uint16(5+len(contents)+4))
	binary.BigEndian.PutUint16(s[3:], id)
	s = append(append(s, contents...), 0, 0, 0, 0)
	seal(s)
	return s
}

// seal writes the CRC of a section into its last four bytes.
func seal(s section) {
	end := len(s) - sectionCRC
	binary.BigEndian.PutUint32(s[end:], crc32(s[:end]))
}

// patSection has pairs of program number and PMT PID.
func patSection(version uint8, pairs ...uint16) section {
	return newSection(tablePAT, 1, version, 0, 0, patContents(pairs...))
}

func patContents(pairs ...uint16) (contents []byte) {
	for i := 0; i < len(pairs); i += 2 {
		contents = binary.BigEndian.AppendUint16(contents, pairs[i])
		contents = binary.BigEndian.AppendUint16(contents, 0xE000|pairs[i+1])
	}
	return contents
}

// es is one entry of a PMT.
type es struct {
	pid         uint16
	streamType  uint8
	descriptors []byte
}

func pmtSection(program uint16, version uint8, pcrPID uint16, streams ...es) section {
	c := binary.BigEndian.AppendUint16(nil, 0xE000|pcrPID)
	c = append(c, 0xF0, 0)
	for _, s := range streams {
		c = append(c, s.streamType)
		c = binary.BigEndian.AppendUint16(c, 0xE000|s.pid)
		c = binary.BigEndian.AppendUint16(c, 0xF000|uint16(len(s.descriptors)))
		c = append(c, s.descriptors...)
	}
	return newSection(tablePMT, program, version, 0, 0, c)
}

// The PIDs of the small stream that most tests use.
const (
	pmtPID   = 0x1000
	videoPID = 0x100
	audioPID = 0x101
)

// tables appends PAT and PMT of one program.
func (m *mux) tables(streams ...es) {
	m.section(0, patSection(0, 1, pmtPID))
	m.section(pmtPID, pmtSection(1, 0, videoPID, streams...))
}

// null appends packets of stuffing.
func (m *mux) null(n int) {
	for range n {
		m.packet(NullPID, false, nil, fill(184))
	}
}

// Parts of video streams, each with its start code.
var (
	avcAUD      = []byte{0, 0, 0, 1, 9, 0xF0}
	avcSPS      = append([]byte{0, 0, 0, 1, 0x67}, slices.Repeat([]byte{0x42}, 20)...)
	avcPPS      = []byte{0, 0, 0, 1, 0x68, 0xCE, 0x38, 0x80}
	avcTiming   = []byte{0, 0, 1, 6, 1, 2, 0x11, 0x22, 0x80}
	avcRecovery = []byte{0, 0, 1, 6, 1, 2, 0x11, 0x22, 6, 1, 0xC4, 0x80}
	avcIDR      = []byte{0, 0, 1, 0x65, 0x88, 0x84, 0x00, 0x33}
	avcI        = []byte{0, 0, 1, 0x41, 0x88, 0x84, 0x01, 0x33}       // first_mb 0, slice_type 7
	avcI2       = []byte{0, 0, 1, 0x41, 0b1_011_0000, 0x84, 0x01}     // first_mb 0, slice_type 2
	avcSI       = []byte{0, 0, 1, 0x41, 0b1_00101_00, 0x84, 0x01}     // first_mb 0, slice_type 4
	avcP        = []byte{0, 0, 1, 0x41, 0b1_00110_10, 0x84, 0x01, 2}  // first_mb 0, slice_type 5
	avcB        = []byte{0, 0, 1, 0x01, 0b1_00111_10, 0x84, 0x01, 2}  // first_mb 0, slice_type 6
	hevcVPS     = []byte{0, 0, 0, 1, 0x40, 1, 0x0C}                   // type 32
	hevcSPS     = []byte{0, 0, 0, 1, 0x42, 1, 1}                      // type 33
	hevcIDR     = []byte{0, 0, 1, 19 << 1, 1, 0xAF}                   // IDR_W_RADL
	hevcCRA     = []byte{0, 0, 1, 21 << 1, 1, 0xAF}                   // CRA_NUT
	hevcTrail   = []byte{0, 0, 1, 1 << 1, 1, 0xD0}                    // TRAIL_R
	mpegSeq     = []byte{0, 0, 1, 0xB3, 0x2D, 0x02, 0x40, 0x33, 0xFF} // sequence header
	mpegGOP     = []byte{0, 0, 1, 0xB8, 0, 8, 0, 0x40}
	mpegI       = []byte{0, 0, 1, 0, 0, 1<<3 | 7, 0xFF, 0xF8}
	mpegP       = []byte{0, 0, 1, 0, 0, 2<<3 | 7, 0xFF, 0xF8}
	mpegSlice   = []byte{0, 0, 1, 1, 0x13, 0xF8}
)

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// payload is n bytes without a start code.
func payload(n int) []byte { return slices.Repeat([]byte{0x5A}, n) }
