package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// sender sends channels of one rate as multicast, a datagram of seven packets to
// each group in turn, from one thread.
type sender struct {
	fd      int
	groups  []unix.SockaddrInet4
	streams []*stream
	buf     []byte
	sent    atomic.Int64 // bytes to each group
	stop    atomic.Bool
	done    chan struct{}
}

// startSender sends to the groups until Close.
func startSender(groups []netip.AddrPort, rate int64) (*sender, error) {
	fd, err := openSender()
	if err != nil {
		return nil, err
	}
	s := &sender{fd: fd, done: make(chan struct{}), buf: make([]byte, 0, datagramSize)}
	for _, g := range groups {
		s.groups = append(s.groups, sockaddr(g))
		s.streams = append(s.streams, newStream(rate))
	}
	go s.run()
	return s, nil
}

// openSender opens a socket that sends multicast on the loopback.
func openSender() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the sender's socket: %w", err)
	}
	if err := unix.SetsockoptInet4Addr(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, [4]byte{127, 0, 0, 1}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("send multicast on the loopback: %w", err)
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.SockaddrInet4 {
	return unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

// Close ends the sending and waits for it.
func (s *sender) Close() {
	s.stop.Store(true)
	<-s.done
	unix.Close(s.fd)
}

// maxLate is how far the sender may fall behind and catch up, in nanoseconds. Beyond
// that the stream slips: a burst that no source would send tests nothing.
const maxLate = 50_000_000

func (s *sender) run() {
	defer close(s.done)
	keepPace(s.streams[0].duration(datagramSize), &s.stop, func() {
		s.burst()
		s.sent.Add(datagramSize)
	})
}

// keepPace calls burst every interval (nanoseconds) until stop. Its goroutine must end
// with it: the thread keeps its priority.
func keepPace(interval int64, stop *atomic.Bool, burst func()) {
	runtime.LockOSThread()
	hurry(-15)
	for next := clock(); !stop.Load(); {
		now := clock()
		if now-next > maxLate {
			next = now
		}
		for ; next <= now; next += interval {
			burst()
		}
		// High rates go out every 200 µs.
		sleepUntil(max(next, clock()+200_000))
	}
}

// burst sends one datagram to every group. A full socket buffer cannot be told from
// a loss by the clients, so send errors need no count of their own.
func (s *sender) burst() {
	for i, st := range s.streams {
		b := st.appendDatagram(s.buf[:0], clock())
		_ = unix.Sendto(s.fd, b, 0, &s.groups[i])
	}
}
