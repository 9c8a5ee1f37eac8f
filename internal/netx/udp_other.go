//go:build !linux

package netx

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"
)

// storageAlign is the alignment of sockaddr_storage, that of a 64-bit integer.
var storageAlign = alignOfInt64()

func alignOfInt64() int {
	if runtime.GOARCH == "386" {
		return 4
	}
	return 8
}

// sockaddrHead writes length and family, one byte each.
func sockaddrHead(b []byte, family, length byte) {
	b[0], b[1] = length, family
}

// setReceiveOptions asks for the destination and the interface with every datagram.
// A BSD socket receives only the groups it joined itself; nothing is to be set for it.
func setReceiveOptions(fd int, v6 bool) error {
	all := []option{
		{"IP_RECVDSTADDR", unix.IPPROTO_IP, unix.IP_RECVDSTADDR, 1},
		{"IP_RECVIF", unix.IPPROTO_IP, unix.IP_RECVIF, 1},
	}
	if v6 {
		all = []option{
			{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
		}
	}
	for _, o := range all {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	return nil
}

// setReceiveBuffer asks for size bytes and for half as long as the system has not
// so many (kern.ipc.maxsockbuf). It returns what was granted.
func setReceiveBuffer(fd, size int) (granted int, err error) {
	if size == 0 {
		size = DefaultReceiveBuffer
	}
	for ; ; size /= 2 {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
		if !errors.Is(err, unix.ENOBUFS) || size < 4096 {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
}

func indexOf(_ int, name string) (int, error) { return interfaceIndex(name) }

// bindToDevice is what a BSD cannot do: there, the zone of a link-local address is
// part of the bound address, and for good.
func bindToDevice(int, string) error { return errors.ErrUnsupported }

// routeTo is not asked here: the join chooses, and does not tell.
func routeTo(netip.Addr) (ifindex int, err error) { return 0, errors.ErrUnsupported }
