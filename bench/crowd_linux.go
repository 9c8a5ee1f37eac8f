package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is any number of HTTP clients on one thread: epoll and a look at the first whole
// packet of each read (see follower). The rest of a read is not copied out of the kernel:
// the clients of a real server do that on machines of their own.
type crowd struct {
	epoll, wake int
	done        chan struct{}
	news        chan struct{} // a token after each batch of reads; one waits, more are dropped

	mu      sync.Mutex // guards what follows; the loop holds it while it handles a batch
	clients []*client
	tally   tally
	playing int // clients that have had a packet
	failed  error
}

// client is one connection of a crowd. fd is -1 once it ended.
type client struct {
	fd       int
	head     []byte // of the response, as long as it is not whole
	streams  bool   // the head was whole and good
	playing  bool
	follower follower
}

// tally is what a crowd received since it was last taken.
type tally struct {
	bytes int64 // of streams, response heads not counted
	gaps  int64
	ended int     // connections that the server closed
	ages  []int64 // of the oldest packet in each read, nanoseconds
	lags  []int64 // at most so long each read had waited for the crowd, nanoseconds
}

const (
	wakeSlot  = -1        // marks the event of the descriptor that ends the loop
	readSize  = 512 << 10 // at most so much is taken from a client at once
	glance    = 4 << 10   // what is looked at of it
	crowdWait = 15 * time.Second
)

// errNotAll says that some clients got no packet in crowdWait.
var errNotAll = errors.New("not all clients play")

func newCrowd() (*crowd, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	c := &crowd{epoll: epoll, wake: wake, done: make(chan struct{}), news: make(chan struct{}, 1)}
	if err := c.watch(wake, wakeSlot); err != nil {
		unix.Close(epoll)
		unix.Close(wake)
		return nil, err
	}
	go c.run()
	return c, nil
}

// Close ends the loop, waits for it and closes every connection.
func (c *crowd) Close() {
	_, _ = unix.Write(c.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // an eventfd takes eight bytes
	<-c.done
	for _, cl := range c.clients {
		if cl.fd >= 0 {
			unix.Close(cl.fd)
		}
	}
	unix.Close(c.epoll)
	unix.Close(c.wake)
}

// join adds a client of path.
func (c *crowd) join(server netip.AddrPort, path string) error {
	fd, err := dial(server, path)
	if err != nil {
		return err
	}
	c.mu.Lock()
	slot := len(c.clients)
	c.clients = append(c.clients, &client{fd: fd})
	c.mu.Unlock()
	if err := unix.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("make a client non-blocking: %w", err)
	}
	return c.watch(fd, slot)
}

// wait blocks until every client has had a packet, crowdWait at the most.
func (c *crowd) wait() error {
	return c.await(func() bool { return c.playing == len(c.clients) })
}

// await blocks until done is true, crowdWait at the most, or a client failed. done is
// called with the lock held.
func (c *crowd) await(done func() bool) error {
	late := time.After(crowdWait)
	for {
		c.mu.Lock()
		failed, ok := c.failed, done()
		playing, all := c.playing, len(c.clients)
		c.mu.Unlock()
		if failed != nil || ok {
			return failed
		}
		select {
		case <-c.news:
		case <-late:
			return fmt.Errorf("%w: %d of %d after %v", errNotAll, playing, all, crowdWait)
		}
	}
}

// take returns the tally since the last call and begins a new one. In between, while no
// client is served, it calls between (nil is nothing).
func (c *crowd) take(between func()) tally {
	fresh := tally{ages: make([]int64, 0, 1<<20), lags: make([]int64, 0, 1<<20)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if between != nil {
		between()
	}
	t := c.tally
	c.tally = fresh
	return t
}

func (c *crowd) watch(fd, slot int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(slot)}
	if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watch a client: %w", err)
	}
	return nil
}

