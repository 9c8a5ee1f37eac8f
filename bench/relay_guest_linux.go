package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// guests are clients of one relay that all do the same. The rig's mutex guards what they
// have counted.
type guests struct {
	rig   *rig
	to    unix.SockaddrInet4
	kind  kind
	count int64   // bytes that came, of bulk; else round trips
	waits []int64 // nanoseconds of each round trip, while kept
	keep  bool
	fds   map[int]bool
	lost  error // why connections were lost, which none should
}

// kind is what guests do.
type kind struct {
	bulk  bool // take all that comes
	size  int  // or send so many bytes and wait until they have come back;
	again bool // then once more,
	renew bool // or once more on a new connection; else they stay, and are quiet
}

// guests are clients of a relay that are yet to come.
func (r *rig) guests(relay netip.AddrPort, k kind) *guests {
	return &guests{rig: r, to: unix.SockaddrInet4{Addr: relay.Addr().As4(), Port: int(relay.Port())}, kind: k, fds: map[int]bool{}}
}

// invite makes n clients of a relay.
func (r *rig) invite(relay netip.AddrPort, n int, k kind) (*guests, error) {
	g := r.guests(relay, k)
	if err := g.enterAll(n); err != nil {
		g.leave()
		return nil, err
	}
	return g, nil
}

// enterAll begins n connections.
func (g *guests) enterAll(n int) (err error) {
	g.rig.with(func() {
		for range n {
			if err == nil {
				err = g.enter()
			}
		}
	})
	return err
}

// adopt makes guests of connections on which bulk has begun; what comes is thrown away.
func (r *rig) adopt(fds []int) (*guests, error) {
	g := &guests{rig: r, kind: kind{bulk: true}, fds: map[int]bool{}}
	var err error
	r.with(func() {
		for _, fd := range fds {
			g.fds[fd] = true
			err = errors.Join(err, r.add(fd, &sink{g}))
		}
	})
	return g, err
}

// enter begins a connection.
func (g *guests) enter() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a connection: %w", err)
	}
	c := &guest{guests: g, begun: clock()}
	if err := unix.Connect(fd, &g.to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return fmt.Errorf("connect to the relay: %w", err)
	}
	if err := g.rig.add(fd, c); err != nil {
		return err
	}
	g.fds[fd] = true
	return nil
}

// more lets n further clients in and waits until count of them have their answer.
func (g *guests) more(ctx context.Context, n int, count int64) (err error) {
	err = g.enterAll(n)
	for begin := clock(); err == nil; err = pause(ctx, time.Millisecond) {
		var have int64
		g.rig.with(func() { have, err = g.count, errors.Join(g.lost, g.rig.failed) })
		if have >= count || err != nil {
			return err
		}
		if time.Duration(clock()-begin) > crowdWait {
			return fmt.Errorf("%w: %d of %d after %v", errNotAll, have, count, crowdWait)
		}
	}
	return err
}

// leave closes all connections.
func (g *guests) leave() {
	g.rig.with(func() {
		for fd := range g.fds {
			g.rig.drop(fd)
		}
		clear(g.fds)
	})
}

// guest is a client that has not got its bulk yet, or gets none.
type guest struct {
	guests *guests
	asked  bool
	got    int
	begun  int64 // of the connection, and then of each message
}

// errClosed is what a relay must not do.
var errClosed = errors.New("the relay closed a connection")

func (c *guest) act(r *rig, fd int, _ uint32) error {
	g := c.guests
	if !c.asked {
		if failed, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || failed != 0 {
			return g.lose(fd, errors.Join(err, unix.Errno(failed)))
		}
		err := c.ask(r, fd)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOTCONN) {
			return nil // not connected yet
		}
		if err != nil {
			return g.lose(fd, err)
		}
		c.asked = true
		if g.kind.bulk {
			r.actors[fd] = &sink{g}
			return nil
		}
	}
	n, err := unix.Read(fd, r.buf)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err == nil && n == 0:
		return g.lose(fd, errClosed)
	case err != nil:
		return g.lose(fd, err)
	}
	if c.got += n; c.got < g.kind.size {
		return nil
	}
	return c.answered(r, fd)
}

// ask sends what the client wants.
func (c *guest) ask(r *rig, fd int) error {
	message := r.buf[:max(1, c.guests.kind.size)]
	message[0] = askEcho
	if c.guests.kind.bulk {
		message[0] = askBulk
	}
	n, err := unix.Write(fd, message)
	if err == nil && n < len(message) {
		err = fmt.Errorf("sent %d of %d bytes", n, len(message))
	}
	return err
}

// answered is the end of a round trip.
func (c *guest) answered(r *rig, fd int) error {
	g := c.guests
	now := clock()
	g.count++
	if g.keep {
		g.waits = append(g.waits, now-c.begun)
	}
	switch {
	case g.kind.renew:
		delete(g.fds, fd)
		g.lost = errors.Join(g.lost, g.enter())
		return errOver
	case g.kind.again:
		c.begun, c.got = now, 0
		if err := c.ask(r, fd); err != nil {
			return g.lose(fd, err)
		}
	}
	return nil
}

// lose ends a connection that has failed.
func (g *guests) lose(fd int, err error) error {
	delete(g.fds, fd)
	g.lost = errors.Join(g.lost, err)
	return errOver
}

// sink takes bulk. The bytes are thrown away in the kernel: real clients read on machines
// of their own, and here a copy takes time and memory bandwidth from the relay.
type sink struct{ guests *guests }

func (s *sink) act(r *rig, fd int, _ uint32) error {
	n, _, err := unix.Recvfrom(fd, r.room, unix.MSG_TRUNC)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err == nil && n == 0:
		return s.guests.lose(fd, errClosed)
	case err != nil:
		return s.guests.lose(fd, err)
	}
	s.guests.count += int64(n)
	if n == len(r.room) {
		r.later = append(r.later, fd)
	}
	return nil
}
