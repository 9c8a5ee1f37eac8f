package netx

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Datagram describes one received datagram. Its first bytes are in the slot of the
// buffer given to Receive. It is valid until the next Receive.
type Datagram struct {
	Len       int            // length of the whole datagram in bytes
	Overflow  []byte         // what did not fit into the slot; nil usually
	Truncated bool           // longer than slot and overflow area together: impossible for UDP
	Src       netip.AddrPort // the sender; without a zone
	Dst       netip.Addr     // where it was sent to; valid with HasDst
	HasDst    bool           // the system told Dst and IfIndex
	IfIndex   int            // the interface it came in on
	Dropped   uint32         // datagrams this socket lost for want of buffer since it was opened (modulo 2^32); 0 also when the system does not tell
}

// overflowSize holds the rest of any UDP datagram, whatever the stride.
const overflowSize = 64 << 10

// newOverflow returns n overflow areas. They are mapped, not made, so that those
// never written to cost no memory. Where the mapping is refused, the heap does.
func newOverflow(n int) (area []byte, mapped bool) {
	area, err := unix.Mmap(-1, 0, n*overflowSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return make([]byte, n*overflowSize), false
	}
	return area, true
}

// setLength notes the length of a datagram whose first stride bytes are in the
// slot and whose rest is in the overflow area.
func (d *Datagram) setLength(n, stride int, area []byte, truncated bool) {
	d.Len, d.Truncated = n, truncated
	if n > stride {
		d.Overflow = area[:min(n-stride, len(area))]
	}
}

// setControl reads the ancillary data of a datagram (cmsg(3)): headers and values,
// each aligned. It skips what it does not know and stops at what is malformed.
func (d *Datagram) setControl(b []byte) {
	head := unix.CmsgLen(0)
	for len(b) >= head {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		if uint64(h.Len) < uint64(head) || uint64(h.Len) > uint64(len(b)) {
			return
		}
		d.setValue(int(h.Level), int(h.Type), b[head:h.Len])
		b = b[min(unix.CmsgSpace(int(h.Len)-head), len(b)):]
	}
}

// setPacketInfo6 reads struct in6_pktinfo (RFC 3542, 6.1).
func (d *Datagram) setPacketInfo6(v []byte) {
	if len(v) >= 20 {
		d.Dst, d.HasDst = netip.AddrFrom16([16]byte(v[:16])), true
		d.IfIndex = int(binary.NativeEndian.Uint32(v[16:]))
	}
}
