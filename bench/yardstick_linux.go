package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// yardstick is the least a relay of one channel can do: one thread, non-blocking
// sockets, a stream it makes itself, and once every block's duration one send of that
// block to every client in turn. It runs in a process of its own, as a relay does.
type yardstick struct {
	listener int
	memory   int    // memfd of the ring
	ring     []byte // blocks of the stream, mapped from memory; the byte at offset n is ring[n%len]
	block    int
	sendfile bool
	stream   *stream
	rest     []byte // of the packet that the last block cut
	head     int64  // bytes made
	clients  []receiver
}

// receiver is one client of a yardstick and the offset it has come to.
type receiver struct {
	fd     int
	offset int64
}

// streamHead is what yardsticks answer.
const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"

// ringBlocks is how many blocks a client may lag before it is dropped.
const ringBlocks = 32

// runYardstick is the command `bench yardstick`: it serves until it is killed.
func runYardstick(args []string) error {
	flags := flag.NewFlagSet("yardstick", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:4046", "address and port")
	block := flags.Int("block", 48<<10, "bytes a send, a multiple of the page for -sendfile")
	rate := flags.Int64("rate", 8_000_000, "bits a second")
	sendfile := flags.Bool("sendfile", false, "send from a memfd instead of plain writes")
	bare := flags.Bool("bare-relay", false, "relay groups that are asked for, every 20 ms")
	answer := flags.Bool("answer", false, "accept, write once, close")
	if err := flags.Parse(args); err != nil {
		return err
	}
	addr, err := netip.ParseAddrPort(*listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	if *answer {
		a, err := newAnswers(addr)
		if err != nil {
			return err
		}
		return a.run()
	}
	if *bare {
		r, err := newBareRelay(addr)
		if err != nil {
			return err
		}
		return r.run(forever)
	}
	y, err := newYardstick(addr, *block, *sendfile, *rate)
	if err != nil {
		return err
	}
	y.run(forever)
	return nil
}

func forever() bool { return false }

func newYardstick(addr netip.AddrPort, block int, sendfile bool, rate int64) (*yardstick, error) {
	y := &yardstick{block: block, sendfile: sendfile, stream: newStream(rate)}
	var err error
	if y.listener, err = listenNonblock(addr); err != nil {
		return nil, err
	}
	return y, y.makeRing()
}

// Close gives all back, after run has returned.
func (y *yardstick) Close() error {
	for _, c := range y.clients {
		unix.Close(c.fd)
	}
	return errors.Join(unix.Close(y.listener), unix.Close(y.memory), unix.Munmap(y.ring))
}

// run serves until stop, asked once a round, is true.
func (y *yardstick) run(stop func() bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for begin := clock(); !stop(); {
		y.fill(begin)
		sleepUntil(begin + y.stream.duration(y.head))
		y.accept()
		y.serve()
	}
}

func listenNonblock(addr netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a listener: %w", err)
	}
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}),
		unix.Listen(fd, 4096),
	); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return fd, nil
}

func (y *yardstick) makeRing() error {
	size := ringBlocks * y.block
	var err error
	if y.memory, err = unix.MemfdCreate("yardstick", unix.MFD_CLOEXEC); err != nil {
		return fmt.Errorf("make a memfd: %w", err)
	}
	if err = unix.Ftruncate(y.memory, int64(size)); err != nil {
		return fmt.Errorf("give the memfd %d bytes: %w", size, err)
	}
	if y.ring, err = unix.Mmap(y.memory, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map the memfd: %w", err)
	}
	return nil
}

// fill makes the next block. A packet's stamp is the time at which a source of
// constant rate would have delivered it, so that an age includes the wait for the
// block's end, as in a relay.
func (y *yardstick) fill(begin int64) {
	at := int(y.head % int64(len(y.ring)))
	room := y.ring[at : at+y.block]
	made := y.head
	for len(room) > 0 {
		if len(y.rest) == 0 {
			y.rest = y.stream.appendPacket(y.rest[:0], begin+y.stream.duration(made))
		}
		n := copy(room, y.rest)
		y.rest, room, made = y.rest[n:], room[n:], made+int64(n)
	}
	y.head = made
}

// accept takes every waiting client, answers it and starts it at the next whole packet.
// What the client asks for is not read: a yardstick has one stream.
func (y *yardstick) accept() {
	for {
		fd, _, err := unix.Accept4(y.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		if _, err := unix.Write(fd, []byte(streamHead)); err != nil {
			unix.Close(fd)
			continue
		}
		y.clients = append(y.clients, receiver{fd: fd, offset: (y.head + packetSize - 1) / packetSize * packetSize})
	}
}

// serve sends every client what it has not had. Who left, or lags by more than the
// ring, is closed.
func (y *yardstick) serve() {
	kept := y.clients[:0]
	for _, c := range y.clients {
		if y.send(&c) {
			kept = append(kept, c)
		} else {
			unix.Close(c.fd)
		}
	}
	y.clients = kept
}

func (y *yardstick) send(c *receiver) bool {
	if y.head-c.offset > int64(len(y.ring)-y.block) {
		fmt.Fprintln(os.Stderr, "yardstick: a client lags too far")
		return false
	}
	for c.offset < y.head {
		at := int(c.offset % int64(len(y.ring)))
		size := min(int(y.head-c.offset), len(y.ring)-at)
		n, err := y.sendPiece(c.fd, at, size)
		if errors.Is(err, unix.EAGAIN) {
			return true
		}
		if err != nil {
			return false
		}
		c.offset += int64(n)
		if n < size {
			return true
		}
	}
	return true
}

func (y *yardstick) sendPiece(fd, at, size int) (int, error) {
	if y.sendfile {
		from := int64(at)
		return unix.Sendfile(fd, y.memory, &from, size)
	}
	return unix.Write(fd, y.ring[at:at+size])
}
