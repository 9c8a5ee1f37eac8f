package loop

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// poller is what the loop sleeps in. The sources stand in an epoll set of their own,
// which is part of the main set only while the loop is idle: a busy loop looks at them
// once a slot and is not woken by every datagram.
type poller struct {
	main, sources, event int

	events  [256]unix.EpollEvent
	clients []int
	ready   []int
	armed   bool // sources is part of main
}

// ready is what a wait found.
type ready struct {
	clients []int // descriptors of clients that hung up or, when they leave, sent something
	sources bool  // a source is readable (told only when asked to watch them)
}

func newPoller() (*poller, error) {
	p := &poller{main: -1, sources: -1, event: -1}
	var err error
	if p.main, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		if p.sources, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
			if p.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
				err = add(p.main, p.event, unix.EPOLLIN)
			}
		}
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("set up epoll: %w", err)
	}
	return p, nil
}

// wait sleeps until a client hangs up, somebody calls wake, timeout is over (negative:
// never) or, when watchSources is set, a source is readable.
func (p *poller) wait(timeout time.Duration, watchSources bool) (ready, error) {
	if err := p.arm(watchSources); err != nil {
		return ready{}, err
	}
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(p.main, p.events[:], ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return ready{}, fmt.Errorf("epoll_wait: %w", err)
	}
	r := ready{clients: p.clients[:0]}
	for _, e := range p.events[:max(n, 0)] {
		switch int(e.Fd) {
		case p.event:
			var count [8]byte
			_, _ = unix.Read(p.event, count[:]) // only there to be emptied
		case p.sources:
			r.sources = true
		default:
			r.clients = append(r.clients, int(e.Fd))
		}
	}
	p.clients = r.clients
	return r, nil
}

func (p *poller) arm(on bool) (err error) {
	if on == p.armed {
		return nil
	}
	if on {
		err = add(p.main, p.sources, unix.EPOLLIN)
	} else {
		err = unix.EpollCtl(p.main, unix.EPOLL_CTL_DEL, p.sources, nil)
	}
	if err != nil {
		return fmt.Errorf("epoll_ctl of the sources: %w", err)
	}
	p.armed = on
	return nil
}

// readySources are the descriptors that have something to read, at most as many as
// the poller has room for; the others come next time.
func (p *poller) readySources() []int {
	p.ready = p.ready[:0]
	n, _ := unix.EpollWait(p.sources, p.events[:], 0)
	for _, e := range p.events[:max(n, 0)] {
		p.ready = append(p.ready, int(e.Fd))
	}
	return p.ready
}

// wake ends a wait; it may be called from any goroutine.
func (p *poller) wake() {
	_, _ = unix.Write(p.event, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full means that it is awake already
}

func (p *poller) addSource(fd int) error { return add(p.sources, fd, unix.EPOLLIN) }

func (p *poller) removeSource(fd int) {
	_ = unix.EpollCtl(p.sources, unix.EPOLL_CTL_DEL, fd, nil)
}

// addClient watches for the end of a connection only: a client that has shut down its
// sending side (RDHUP) still reads.
func (p *poller) addClient(fd int) error { return add(p.main, fd, unix.EPOLLET) }

// watchInput also watches what a client sends.
func (p *poller) watchInput(fd int) error {
	return unix.EpollCtl(p.main, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// removeClient must come before the close: gws may still hold a copy of the socket, and
// as long as it does the set would go on telling of a number that is another client's.
func (p *poller) removeClient(fd int) {
	_ = unix.EpollCtl(p.main, unix.EPOLL_CTL_DEL, fd, nil) // it need not have been added
}

func (p *poller) close() {
	for _, fd := range []int{p.main, p.sources, p.event} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func add(set, fd int, events uint32) error {
	return unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}
