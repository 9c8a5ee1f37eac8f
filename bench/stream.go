package main

import (
	"encoding/binary"
	"net/netip"
)

// The shape of the stream. One video elementary stream; a frame is thirty
// datagrams, so about 39 ms at 8 Mbit/s, and every 24th is a key frame.
const (
	packetSize         = 188
	packetsPerDatagram = 7
	datagramSize       = packetsPerDatagram * packetSize
	packetsPerFrame    = 30 * packetsPerDatagram
	framesPerGroup     = 24
	framesPerTables    = 2

	patPID   = 0x0000
	pmtPID   = 0x1000
	videoPID = 0x0100
)

// stream makes a valid MPEG transport stream at a constant bit rate: one program of
// H.264 with PAT, PMT, PCR and key frames. Every packet, tables included, carries
// its number and the time of its making (see stamp) as transport private data in the
// adaptation field, where decoders skip it (ISO 13818-1, 2.4.3.5).
//
// The pictures are headers and filling: enough for whoever looks for key frames, no
// picture for an eye.
type stream struct {
	rate int64  // bits a second
	seq  uint64 // number of the next packet

	pat, pmt             []byte // sections, pointer field included
	patCC, pmtCC, videoC uint8  // next continuity counters
}

func newStream(rate int64) *stream {
	return &stream{
		rate: rate,
		pat:  section(0x00, 1, []byte{0x00, 0x01, 0xE0 | pmtPID>>8, pmtPID & 0xFF}),
		pmt: section(0x02, 1, []byte{
			0xE0 | videoPID>>8, videoPID & 0xFF, 0xF0, 0x00, // PCR PID, no descriptors
			0x1B, 0xE0 | videoPID>>8, videoPID & 0xFF, 0xF0, 0x00, // H.264
		}),
	}
}

// appendDatagram appends the packets of the next datagram, stamped with now (nanoseconds).
func (s *stream) appendDatagram(dst []byte, now int64) []byte {
	for range packetsPerDatagram {
		dst = s.appendPacket(dst, now)
	}
	return dst
}

// appendPacket appends the next packet, stamped with now (nanoseconds).
func (s *stream) appendPacket(dst []byte, now int64) []byte {
	frame, place := s.seq/packetsPerFrame, s.seq%packetsPerFrame
	first := uint64(0) // where the frame's own packets begin
	if frame%framesPerTables == 0 {
		first = 2
	}
	p := packet{stamp: stamp{seq: s.seq, time: now}}
	switch {
	case place < first && place == 0:
		p.pid, p.start, p.payload = patPID, true, s.pat
		p.cc, s.patCC = s.patCC, s.patCC+1
	case place < first:
		p.pid, p.start, p.payload = pmtPID, true, s.pmt
		p.cc, s.pmtCC = s.pmtCC, s.pmtCC+1
	default:
		p.pid = videoPID
		p.cc, s.videoC = s.videoC, s.videoC+1
		if place == first {
			p.start, p.hasPCR, p.pcr = true, true, s.ticks(s.seq)
			p.key = frame%framesPerGroup == 0
			p.payload = frameStart(p.key, s.ticks(s.seq)/300+9000)
		}
	}
	s.seq++
	return p.append(dst)
}

// ticks is the time of packet n in the stream's 27 MHz clock.
func (s *stream) ticks(n uint64) uint64 {
	return uint64(float64(n) * packetSize * 8 * 27e6 / float64(s.rate))
}

// duration is how long n bytes last at the stream's rate, in nanoseconds.
func (s *stream) duration(n int64) int64 {
	return int64(float64(n) * 8e9 / float64(s.rate))
}

// packet is what one transport packet is made of. What payload leaves free is filled.
type packet struct {
	stamp
	pid     uint16
	cc      uint8
	start   bool // payload_unit_start_indicator
	key     bool // random_access_indicator
	hasPCR  bool
	pcr     uint64 // 27 MHz
	payload []byte
}

