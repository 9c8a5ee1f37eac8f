package netx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func watchLinks(ctx context.Context, changed func()) error {
	f, err := openLinkEvents()
	if err != nil {
		return err
	}
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, 16<<10)
	return callAfter(ctx, func() error { return awaitLinkEvent(f, buf) }, changed)
}

// openLinkEvents opens a socket that hears of interfaces and of their addresses.
func openLinkEvents() (*os.File, error) {
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("join the netlink groups of interfaces: %w", err)
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}

// awaitLinkEvent waits for a message and takes all that are there. That the kernel
// had no room for one (ENOBUFS) is news, too.
func awaitLinkEvent(f *os.File, buf []byte) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	some := false
	err = raw.Read(func(fd uintptr) (done bool) {
		for {
			_, _, err := unix.Recvfrom(int(fd), buf, 0)
			switch {
			case err == nil, errors.Is(err, unix.ENOBUFS):
				some = true
			case errors.Is(err, unix.EAGAIN):
				return some
			case !errors.Is(err, unix.EINTR):
				failed = fmt.Errorf("receive netlink message: %w", err)
				return true
			}
		}
	})
	return errors.Join(err, failed)
}
