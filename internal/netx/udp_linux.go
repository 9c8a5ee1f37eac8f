package netx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// storageAlign is the alignment of sockaddr_storage, that of a pointer.
const storageAlign = int(unsafe.Sizeof(uintptr(0)))

// sockaddrHead writes the family, 16 bits in the order of the machine.
func sockaddrHead(b []byte, family uint16, _ byte) {
	binary.NativeEndian.PutUint16(b, family)
}

// setReceiveOptions lets in only what this socket joined itself and asks for the
// destination, the interface and the drop counter with every datagram.
func setReceiveOptions(fd int, v6 bool) error {
	all := []option{
		{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		{"IP_PKTINFO", unix.IPPROTO_IP, unix.IP_PKTINFO, 1},
	}
	if v6 {
		all = []option{
			{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			{"IPV6_MULTICAST_ALL", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0},
			{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
		}
	}
	all = append(all, option{"SO_RXQ_OVFL", unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1})
	for _, o := range all {
		err := unix.SetsockoptInt(fd, o.level, o.opt, o.value)
		// IPV6_MULTICAST_ALL came with Linux 4.20; bound to the group it is not needed.
		if err != nil && !(o.opt == unix.IPV6_MULTICAST_ALL && errors.Is(err, unix.ENOPROTOOPT)) {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	return nil
}

// setReceiveBuffer asks for size bytes, past net.core.rmem_max where the process
// may, and returns what was granted. The kernel doubles the value for its own
// bookkeeping and reports the double.
func setReceiveBuffer(fd, size int) (granted int, err error) {
	if size == 0 {
		size = DefaultReceiveBuffer
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	if err != nil {
		return 0, err
	}
	doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2, err
}

// indexOf is the index of an interface, by one ioctl on any socket: hundreds of
// sockets ask at once when an interface has changed.
func indexOf(fd int, name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("interface %q: %w", name, err)
	}
	switch err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); {
	case errors.Is(err, unix.ENODEV):
		return 0, fmt.Errorf("%w %q", ErrNoInterface, name)
	case err != nil:
		return 0, fmt.Errorf("index of interface %q: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// bindToDevice ties a socket to an interface, and no more to another one.
func bindToDevice(fd int, name string) error { return unix.BindToDevice(fd, name) }