func (p packet) append(dst []byte) []byte {
	end := len(dst) + packetSize
	length, flags := 2+stampSize, byte(0x02) // private data follows
	if p.hasPCR {
		length, flags = length+6, flags|0x10
	}
	if p.key {
		flags |= 0x40
	}
	high := byte(p.pid >> 8)
	if p.start {
		high |= 0x40
	}
	dst = append(dst, 0x47, high, byte(p.pid), 0x30|p.cc&0x0F, byte(length), flags)
	if p.hasPCR {
		base, ext := p.pcr/300&(1<<33-1), p.pcr%300
		dst = append(dst, byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1),
			byte(base<<7)|0x7E|byte(ext>>8), byte(ext))
	}
	dst = append(dst, stampSize)
	dst = p.stamp.append(dst)
	dst = append(dst, p.payload...)
	for len(dst) < end {
		dst = append(dst, 0xFF)
	}
	return dst
}

// stamp is what every packet of the benchmark carries.
type stamp struct {
	seq  uint64 // number of the packet in its stream
	time int64  // CLOCK_MONOTONIC, nanoseconds, when it was made
}

const (
	stampMagic = 0x736C7563 // "sluc"
	stampSize  = 4 + 8 + 8
	stampEnd   = 4 + 2 + 6 + 1 + stampSize // no stamp reaches beyond this place of a packet
)

func (s stamp) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, stampMagic)
	dst = binary.BigEndian.AppendUint64(dst, s.seq)
	return binary.BigEndian.AppendUint64(dst, uint64(s.time))
}

// readStamp finds the stamp of the packet that b starts with. It wants stampEnd
// bytes and is false for a packet that the benchmark did not make.
func readStamp(b []byte) (stamp, bool) {
	if len(b) < stampEnd || b[0] != 0x47 || b[3]&0x20 == 0 || b[5]&0x02 == 0 {
		return stamp{}, false
	}
	at := 7
	if b[5]&0x10 != 0 {
		at += 6
	}
	if binary.BigEndian.Uint32(b[at:]) != stampMagic {
		return stamp{}, false
	}
	return stamp{
		seq:  binary.BigEndian.Uint64(b[at+4:]),
		time: int64(binary.BigEndian.Uint64(b[at+12:])),
	}, true
}

func pidOf(b []byte) uint16 { return uint16(b[1]&0x1F)<<8 | uint16(b[2]) }

func isTable(b []byte) bool { return pidOf(b) == patPID || pidOf(b) == pmtPID }

// startsKeyFrame says whether the packet b is the first one of a key frame.
func startsKeyFrame(b []byte) bool {
	return pidOf(b) == videoPID && b[1]&0x40 != 0 && b[3]&0x20 != 0 && b[5]&0x40 != 0
}

// frameStart is the start of a PES packet with a picture: an IDR picture with its
// parameter sets, or a P picture. pts is in 90 kHz.
func frameStart(key bool, pts uint64) []byte {
	b := []byte{
		0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(pts>>29)&0x0E, byte(pts >> 22), byte(pts>>14) | 1, byte(pts >> 7), byte(pts<<1) | 1,
	}
	if !key {
		return append(b, 0, 0, 0, 1, 0x09, 0x30, 0, 0, 0, 1, 0x41, 0x9A, 0x24, 0x6C)
	}
	b = append(b, 0, 0, 0, 1, 0x09, 0x10)
	b = append(b, 0, 0, 0, 1, 0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x47, 0xFE, 0xC8)
	b = append(b, 0, 0, 0, 1, 0x68, 0xCB, 0x83, 0xCB, 0x20)
	return append(b, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x0A, 0xF2)
}

// section makes a PSI section of one part with its pointer field and CRC
// (ISO 13818-1, 2.4.4).
func section(table byte, id uint16, body []byte) []byte {
	n := 5 + len(body) + 4
	b := []byte{0x00, table, 0xB0 | byte(n>>8), byte(n), byte(id >> 8), byte(id), 0xC1, 0x00, 0x00}
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32MPEG(b[1:]))
}

// crc32MPEG is the CRC of ISO 13818-1, annex A.
func crc32MPEG(b []byte) uint32 {
	crc := ^uint32(0)
	for _, v := range b {
		crc ^= uint32(v) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04C11DB7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// port is where every group is sent: groups that share a port must not mix.
const port = 5000

// groupAddr is the address of the n-th group of a set; sets never share a group.
func groupAddr(set, n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, byte(10 + set), byte(n >> 8), byte(n)}), port)
}
