package gws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"sluice/internal/handoff"
)

const (
	// pumpBuffer is how much a pump takes from its engine and gives to its client at once.
	pumpBuffer = 64 << 10
	// pairBuffer bounds what waits between an engine and a pump, in bytes: some rounds of the
	// engine's loop, and little enough that the lag of a slow client is seen there. The
	// system counts what it spends, not what is sent.
	pairBuffer = 128 << 10
)

// pump writes a stream to a client that has no socket to hand over: the engine gets one
// end of a pair of sockets, and gws copies what comes out at the other. It runs in the
// goroutine of the request.
type pump struct {
	answered
	c       *client
	buffers *sync.Pool // of *[pumpBuffer]byte

	near *os.File    // gws's end of the pair; nil before the first hand
	left func() bool // no longer close it when the client leaves
}

func (p *pump) hand(to *handoff.Conn, a handoff.Attach) error {
	p.close() // what an engine that is gone has written goes with the pair
	near, far, err := socketPair()
	if err != nil {
		return err
	}
	defer far.Close()
	p.near = near
	p.left = context.AfterFunc(p.r.Context(), func() { near.Close() })
	return to.SendSocket(a, far)
}

// untouched: the client gets nothing before Started.
func (p *pump) untouched() bool { return true }

func (p *pump) carry() error {
	b, ok := p.buffers.Get().(*[pumpBuffer]byte)
	if !ok {
		b = new([pumpBuffer]byte)
	}
	n, err := p.near.Read(b[:])
	if n == 0 && !errors.Is(err, io.EOF) { // the client has left, or Run ends
		p.giveUp(outcome{verdict: stopped})
		return nil
	}
	p.begin()
	for err == nil {
		if stuck, err := p.pass(b[:n]); err != nil {
			if !stuck {
				return nil // the client has left
			}
			return fmt.Errorf("it took nothing for %v", p.c.conf.Stall)
		}
		n, err = p.near.Read(b[:])
	}
	// After an error of pass net/http (HTTP/2) may be reading from the buffer still.
	p.buffers.Put(b)
	return nil
}

// begin announces the stream. In HTTP/1.1 it is not to be chunked: it ends when the
// connection does, as for those whose socket is handed over.
func (p *pump) begin() {
	if p.r.ProtoMajor == 1 {
		p.w.Header().Set("Transfer-Encoding", "identity")
	}
	p.announce(p.c.header)
}

// pass gives b to the client and waits until it is taken. stuck says that the client did
// not take it in time.
func (p *pump) pass(b []byte) (stuck bool, err error) {
	late := time.Now().Add(p.c.conf.Stall)
	if err := p.control.SetWriteDeadline(late); err != nil {
		return false, err
	}
	_, err = p.w.Write(b)
	if err == nil && len(b) < pumpBuffer { // else there is more already
		err = p.control.Flush()
	}
	return err != nil && !time.Now().Before(late), err
}

func (p *pump) close() {
	if p.near != nil {
		p.left()
		p.near.Close()
	}
}

// socketPair is two ends that are connected; what is written to far waits in a small
// buffer.
func socketPair() (near, far *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	near, far = os.NewFile(uintptr(fds[0]), "pump"), os.NewFile(uintptr(fds[1]), "pump, the engine's end")
	if err := syscall.SetsockoptInt(fds[1], syscall.SOL_SOCKET, syscall.SO_SNDBUF, pairBuffer); err != nil {
		near.Close()
		far.Close()
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	return near, far, nil
}
