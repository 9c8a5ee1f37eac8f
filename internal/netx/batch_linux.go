package netx

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Batch receives up to n datagrams with one system call (recvmmsg(2)) and without
// an allocation, into slots of the caller's buffer. It belongs to one goroutine and
// serves any number of sockets in turn.
//
// A datagram longer than its slot goes on in an overflow area of the Batch, so
// that a stride fitted to the usual size never cuts an unusual one.
type Batch struct {
	heads    []mmsghdr
	iovecs   [][2]unix.Iovec
	names    []unix.RawSockaddrInet6 // the larger of the two address types
	controls [][controlSize]byte
	overflow []byte
	mapped   bool
	stride   int
	count    int
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	head unix.Msghdr
	len  uint32
}

// controlSize has room for in_pktinfo or in6_pktinfo and the drop counter, at the
// alignment of any architecture.
const controlSize = 96

// NewBatch returns a Batch of n slots.
func NewBatch(n int) *Batch {
	b := &Batch{
		heads:    make([]mmsghdr, n),
		iovecs:   make([][2]unix.Iovec, n),
		names:    make([]unix.RawSockaddrInet6, n),
		controls: make([][controlSize]byte, n),
	}
	b.overflow, b.mapped = newOverflow(n)
	for i := range b.heads {
		rest := &b.iovecs[i][1]
		rest.Base = &b.area(i)[0]
		rest.SetLen(overflowSize)
		h := &b.heads[i].head
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov = &b.iovecs[i][0]
		h.SetIovlen(2)
		h.Control = &b.controls[i][0]
	}
	b.count = n
	b.rearm()
	return b
}

func (b *Batch) area(i int) []byte {
	return b.overflow[i*overflowSize : (i+1)*overflowSize]
}

// Close gives the overflow areas back. The Batch and its Datagrams are not to be
// used any more.
func (b *Batch) Close() error {
	area := b.overflow
	clear(b.iovecs)
	*b = Batch{}
	if len(area) == 0 || !b.mapped {
		return nil
	}
	return unix.Munmap(area)
}

// Receive takes what waits on fd: at most n datagrams, and as many as dst has
// slots of stride bytes. It never waits; nothing there is 0 and no error.
func (b *Batch) Receive(fd int, dst []byte, stride int) (count int, err error) {
	b.rearm()
	slots := min(len(dst)/stride, len(b.heads))
	if slots == 0 {
		return 0, nil
	}
	b.stride = stride
	for i := range slots {
		slot := &b.iovecs[i][0]
		slot.Base = &dst[i*stride]
		slot.SetLen(stride)
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&b.heads[0])), uintptr(slots), unix.MSG_DONTWAIT, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		// dst may be a mapping that is gone before the next call.
		for i := range slots {
			b.iovecs[i][0].Base = nil
		}
		switch errno {
		case 0:
			b.count = int(n)
			return b.count, nil
		case syscall.EAGAIN:
			return 0, nil
		}
		return 0, fmt.Errorf("receive datagrams: %w", errno)
	}
}

// rearm restores the lengths that the last Receive overwrote.
func (b *Batch) rearm() {
	for i := range b.count {
		h := &b.heads[i].head
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
	}
	b.count = 0
}

// Datagram describes datagram i of the last Receive, 0 <= i < count.
func (b *Batch) Datagram(i int) Datagram {
	var d Datagram
	m := &b.heads[:b.count][i]
	d.setLength(int(m.len), b.stride, b.area(i), m.head.Flags&unix.MSG_TRUNC != 0)
	d.Src = rawAddrPort(&b.names[i])
	d.setControl(b.controls[i][:min(uint64(m.head.Controllen), controlSize)])
	return d
}

func rawAddrPort(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port)
}

// setValue reads one control message: in_pktinfo (ip(7): index, local address,
// destination), in6_pktinfo, or the drop counter (SO_RXQ_OVFL, socket(7)).
func (d *Datagram) setValue(level, kind int, v []byte) {
	switch {
	case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(v) >= 12:
		d.Dst, d.HasDst = netip.AddrFrom4([4]byte(v[8:12])), true
		d.IfIndex = int(binary.NativeEndian.Uint32(v))
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO:
		d.setPacketInfo6(v)
	case level == unix.SOL_SOCKET && kind == unix.SO_RXQ_OVFL && len(v) >= 4:
		d.Dropped = binary.NativeEndian.Uint32(v)
	}
}
