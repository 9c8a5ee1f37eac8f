// Package pipe makes sources of what is no datagram socket. The loop drains descriptors
// without blocking: the bytes of a file or of an answer come to it through a pipe(2), which
// a goroutine fills, and those of a plain TCP connection straight from its socket.
//
//	pump (goroutine) ──write──► pipe, up to 1 MiB ──Drain──► channel
//	socket ────────────────────────────────────────Drain──► channel
//
// What was written before the end is drained before the end is told, however the end came.
package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/endpoint"
	"sluice/internal/report"
)

const (
	// pipeSize is how much a pipe holds, where the system grants it.
	pipeSize = 1 << 20
	// drainBytes is about how much one Drain moves.
	drainBytes = 1 << 20
	// leastRead is the free space that is reserved for a read: what is left of a segment is
	// used up to that.
	leastRead = 4 << 10
)

// Pump writes a stream to w until it is over, which is nil, until it breaks, or until ctx
// ends: then it returns soon, with whatever error. A write waits while the pipe is full; it
// fails when ctx has ended.
type Pump func(ctx context.Context, w io.Writer) error

// Pumps runs the pumps of an opener. The zero Pumps is ready.
type Pumps struct {
	running sync.WaitGroup
}

// Wait waits for the pumps to return. Their sources are closed before.
func (p *Pumps) Wait() { p.running.Wait() }

// Traits are what is to be known of a source besides its bytes.
type Traits struct {
	Tag     string
	Patient bool // the sender waits while nothing is drained
}

// Open makes a source of what pump writes; it runs until it returns or the source is
// closed.
func (p *Pumps) Open(t Traits, pump Pump) (*Source, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("%s: make a pipe: %w", t.Tag, err)
	}
	grow(fds[1], pipeSize)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Source{traits: t, fds: []int{fds[0]}, cancel: cancel, done: make(chan struct{})}
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		s.run(ctx, os.NewFile(uintptr(fds[1]), "pipe"), pump)
	}()
	return s, nil
}

// run fills the pipe. What became of the pump is known before the pipe ends.
func (s *Source) run(ctx context.Context, w *os.File, pump Pump) {
	defer w.Close()
	defer close(s.done)
	s.err = pump(ctx, w)
}

// FromConn makes a source of a connection, which it takes over.
func FromConn(t Traits, c *net.TCPConn) (*Source, error) {
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("%s: borrow the socket: %w", t.Tag, err)
	}
	fd := -1
	if ctlErr := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); ctlErr != nil {
		err = ctlErr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: copy the socket's descriptor: %w", t.Tag, err)
	}
	return &Source{traits: t, fds: []int{fd}}, nil
}

// Source is an endpoint.Source, and an endpoint.Patient.
type Source struct {
	traits Traits
	fds    []int // the one that is read

	// Of a pipe; a socket has none.
	cancel context.CancelFunc
	done   chan struct{} // closed when the pump has returned
	err    error         // why; only when done is closed
}

// FDs implements endpoint.Source.
func (s *Source) FDs() []int { return s.fds }

// Holding implements endpoint.Source.
func (s *Source) Holding() bool { return false }

// Waits implements endpoint.Patient.
func (s *Source) Waits() bool { return s.traits.Patient }

// Counters implements endpoint.Source: a stream has no units to count.
func (s *Source) Counters() report.Source { return report.Source{Tag: s.traits.Tag} }

// Drain implements endpoint.Source.
func (s *Source) Drain(_ time.Duration, w endpoint.Writer) error {
	for moved := 0; moved < drainBytes; {
		n, err := unix.Read(s.fds[0], w.Reserve(leastRead))
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("%s: receive: %w", s.traits.Tag, err)
		case n == 0:
			return s.ended()
		default:
			w.Commit(n)
			moved += n
		}
	}
	return nil
}

// ended says how the stream ended whose last byte was drained.
func (s *Source) ended() error {
	if s.done != nil {
		<-s.done // the pump returned before the pipe ended
		if s.err != nil {
			return fmt.Errorf("%s: %w", s.traits.Tag, s.err)
		}
	}
	return fmt.Errorf("%s: %w", s.traits.Tag, endpoint.ErrEnd)
}

// Close implements endpoint.Source. It ends the pump, and does not wait for it.
func (s *Source) Close() error {
	if s.cancel != nil {
		s.cancel()
	}
	if err := unix.Close(s.fds[0]); err != nil { // a pump that waits for room fails by it
		return fmt.Errorf("%s: close: %w", s.traits.Tag, err)
	}
	return nil
}
