package main

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// rig is what stands around a TCP relay: the back end and all clients, on one thread with
// one epoll set, so that as little as possible of the load's core goes into changes between
// threads. What a client says first tells the back end what it wants: askBulk is answered
// with bytes without end, anything else comes back as it is.
type rig struct {
	epoll, wake, listener int
	source                int // memfd that bulk is sent from: it is not copied from user space
	addr                  netip.AddrPort
	done                  chan struct{}

	mu     sync.Mutex // guards what follows; the loop holds it while it handles a batch
	actors []actor    // by descriptor
	tags   []int32    // of the actors, so that no event of a closed descriptor meets the next one
	tag    int32
	later  []int // descriptors that have not taken all there was
	buf    []byte
	room   []byte // never written: bulk is thrown away
	ended  bool
	failed error // why the back end or the loop has ended
}

// actor is one connection. act is called when its descriptor is ready, by edges.
type actor interface {
	act(r *rig, fd int, events uint32) error
}

const (
	askBulk    = 'b'
	askEcho    = 'e'
	roomSize   = 16 << 20 // more than a socket buffer holds
	sourceSize = 1 << 20  // bytes of the memfd, and of one sendfile(2)
	sourceTurn = 4        // of them that one connection gets before others
	edges      = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
)

// startRig starts the thread; the back end listens on a port of all addresses, 0 is any.
func startRig(port int) (*rig, error) {
	r := &rig{epoll: -1, wake: -1, listener: -1, source: -1, done: make(chan struct{}), buf: make([]byte, 64<<10), room: make([]byte, roomSize)}
	if err := r.open(port); err != nil {
		r.closeAll()
		return nil, fmt.Errorf("set up the load of the relays: %w", err)
	}
	go r.run()
	return r, nil
}

func (r *rig) open(port int) (err error) {
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	if r.source, err = unix.MemfdCreate("bulk", unix.MFD_CLOEXEC); err != nil {
		return err
	}
	if _, err = unix.Pwrite(r.source, make([]byte, sourceSize), 0); err != nil {
		return err
	}
	if r.listener, err = listenNonblock(netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))); err != nil {
		return err
	}
	local, err := unix.Getsockname(r.listener)
	if err != nil {
		return err
	}
	r.addr = onLoopback(local.(*unix.SockaddrInet4).Port)
	return errors.Join(r.add(r.wake, waker{}), r.add(r.listener, door{}))
}

// Close ends the thread with all its connections, and waits for it.
func (r *rig) Close() {
	r.with(func() { r.ended = true })
	if _, err := unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		panic(err) // an eventfd takes it
	}
	<-r.done
}

// with does something while the loop does nothing.
func (r *rig) with(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// run is the loop.
func (r *rig) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(r.done)
	defer r.closeAll()
	events := make([]unix.EpollEvent, 512)
	for wait := -1; ; {
		n, err := unix.EpollWait(r.epoll, events, wait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			r.with(func() { r.failed = fmt.Errorf("wait for the load: %w", err) })
			return
		}
		more, ended := false, false
		r.with(func() { more, ended = r.round(events[:max(n, 0)]), r.ended })
		if ended {
			return
		}
		wait = -1
		if more {
			wait = 0
		}
	}
}

// round handles a batch; true = there is more to do without an event.
func (r *rig) round(events []unix.EpollEvent) bool {
	again := r.later
	r.later = nil
	for _, e := range events {
		fd := int(e.Fd)
		if r.tags[fd] == e.Pad && r.actors[fd] != nil {
			r.act(fd, e.Events)
		}
	}
	for _, fd := range again {
		if r.actors[fd] != nil {
			r.act(fd, 0)
		}
	}
	return len(r.later) > 0
}

// act gives a connection its turn; one that has ended is closed.
func (r *rig) act(fd int, events uint32) {
	err := r.actors[fd].act(r, fd, events)
	switch {
	case err == nil:
	case errors.Is(err, errOver):
		r.drop(fd)
	default:
		r.drop(fd)
		r.failed = err
	}
}

// errOver ends a connection that has done what it should.
var errOver = errors.New("over")

// add watches a descriptor, which is the rig's from now on.
func (r *rig) add(fd int, a actor) error {
	for len(r.actors) <= fd {
		r.actors = append(r.actors, nil)
		r.tags = append(r.tags, 0)
	}
	r.tag++
	r.actors[fd], r.tags[fd] = a, r.tag
	if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: edges, Fd: int32(fd), Pad: r.tag}); err != nil {
		r.drop(fd)
		return fmt.Errorf("watch a connection: %w", err)
	}
	return nil
}

func (r *rig) drop(fd int) {
	r.actors[fd] = nil
	unix.Close(fd)
}

func (r *rig) closeAll() {
	for fd, a := range r.actors {
		if a != nil && fd != r.wake && fd != r.listener {
			unix.Close(fd)
		}
	}
	for _, fd := range []int{r.epoll, r.wake, r.listener, r.source} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// waker is the descriptor that ends the loop's wait.
type waker struct{}

func (waker) act(*rig, int, uint32) error { return nil }

// door is the listening socket of the back end.
type door struct{}

func (door) act(r *rig, fd int, _ uint32) error {
	for {
		conn, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return fmt.Errorf("accept at the back end: %w", err)
		}
		if err := r.add(conn, &backend{}); err != nil {
			return err
		}
	}
}

// backend is a connection of the back end. Relays end it as they like.
type backend struct{ bulk bool }

func (b *backend) act(r *rig, fd int, events uint32) error {
	if !b.bulk {
		n, err := unix.Read(fd, r.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil || n == 0:
			return errOver
		}
		b.bulk = r.buf[0] == askBulk
		if !b.bulk {
			_, err = unix.Write(fd, r.buf[:n]) // what is cut short, or for a relay that has gone, the client notices
		}
		if over(err) != nil {
			return errOver
		}
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		return errOver // there is no further edge
	}
	if !b.bulk {
		return nil
	}
	for range sourceTurn {
		var from int64
		if n, err := unix.Sendfile(fd, r.source, &from, sourceSize); err != nil || n < sourceSize {
			return over(err)
		}
	}
	r.later = append(r.later, fd)
	return nil
}

// over is errOver for a connection that has failed.
func over(err error) error {
	if err == nil || errors.Is(err, unix.EAGAIN) {
		return nil
	}
	return errOver
}
