// Package rtp reads and writes the RTP header (RFC 3550, 5.1) that may stand
// before MPEG-TS in a datagram (RFC 2250), and undoes what the network did to the
// packets.
//
// A receiver that does not know whether a sender uses RTP asks Detect on the first
// datagrams and takes the header off with Parse. Then a Sorter puts the packets in
// order, drops what came twice and merges the packets of two legs; or a Counter only
// counts what was lost. Nothing here has a clock, starts a goroutine, or allocates for a
// packet that is in order.
package rtp

import (
	"encoding/binary"
	"fmt"
)

// PayloadTypeMP2T is the static payload type of MPEG-TS (RFC 3551, 6).
const PayloadTypeMP2T = 33

// HeaderSize is the length of a header without CSRC list and extension, in bytes.
const HeaderSize = 12

const (
	version    = 2
	tsPacket   = 188
	tsSyncByte = 0x47
)

// Header is the fixed part of an RTP header.
type Header struct {
	Marker      bool
	PayloadType uint8 // 0 to 127
	Sequence    uint16
	Timestamp   uint32 // 90 kHz for MPEG-TS
	SSRC        uint32
}

// HeaderError says why a datagram is not valid RTP.
type HeaderError struct {
	Field string // which part of the header lies: "version", "length", "csrc", "extension" or "padding"
	Size  int    // of the whole datagram, in bytes
}

// Error implements error.
func (e *HeaderError) Error() string {
	return fmt.Sprintf("no valid RTP header: %s does not fit a datagram of %d bytes", e.Field, e.Size)
}

// Parse reads the header of one datagram and returns its payload without CSRC
// list, extension and padding; it aliases b and may be empty. The error is a
// *HeaderError.
func Parse(b []byte) (h Header, payload []byte, err error) {
	if bad := split(b, &h, &payload); bad != "" {
		return Header{}, nil, &HeaderError{Field: bad, Size: len(b)}
	}
	return h, payload, nil
}

// Detect reports that b looks like RTP with MPEG-TS in it: a valid header of
// version 2, and payload type 33 or a payload of whole transport packets. A
// datagram that starts with a transport packet's sync byte never does.
func Detect(b []byte) bool {
	var h Header
	var payload []byte
	if split(b, &h, &payload) != "" {
		return false
	}
	return h.PayloadType == PayloadTypeMP2T || wholePackets(payload)
}

// Append appends the header, HeaderSize bytes in version 2, to dst.
func (h Header) Append(dst []byte) []byte {
	kind := h.PayloadType & 0x7F
	if h.Marker {
		kind |= 0x80
	}
	dst = append(dst, version<<6, kind)
	dst = binary.BigEndian.AppendUint16(dst, h.Sequence)
	dst = binary.BigEndian.AppendUint32(dst, h.Timestamp)
	return binary.BigEndian.AppendUint32(dst, h.SSRC)
}

// split fills in header and payload, or names the field that lies.
func split(b []byte, h *Header, payload *[]byte) (bad string) {
	if len(b) < HeaderSize {
		return "length"
	}
	if b[0]>>6 != version {
		return "version"
	}
	start, end := HeaderSize+4*int(b[0]&0x0F), len(b)
	if start > end {
		return "csrc"
	}
	if b[0]&0x10 != 0 {
		if start+4 > end {
			return "extension"
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
		if start > end {
			return "extension"
		}
	}
	if b[0]&0x20 != 0 {
		if start == end {
			return "padding"
		}
		padding := int(b[end-1])
		if padding == 0 || start+padding > end {
			return "padding"
		}
		end -= padding
	}
	*h = Header{
		Marker:      b[1]&0x80 != 0,
		PayloadType: b[1] & 0x7F,
		Sequence:    binary.BigEndian.Uint16(b[2:]),
		Timestamp:   binary.BigEndian.Uint32(b[4:]),
		SSRC:        binary.BigEndian.Uint32(b[8:]),
	}
	*payload = b[start:end:end]
	return ""
}

func wholePackets(b []byte) bool {
	if len(b) == 0 || len(b)%tsPacket != 0 {
		return false
	}
	for i := 0; i < len(b); i += tsPacket {
		if b[i] != tsSyncByte {
			return false
		}
	}
	return true
}