func (c *crowd) run() {
	defer close(c.done)
	runtime.LockOSThread() // never unlocked: the thread ends with its priority
	hurry(-10)
	buf := make([]byte, readSize)
	events := make([]unix.EpollEvent, 256)
	// When the kernel had last named all who had something: who is named now had nothing
	// at that time, for it names them in turn.
	lap := clock()
	for {
		n, err := unix.EpollWait(c.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			c.mu.Lock()
			c.failed = fmt.Errorf("wait for the clients' data: %w", err)
			c.mu.Unlock()
			return
		}
		named := clock()
		if !c.handle(events[:max(n, 0)], buf, lap) {
			return
		}
		if n < len(events) {
			lap = named
		}
		select {
		case c.news <- struct{}{}:
		default:
		}
	}
}

// handle serves one batch of events, none of which was ready at lap. It is false
// when the loop shall end.
func (c *crowd) handle(events []unix.EpollEvent, buf []byte, lap int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		if e.Fd == wakeSlot {
			return false
		}
		cl := c.clients[e.Fd]
		n, more, err := cl.read(buf)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		case err != nil || n == 0:
			c.endLocked(cl, err)
		default:
			c.receiveLocked(cl, buf[:n], more, lap)
		}
	}
	return true
}

// read takes what waits, readSize at the most: n bytes into buf, and more that were let
// go behind them. The first bytes of a stream are all looked at.
func (cl *client) read(buf []byte) (n, more int, err error) {
	if cl.follower.offset < prologue*packetSize {
		n, err = unix.Read(cl.fd, buf)
		return n, 0, err
	}
	n, err = unix.Read(cl.fd, buf[:glance])
	if err != nil || n < glance {
		return n, 0, err
	}
	// MSG_TRUNC: taken, not copied (tcp(7)). An end or an error shows at the next read.
	more, _, err = unix.Recvfrom(cl.fd, buf[glance:], unix.MSG_TRUNC)
	if err != nil {
		more = 0
	}
	return n, more, nil
}

func (c *crowd) endLocked(cl *client, err error) {
	unix.Close(cl.fd)
	cl.fd = -1
	c.tally.ended++
	if !cl.streams && c.failed == nil {
		c.failed = fmt.Errorf("a client was closed before its response: %w", errors.Join(errEnd, err))
	}
}

func (c *crowd) receiveLocked(cl *client, b []byte, more int, lap int64) {
	if !cl.streams {
		var err error
		if b, err = cl.readHead(b); err != nil {
			c.failed = cmp.Or(c.failed, err)
			return
		}
	}
	if len(b) == 0 {
		return
	}
	before := cl.follower.gaps
	first, ok := cl.follower.take(b)
	cl.follower.skip(more)
	c.tally.bytes += int64(len(b) + more)
	c.tally.gaps += cl.follower.gaps - before
	if !ok {
		return
	}
	now := clock()
	c.tally.ages = append(c.tally.ages, now-first.time)
	c.tally.lags = append(c.tally.lags, now-lap)
	if !cl.playing {
		cl.playing = true
		c.playing++
	}
}

var (
	errEnd    = errors.New("end of the stream")
	errAnswer = errors.New("the server's answer is no stream")
)

// readHead takes the head of the response off b, over as many reads as it takes.
func (cl *client) readHead(b []byte) ([]byte, error) {
	cl.head = append(cl.head, b...)
	head, body, whole := bytes.Cut(cl.head, []byte("\r\n\r\n"))
	if !whole {
		return nil, nil
	}
	status, _, _ := strings.Cut(string(head), "\r\n")
	if f := strings.Fields(status); len(f) < 2 || f[1] != "200" {
		return nil, fmt.Errorf("%w: %s", errAnswer, status)
	}
	cl.head, cl.streams = nil, true
	return body, nil
}

// dial connects a blocking socket and sends the request for path.
func dial(server netip.AddrPort, path string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a client's socket: %w", err)
	}
	to := unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())}
	err = unix.Connect(fd, &to)
	if err == nil {
		_, err = unix.Write(fd, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, server))
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("request %s from %s: %w", path, server, err)
	}
	return fd, nil
}
