package ts

import "bytes"

// maxAccessUnit bounds how far into an access unit the first slice is searched,
// in bytes of its PES packet: parameter sets and SEI of real streams take a
// twentieth of it.
const maxAccessUnit = 64 * 184

// grammar is how the access units of a video codec are read.
type grammar uint8

const (
	unreadable grammar = iota // only random_access_indicator tells
	mpeg12
	h264
	h265
)

func grammarOf(codec string) grammar {
	switch codec {
	case "mpeg1video", "mpeg2video":
		return mpeg12
	case "h264":
		return h264
	case "h265":
		return h265
	}
	return unreadable
}

// verdict is what is known of an access unit.
type verdict uint8

const (
	undecided verdict = iota // goes on with the next byte
	starved                  // the bytes at hand end within what must be read
	decidedKey
	decidedOther
)

func decided(key bool) verdict {
	if key {
		return decidedKey
	}
	return decidedOther
}

// accessUnit reads the beginning of one PES packet of video, up to the first
// slice, to tell whether a decoder can start with it.
type accessUnit struct {
	open   bool // not yet decided
	offset int64
	tables []byte // verbatim tables at its start

	grammar  grammar
	pes      []byte // the PES packet so far
	at       int    // where in pes the search goes on; 0 = within the PES header
	headers  bool   // parameter sets or a sequence header came
	recovery bool   // H.264: a recovery point SEI came
}

// begin starts over for the PES packet that starts at offset in the stream.
func (u *accessUnit) begin(g grammar, offset int64) {
	*u = accessUnit{open: true, grammar: g, offset: offset, tables: u.tables[:0], pes: u.pes[:0]}
}

// add reads on. Once it says decidedKey or decidedOther the unit is no longer open.
func (u *accessUnit) add(payload []byte) verdict {
	u.pes = append(u.pes, payload...)
	v := u.read()
	if v == undecided && len(u.pes) > maxAccessUnit {
		v = decidedOther
	}
	u.open = v == undecided
	return v
}

func (u *accessUnit) read() verdict {
	if u.at == 0 {
		if len(u.pes) < 9 {
			return undecided
		}
		if !hasPESHeader(u.pes) {
			return decidedOther
		}
		u.at = 9 + int(u.pes[8])
	}
	for u.at < len(u.pes) {
		n := bytes.Index(u.pes[u.at:], []byte{0, 0, 1})
		if n < 0 {
			u.at = max(u.at, len(u.pes)-2)
			break
		}
		switch v := u.unit(u.pes[u.at+n+3:]); v {
		case undecided:
			u.at += n + 3
		case starved:
			u.at += n
			return undecided
		default:
			return v
		}
	}
	return undecided
}

// unit looks at what follows a start code.
func (u *accessUnit) unit(b []byte) verdict {
	if len(b) == 0 {
		return starved
	}
	switch u.grammar {
	case h264:
		return u.unitH264(b)
	case h265:
		return u.unitH265(b)
	default:
		return u.unitMPEG12(b)
	}
}

// unitH264 reads one NAL unit (ITU-T H.264, 7.3.1). A decoder can start at an IDR
// picture, at one that begins with an I or SI slice (open groups of pictures), and
// where a recovery point SEI says so (gradual refresh); always with an SPS before.
func (u *accessUnit) unitH264(b []byte) verdict {
	switch b[0] & 0x1F {
	case 7:
		u.headers = true
	case 6:
		if !u.headers {
			break
		}
		end := bytes.Index(b, []byte{0, 0, 1})
		if end < 0 {
			return starved
		}
		u.recovery = u.recovery || hasRecoveryPoint(b[1:end])
	case 5:
		return decided(u.headers)
	case 1, 2:
		if !u.headers || u.recovery {
			return decided(u.recovery)
		}
		bits := bitReader{b: b[1:]}
		bits.golomb() // first_mb_in_slice
		sliceType := bits.golomb()
		if bits.short {
			return starved
		}
		return decided(sliceType%5 == 2 || sliceType%5 == 4)
	}
	return undecided
}

// unitH265 reads one NAL unit (ITU-T H.265, 7.3.1.2): IRAP pictures count, with a
// VPS or SPS before.
func (u *accessUnit) unitH265(b []byte) verdict {
	switch kind := b[0] >> 1 & 0x3F; {
	case kind == 32 || kind == 33:
		u.headers = true
	case kind < 32:
		return decided(u.headers && kind >= 16 && kind <= 21)
	}
	return undecided
}

// unitMPEG12 reads what a start code of ISO/IEC 13818-2, 6.2 introduces: an I
// picture counts, with a sequence header before.
func (u *accessUnit) unitMPEG12(b []byte) verdict {
	switch code := b[0]; {
	case code == 0xB3:
		u.headers = true
	case code == 0x00:
		if len(b) < 3 {
			return starved
		}
		const pictureI = 1
		return decided(u.headers && b[2]>>3&7 == pictureI)
	case code <= 0xAF: // a slice
		return decidedOther
	}
	return undecided
}

// hasRecoveryPoint goes through the messages of an SEI (H.264, 7.3.2.3.1).
func hasRecoveryPoint(sei []byte) bool {
	const recoveryPoint = 6
	for len(sei) >= 2 && sei[0] != 0x80 {
		var kind, size int
		kind, sei = seiNumber(sei)
		size, sei = seiNumber(sei)
		if kind == recoveryPoint {
			return true
		}
		sei = sei[min(size, len(sei)):]
	}
	return false
}

// seiNumber reads a number written as a sum of bytes, all but the last 255.
func seiNumber(b []byte) (n int, rest []byte) {
	for i, c := range b {
		n += int(c)
		if c != 0xFF {
			return n, b[i+1:]
		}
	}
	return n, nil
}

// bitReader reads bits from the highest of the first byte on.
type bitReader struct {
	b     []byte
	at    int  // in bits
	short bool // read past the end
}

func (r *bitReader) bit() uint {
	if r.at >= 8*len(r.b) {
		r.short = true
		return 0
	}
	v := r.b[r.at/8] >> (7 - r.at%8) & 1
	r.at++
	return uint(v)
}

// golomb reads ue(v) (H.264, 9.1), 0 when it is longer than any valid one.
func (r *bitReader) golomb() uint {
	zeros := 0
	for r.bit() == 0 {
		if zeros++; r.short || zeros > 32 {
			return 0
		}
	}
	v := uint(1)
	for range zeros {
		v = v<<1 | r.bit()
	}
	return v - 1
}
