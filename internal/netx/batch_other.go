//go:build !linux

package netx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Batch receives up to n datagrams, with one system call each, into slots of the
// caller's buffer. It belongs to one goroutine and serves any number of sockets in
// turn.
//
// A datagram longer than its slot goes on in an overflow area of the Batch, so
// that a stride fitted to the usual size never cuts an unusual one.
type Batch struct {
	datagrams []Datagram
	overflow  []byte
	mapped    bool
	count     int
}

// NewBatch returns a Batch of n slots.
func NewBatch(n int) *Batch {
	b := &Batch{datagrams: make([]Datagram, n)}
	b.overflow, b.mapped = newOverflow(n)
	return b
}

// Close gives the overflow areas back. The Batch and its Datagrams are not to be
// used any more.
func (b *Batch) Close() error {
	area, mapped := b.overflow, b.mapped
	*b = Batch{}
	if !mapped {
		return nil
	}
	return unix.Munmap(area)
}

// Receive takes what waits on fd: at most n datagrams, and as many as dst has
// slots of stride bytes. It never waits; nothing there is 0 and no error. An error
// after the first datagram is left to the next call.
func (b *Batch) Receive(fd int, dst []byte, stride int) (count int, err error) {
	b.count = 0
	for b.count < min(len(dst)/stride, len(b.datagrams)) {
		slot := dst[b.count*stride : (b.count+1)*stride]
		err := b.receiveOne(fd, slot)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return b.count, nil
		case err != nil && b.count > 0:
			return b.count, nil
		case err != nil:
			return 0, fmt.Errorf("receive datagram: %w", err)
		}
		b.count++
	}
	return b.count, nil
}

func (b *Batch) receiveOne(fd int, slot []byte) error {
	area := b.overflow[b.count*overflowSize : (b.count+1)*overflowSize]
	var control [256]byte
	n, oobn, flags, from, err := unix.RecvmsgBuffers(fd, [][]byte{slot, area}, control[:], unix.MSG_DONTWAIT)
	if err != nil {
		return err
	}
	d := &b.datagrams[b.count]
	*d = Datagram{Src: addrPort(from)}
	d.setLength(n, len(slot), area, flags&unix.MSG_TRUNC != 0)
	d.setControl(control[:oobn])
	return nil
}

// Datagram describes datagram i of the last Receive, 0 <= i < count.
func (b *Batch) Datagram(i int) Datagram { return b.datagrams[:b.count][i] }

// setValue reads one control message: the destination (IP_RECVDSTADDR), the
// interface (IP_RECVIF: a sockaddr_dl, the index in its bytes 2 and 3), or in6_pktinfo.
func (d *Datagram) setValue(level, kind int, v []byte) {
	switch {
	case level == unix.IPPROTO_IP && kind == unix.IP_RECVDSTADDR && len(v) >= 4:
		d.Dst, d.HasDst = netip.AddrFrom4([4]byte(v[:4])), true
	case level == unix.IPPROTO_IP && kind == unix.IP_RECVIF && len(v) >= 4:
		d.IfIndex = int(binary.NativeEndian.Uint16(v[2:]))
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO:
		d.setPacketInfo6(v)
	}
}
