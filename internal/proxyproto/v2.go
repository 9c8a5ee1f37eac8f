package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
)

const (
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	headSize2  = len(signature2) + 4 // and command, family, length
	headTLV    = 3                   // type and length
	sizeCRC    = 4
)

// The bytes behind the signature (2.2).
const (
	commandLocal = 0x20
	commandProxy = 0x21

	familyNone  = 0x00
	familyTCP4  = 0x11
	familyTCP6  = 0x21
	lastFamily  = 3 // UNIX
	lastTraffic = 2 // datagrams
)

// blocks are the lengths of both ends' addresses, by family: none, IPv4, IPv6, UNIX.
var blocks = [lastFamily + 1]int{0, 2 * (4 + 2), 2 * (16 + 2), 2 * 108}

// missing2 is Missing for what begins with signature2.
func missing2(b []byte) int {
	if len(b) < headSize2 {
		return headSize2 - len(b)
	}
	return headSize2 + int(binary.BigEndian.Uint16(b[headSize2-2:])) - len(b)
}

// parse2 reads a header that begins with signature2, as far as it is there.
func parse2(b []byte) (Header, int, error) {
	if len(b) < headSize2 {
		return Header{}, 0, ErrMore
	}
	command, family := b[len(signature2)], b[len(signature2)+1]
	switch {
	case command != commandLocal && command != commandProxy:
		return Header{}, 0, fmt.Errorf("unknown version or command %#02x", command)
	case family>>4 > lastFamily || family&0xf > lastTraffic:
		return Header{}, 0, fmt.Errorf("unknown family or protocol %#02x", family)
	}
	size := int(binary.BigEndian.Uint16(b[headSize2-2:]))
	block := blocks[family>>4]
	if command == commandProxy && size < block {
		return Header{}, 0, fmt.Errorf("%d bytes for addresses of family %#02x", size, family)
	}
	if len(b) < headSize2+size {
		return Header{}, 0, ErrMore
	}
	h, err := parseBody(command, family, b[:headSize2+size])
	if err != nil {
		return Header{}, 0, err
	}
	return h, headSize2 + size, nil
}

// parseBody reads what follows the head of a whole header. Where no addresses are told,
// anything may stand (2.2: the receiver skips it); TLVs are taken if it is such.
func parseBody(command, family byte, whole []byte) (Header, error) {
	h := Header{Version: V2, Local: command == commandLocal}
	body := whole[headSize2:]
	block := body[:min(blocks[family>>4], len(body))]
	tlvs, err := parseTLVs(body[len(block):])
	switch {
	case err != nil && (h.Local || family>>4 == 0):
		return h, nil
	case err != nil:
		return Header{}, err
	}
	if err := checkCRC(whole, len(whole)-len(body)+len(block)); err != nil {
		return Header{}, err
	}
	h.TLVs = tlvs
	if !h.Local && (family == familyTCP4 || family == familyTCP6) {
		h.From, h.To = parseBlock(block)
	}
	return h, nil
}

// parseBlock reads the addresses of TCP: both addresses, then both ports.
func parseBlock(b []byte) (from, to netip.AddrPort) {
	n := (len(b) - 4) / 2
	one, _ := netip.AddrFromSlice(b[:n])
	two, _ := netip.AddrFromSlice(b[n : 2*n])
	from = netip.AddrPortFrom(one, binary.BigEndian.Uint16(b[2*n:]))
	to = netip.AddrPortFrom(two, binary.BigEndian.Uint16(b[2*n+2:]))
	return plain(from), plain(to)
}

func parseTLVs(b []byte) (all []TLV, err error) {
	for len(b) > 0 {
		if len(b) < headTLV {
			return nil, errors.New("a TLV is cut off")
		}
		size := int(binary.BigEndian.Uint16(b[1:]))
		if len(b) < headTLV+size {
			return nil, fmt.Errorf("a TLV of type %#02x has %d bytes and says %d", b[0], len(b)-headTLV, size)
		}
		all = append(all, TLV{b[0], bytes.Clone(b[headTLV : headTLV+size])})
		b = b[headTLV+size:]
	}
	return all, nil
}

// checkCRC judges the checksum (2.2.3) if one is there: it is over the whole header with the
// checksum's own bytes zero. TLVs, well-formed ones, begin at the given offset.
func checkCRC(whole []byte, at int) error {
	value := findCRC(whole, at)
	if value < 0 {
		return nil
	}
	if len(whole) < value+sizeCRC || binary.BigEndian.Uint16(whole[value-2:]) != sizeCRC {
		return fmt.Errorf("the checksum has not %d bytes", sizeCRC)
	}
	if binary.BigEndian.Uint32(whole[value:]) != checksum(whole, value) {
		return errors.New("the checksum is wrong")
	}
	return nil
}

// findCRC is where the value of the first checksum stands, -1 = nowhere.
func findCRC(whole []byte, at int) int {
	for at < len(whole) {
		if whole[at] == TypeCRC32C {
			return at + headTLV
		}
		at += headTLV + int(binary.BigEndian.Uint16(whole[at+1:]))
	}
	return -1
}

// checksum is that of a header whose checksum stands at value.
func checksum(whole []byte, value int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, whole[:value])
	sum = crc32.Update(sum, table, make([]byte, sizeCRC))
	return crc32.Update(sum, table, whole[value+sizeCRC:])
}

func append2(b []byte, h Header) []byte {
	start := len(b)
	b = append(b, signature2...)
	from, to, ok := h.ends()
	if ok {
		b = appendBlock(b, from, to)
	} else {
		b = append(b, commandLocal, familyNone, 0, 0)
	}
	tlvs := len(b) - start
	for _, tlv := range h.TLVs {
		if len(b)-start+headTLV+len(tlv.Value) > MaxHeader {
			continue
		}
		if tlv.Type == TypeCRC32C {
			tlv.Value = make([]byte, sizeCRC)
		}
		b = binary.BigEndian.AppendUint16(append(b, tlv.Type), uint16(len(tlv.Value)))
		b = append(b, tlv.Value...)
	}
	whole := b[start:]
	binary.BigEndian.PutUint16(whole[headSize2-2:], uint16(len(whole)-headSize2))
	if value := findCRC(whole, tlvs); value >= 0 {
		binary.BigEndian.PutUint32(whole[value:], checksum(whole, value))
	}
	return b
}

// appendBlock writes command, family, room for the length, and addresses of one family.
func appendBlock(b []byte, from, to netip.AddrPort) []byte {
	family := byte(familyTCP4)
	if from.Addr().Is6() {
		family = familyTCP6
	}
	b = append(b, commandProxy, family, 0, 0)
	b = append(b, from.Addr().AsSlice()...)
	b = append(b, to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	return binary.BigEndian.AppendUint16(b, to.Port())
}
