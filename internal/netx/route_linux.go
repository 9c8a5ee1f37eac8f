package netx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// routeTo is the index of the interface that the kernel's routes lead dst to
// (RTM_GETROUTE, rtnetlink(7)). The kernel answers within the system call.
func routeTo(dst netip.Addr) (ifindex int, err error) {
	answer, err := askRoute(dst)
	if err == nil {
		ifindex, err = outInterface(answer)
	}
	if err != nil {
		return 0, fmt.Errorf("route to %s: %w", dst, err)
	}
	return ifindex, nil
}

// outInterface reads RTA_OIF of the route in an answer, or the error that it is.
func outInterface(answer []byte) (int, error) {
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return 0, err
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4 {
			return 0, syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return 0, err
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.RTA_OIF && len(a.Value) == 4 {
				return int(binary.NativeEndian.Uint32(a.Value)), nil
			}
		}
	}
	return 0, errors.New("the kernel names no interface")
}

func askRoute(dst netip.Addr) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, routeRequest(dst), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, 8<<10)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	return answer[:max(n, 0)], err
}

// routeRequest is nlmsghdr, rtmsg and the attribute RTA_DST.
func routeRequest(dst netip.Addr) []byte {
	family, addr := byte(unix.AF_INET6), dst.AsSlice()
	if dst.Is4() {
		family = unix.AF_INET
	}
	var b bytes.Buffer
	length := unix.SizeofNlMsghdr + unix.SizeofRtMsg + unix.SizeofRtAttr + len(addr)
	for _, part := range []any{
		unix.NlMsghdr{Len: uint32(length), Type: unix.RTM_GETROUTE, Flags: unix.NLM_F_REQUEST},
		unix.RtMsg{Family: family, Dst_len: byte(8 * len(addr))},
		unix.RtAttr{Len: uint16(unix.SizeofRtAttr + len(addr)), Type: unix.RTA_DST},
		addr,
	} {
		_ = binary.Write(&b, binary.NativeEndian, part) // to memory, of fixed sizes: cannot fail
	}
	return b.Bytes()
}
