package netx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// ErrNoReports says that this process cannot send membership reports.
var ErrNoReports = errors.New("membership reports cannot be sent")

// Where version 3 of IGMP and version 2 of MLD send their reports; the older ones send
// them to the group itself.
var (
	igmpRouters = netip.AddrFrom4([4]byte{224, 0, 0, 22})                // RFC 3376, 4.2.14
	mldRouters  = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x16}) // RFC 3810, 5.2.14
)

// Types of reports.
const (
	igmp1Report = 0x12 // RFC 1112
	igmp2Report = 0x16 // RFC 2236, 2.1
	igmp3Report = 0x22 // RFC 3376, 4.2
	mld1Report  = 131  // RFC 2710, 3.1
	mld2Report  = 143  // RFC 3810, 5.2
)

// Record types, the same in RFC 3376 (4.2.12) and RFC 3810 (5.2.12). Both are
// current-state records: they tell what is wanted and change nothing.
const (
	modeIsInclude = 1
	modeIsExclude = 2
)

// checkReport says what is wrong with a group and a source.
func checkReport(group, source netip.Addr) error {
	switch {
	case !group.IsMulticast() || group.Is4In6():
		return fmt.Errorf("%s is no multicast group", group)
	case source.IsValid() && source.Is4() != group.Is4():
		return fmt.Errorf("source %s and group %s are of different IP versions", source, group)
	}
	return nil
}

// igmpReport is the IGMP message that the group is wanted, from one source or, if that
// is not valid, from any, and where to send it. Versions 1 and 2 know no sources.
func igmpReport(version int, group, source netip.Addr) (message []byte, dst netip.Addr) {
	switch version {
	case 1, 2:
		kind := byte(igmp2Report)
		if version == 1 {
			kind = igmp1Report
		}
		message, dst = append([]byte{kind, 0, 0, 0}, group.AsSlice()...), group
	default:
		message, dst = currentState(igmp3Report, group, source), igmpRouters
	}
	binary.BigEndian.PutUint16(message[2:], checksum(message))
	return message, dst
}

// mldReport is the same for MLD. The kernel adds the checksum, which needs the address
// of the sender.
func mldReport(version int, group, source netip.Addr) (message []byte, dst netip.Addr) {
	if version == 1 {
		return append([]byte{mld1Report, 0, 0, 0, 0, 0, 0, 0}, group.AsSlice()...), group
	}
	return currentState(mld2Report, group, source), mldRouters
}

// currentState is a report of one record: type, reserved, checksum (0), reserved,
// number of records; then record type, length of auxiliary data (0), number of
// sources, group, sources.
func currentState(kind byte, group, source netip.Addr) []byte {
	b := []byte{kind, 0, 0, 0, 0, 0, 0, 1, modeIsExclude, 0, 0, 0}
	b = append(b, group.AsSlice()...)
	if source.IsValid() {
		b[8], b[11] = modeIsInclude, 1
		b = append(b, source.AsSlice()...)
	}
	return b
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
