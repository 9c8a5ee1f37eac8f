package pipe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Delivery brings what comes from the loop to a target: it reads from until its end, and
// returns nil when the target has got all of it. It returns with what happened as soon as
// the target fails, and with any error soon after ctx has ended; from is closed then. A
// stream that ends before its first byte touches no target.
type Delivery func(ctx context.Context, from *net.UnixConn) error

var errGivenUp = errors.New("given up before all was delivered")

// Sink is an endpoint.Sink for what is no stream socket: a file, datagrams, a request. The
// loop writes into one end of a pair of sockets, and a goroutine delivers what comes out of
// the other:
//
//	loop ──write──► Socket ═ pair of sockets ═ from ──read──► delivery (goroutine) ──► target
//
// A target that takes its time fills the pair: the loop sees a slow client. When it fails
// its end is closed: the loop sees that the client is gone.
type Sink struct {
	socket int
	from   *net.UnixConn
	cancel context.CancelFunc
	done   chan struct{} // closed when the delivery is over
	err    error         // how; only when done is closed
}

// NewSink makes the pair and starts the delivery.
func NewSink(deliver Delivery) (*Sink, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	from, err := connOf(fds[1])
	if err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sink{socket: fds[0], from: from, cancel: cancel, done: make(chan struct{})}
	go s.run(ctx, deliver)
	return s, nil
}

// connOf takes fd over.
func connOf(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "sink")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("use a pair of sockets: %w", err)
	}
	return c.(*net.UnixConn), nil
}

// run delivers. When its end is known the loop's end is broken, and the other way round.
func (s *Sink) run(ctx context.Context, deliver Delivery) {
	defer close(s.done)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = s.from.Close()
	})
	defer func() {
		if stop() {
			_ = s.from.Close()
		} else {
			<-closed // a second Close would not wait for the first
		}
	}()
	if s.err = deliver(ctx, s.from); s.err != nil && ctx.Err() != nil {
		s.err = errGivenUp
	}
}

// Socket implements endpoint.Sink.
func (s *Sink) Socket() int { return s.socket }

// Wait implements endpoint.Sink.
func (s *Sink) Wait() error {
	<-s.done
	return s.err
}

// Close implements endpoint.Sink. It waits until the delivery has returned.
func (s *Sink) Close() error {
	s.cancel()
	<-s.done
	return nil
}
