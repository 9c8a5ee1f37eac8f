package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/netx"
)

// bareRelay is the least a relay of many channels can do: one thread that every 20 ms
// empties each channel's socket with recvmmsg and writes what came to the channel's
// clients. It knows no packets, keeps nothing, and drops who cannot take a write.
type bareRelay struct {
	listener int
	asking   []int // accepted, the request has not come
	channels map[netip.AddrPort]*bareChannel
	batch    *netx.Batch
}

type bareChannel struct {
	udp     *netx.UDP
	buf     []byte
	clients []int
}

// bareRound is the pace of a bareRelay.
const bareRound = 20 * time.Millisecond

func newBareRelay(addr netip.AddrPort) (*bareRelay, error) {
	listener, err := listenNonblock(addr)
	if err != nil {
		return nil, err
	}
	return &bareRelay{listener: listener, channels: map[netip.AddrPort]*bareChannel{}, batch: netx.NewBatch(64)}, nil
}

// run serves until stop, asked once a round, is true.
func (r *bareRelay) run(stop func() bool) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for next := clock(); !stop(); next += int64(bareRound) {
		sleepUntil(next)
		if err := r.admit(); err != nil {
			return err
		}
		for _, c := range r.channels {
			if err := c.relay(r.batch); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close gives all back, after run has returned.
func (r *bareRelay) Close() error {
	err := errors.Join(unix.Close(r.listener), r.batch.Close())
	for _, fd := range r.asking {
		unix.Close(fd)
	}
	for _, c := range r.channels {
		err = errors.Join(err, c.udp.Close())
		for _, fd := range c.clients {
			unix.Close(fd)
		}
	}
	return err
}

// admit accepts clients and gives those whose request has come to their channel.
func (r *bareRelay) admit() error {
	for {
		fd, _, err := unix.Accept4(r.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			break
		}
		r.asking = append(r.asking, fd)
	}
	kept := r.asking[:0]
	for _, fd := range r.asking {
		request := make([]byte, 4096)
		n, err := unix.Read(fd, request)
		switch {
		case errors.Is(err, unix.EAGAIN):
			kept = append(kept, fd)
		case err != nil || n == 0:
			unix.Close(fd)
		default:
			if err := r.join(fd, string(request[:n])); err != nil {
				return err
			}
		}
	}
	r.asking = kept
	return nil
}

func (r *bareRelay) join(fd int, request string) error {
	_, rest, _ := strings.Cut(request, " /udp/")
	name, _, _ := strings.Cut(rest, " ")
	group, err := netip.ParseAddrPort(name)
	if err != nil {
		return fmt.Errorf("request %q: %w", request, err)
	}
	c := r.channels[group]
	if c == nil {
		udp, err := netx.OpenUDP(netx.UDPConfig{Addr: group})
		if err != nil {
			return err
		}
		c = &bareChannel{udp: udp, buf: make([]byte, 64*datagramSize)}
		r.channels[group] = c
	}
	if _, err := unix.Write(fd, []byte(streamHead)); err != nil {
		return fmt.Errorf("answer a client: %w", err)
	}
	c.clients = append(c.clients, fd)
	return nil
}

// relay moves what waits on the channel's socket, one buffer at a time.
func (c *bareChannel) relay(batch *netx.Batch) error {
	for {
		n, err := batch.Receive(c.udp.FD(), c.buf, datagramSize)
		if err != nil || n == 0 {
			return err
		}
		b := c.buf[:n*datagramSize]
		kept := c.clients[:0]
		for _, fd := range c.clients {
			if sent, err := unix.Write(fd, b); err == nil && sent == len(b) {
				kept = append(kept, fd)
				continue
			}
			fmt.Fprintln(os.Stderr, "bare relay: a client is gone or too slow")
			unix.Close(fd)
		}
		c.clients = kept
		if len(b) < len(c.buf) {
			return nil
		}
	}
}
