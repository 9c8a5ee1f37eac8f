package iothread

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"sluice/internal/flow"
)

// hand gives the client's socket to the Desk.
func (t *thread) hand(s *session) {
	fd := int(s.ends[client].fd)
	watch(t.epoll, unix.EPOLL_CTL_DEL, fd, 0, 0, 0)
	probes := probesOf(fd)
	file := os.NewFile(uintptr(fd), "client")
	conn, err := net.FileConn(file) // has a copy
	if err != nil {
		s.ends[client].fd = -1
		file.Close()
		t.finish(s, flow.CauseError, fmt.Errorf("hand over the client's socket: %w", err), false)
		return
	}
	file.Close()
	probes.restore(conn)
	t.forget(s)
	t.pool.desk.Take(&s.Session, conn)
}

// probes are the times and the number of probes of a socket of TCP (tcp(7)): package net sets its own for each
// connection that it makes.
type probes [3]int

var probeOptions = probes{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT}

// probesOf reads them; 0 where the socket has none.
func probesOf(fd int) (p probes) {
	for i, option := range probeOptions {
		p[i], _ = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option)
	}
	return p
}

// restore sets them again.
func (p probes) restore(c net.Conn) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return // of a connection that is closed
	}
	_ = raw.Control(func(fd uintptr) {
		for i, option := range probeOptions {
			if p[i] != 0 {
				setInt(int(fd), unix.IPPROTO_TCP, option, p[i])
			}
		}
	})
}
