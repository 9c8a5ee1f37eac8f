package ts

import "encoding/binary"

// Program specific information, ISO/IEC 13818-1, 2.4.4: sections and what is in
// them. Sections of PAT and PMT have at most 1024 bytes and end in a CRC.

const (
	tablePAT = 0x00
	tablePMT = 0x02

	maxSection    = 1024
	sectionHeader = 8 // bytes before the contents of PAT and PMT
	sectionCRC    = 4
)

// section is one PAT or PMT section, complete and with a correct CRC.
type section []byte

func (s section) table() uint8      { return s[0] }
func (s section) id() uint16        { return binary.BigEndian.Uint16(s[3:]) } // transport_stream_id or program_number
func (s section) version() uint8    { return s[5] >> 1 & 0x1F }
func (s section) number() uint8     { return s[6] }
func (s section) lastNumber() uint8 { return s[7] }
func (s section) contents() []byte  { return s[sectionHeader : len(s)-sectionCRC] }
func sectionLength(head []byte) int { return 3 + int(binary.BigEndian.Uint16(head[1:])&0x0FFF) }
func (s section) sameRun(o section) bool {
	return s.id() == o.id() && s.version() == o.version() && s.lastNumber() == o.lastNumber()
}

// valid checks what every section of the long form must have, and that the
// lengths within a PMT stay within.
func (s section) valid() bool {
	if len(s) < sectionHeader+sectionCRC || s[1]&0x80 == 0 || s.number() > s.lastNumber() || crc32(s) != 0 {
		return false
	}
	if s.table() == tablePMT {
		_, _, ok := parsePMT(s.contents())
		return ok
	}
	return len(s.contents())%4 == 0
}

// current reports current_next_indicator: the table applies now.
func (s section) current() bool { return s[5]&1 != 0 }

// crc32 is the CRC of annex A; over a section with its CRC it is 0. Sections that
// repeat are compared, not summed, so it needs no table.
func crc32(b []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			carry := crc >> 31
			crc = crc<<1 ^ carry*0x04C11DB7
		}
	}
	return crc
}

// program is one entry of the PAT with what its PMT says.
type program struct {
	number  uint16
	pmtPID  uint16
	known   bool // the PMT came; the fields below are valid
	pcrPID  uint16
	streams []elementary
}

// elementary is one stream of a program.
type elementary struct {
	pid        uint16
	streamType uint8
	codec      string
	medium     medium
}

// appendPrograms reads the contents of one PAT section (2.4.4.3).
func appendPrograms(dst []program, contents []byte) []program {
	for ; len(contents) >= 4; contents = contents[4:] {
		number := binary.BigEndian.Uint16(contents)
		pid := binary.BigEndian.Uint16(contents[2:]) & 0x1FFF
		if number == 0 || pid == 0 || pid == NullPID { // 0 names the network PID
			continue
		}
		dst = append(dst, program{number: number, pmtPID: pid})
	}
	return dst
}

// parsePMT reads the contents of a PMT section (2.4.4.8). It is not ok when a
// length within leads out of the section.
func parsePMT(contents []byte) (pcrPID uint16, streams []elementary, ok bool) {
	if len(contents) < 4 {
		return 0, nil, false
	}
	pcrPID = binary.BigEndian.Uint16(contents) & 0x1FFF
	_, rest, ok := cutDescriptors(contents[2:])
	for ok && len(rest) > 0 {
		if len(rest) < 5 {
			return 0, nil, false
		}
		e := elementary{streamType: rest[0], pid: binary.BigEndian.Uint16(rest[1:]) & 0x1FFF}
		var descriptors []byte
		descriptors, rest, ok = cutDescriptors(rest[3:])
		e.codec, e.medium = classify(e.streamType, descriptors)
		streams = append(streams, e)
	}
	return pcrPID, streams, ok
}

// cutDescriptors takes a 12-bit length and as many bytes of descriptors off b.
func cutDescriptors(b []byte) (descriptors, rest []byte, ok bool) {
	n := 2 + int(binary.BigEndian.Uint16(b)&0x0FFF)
	if n > len(b) {
		return nil, nil, false
	}
	return b[2:n], b[n:], true
}
