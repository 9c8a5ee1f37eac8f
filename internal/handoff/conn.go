package handoff

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"sluice/internal/netx"
)

// sendTimeout is how long a Send waits for a peer that does not read.
const sendTimeout = 5 * time.Second

// ErrDescriptor marks an Attach without a target and without a descriptor, or a descriptor
// that came with another message.
var ErrDescriptor = errors.New("descriptor and message do not belong together")

// withSocket says whether a descriptor travels with m.
func withSocket(m Message) bool {
	a, ok := m.(Attach)
	return ok && a.Target == nil
}

// Conn is one end of the connection between gws and an engine. Any number of
// goroutines may send; one receives.
type Conn struct {
	c       *net.UnixConn
	timeout time.Duration // sendTimeout; tests shorten it

	mu  sync.Mutex // guards out, and keeps messages in the order of Send
	out []byte

	in    []byte // the receiver's
	reset bool   // the receiver's: a reset was seen
}

// NewConn makes a Conn of a connected socket of type SEQPACKET ("unixpacket") and
// owns it from then on.
func NewConn(c *net.UnixConn) *Conn {
	return &Conn{c: c, timeout: sendTimeout, in: make([]byte, MaxMessage)}
}

// Dial connects to the gws that listens on path.
func Dial(ctx context.Context, path string) (*Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unixpacket", path)
	if err != nil {
		return nil, fmt.Errorf("connect to gws at %s: %w", path, err)
	}
	return NewConn(c.(*net.UnixConn)), nil
}

// Send sends m, whole or not at all. It blocks no longer than 5 s a message, and then
// fails with os.ErrDeadlineExceeded: a peer that does not read is best closed. After an
// error the connection is as it was, and Recv still delivers what the peer had sent
// before it left. An Attach without a target goes through SendSocket.
func (c *Conn) Send(m Message) error {
	if withSocket(m) {
		return fmt.Errorf("send attach %d: %w", m.(Attach).ID, ErrDescriptor)
	}
	return c.send(m, nil)
}

// SendSocket sends m, which has no target, and a copy of the descriptor of sock with it;
// the caller keeps its own. Errors are those of Send.
func (c *Conn) SendSocket(m Attach, sock syscall.Conn) error {
	if sock == nil || !withSocket(m) {
		return fmt.Errorf("send attach %d: %w", m.ID, ErrDescriptor)
	}
	return c.send(m, sock)
}

func (c *Conn) send(m Message, sock syscall.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.out, err = Encode(c.out[:0], m); err != nil {
		return err
	}
	if err = c.c.SetWriteDeadline(time.Now().Add(c.timeout)); err == nil {
		err = netx.SendFD(c.c, c.out, sock)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("send %T: the peer did not read for %v: %w", m, c.timeout, err)
	}
	return fmt.Errorf("send %T: %w", m, err)
}

// Recv waits for the next message. fd is the descriptor that came with an Attach without a
// target, close-on-exec, and the caller's to close; else it is -1. The error wraps io.EOF
// when the peer has closed and all it sent was received, net.ErrClosed after Close, and
// ErrMalformed or ErrDescriptor when the peer breaks the rules: then close. An Attach
// whose descriptor there was no room for comes with netx.ErrNoRoom: refuse it.
func (c *Conn) Recv() (m Message, fd int, err error) {
	n, fd, err := netx.RecvFD(c.c, c.in)
	if errors.Is(err, syscall.ECONNRESET) && !c.reset {
		// The peer closed without having read all of ours. Linux reports that
		// once and before the messages that wait here: read on.
		c.reset = true
		n, fd, err = netx.RecvFD(c.c, c.in)
	}
	if errors.Is(err, netx.ErrNoRoom) {
		if m, bad := Decode(c.in[:n]); bad == nil {
			return m, -1, err
		}
	}
	if err != nil {
		return nil, -1, err
	}
	if m, err = Decode(c.in[:n]); err == nil && withSocket(m) != (fd >= 0) {
		err = fmt.Errorf("receive %T: %w", m, ErrDescriptor)
	}
	if err != nil {
		if fd >= 0 {
			syscall.Close(fd)
		}
		return nil, -1, err
	}
	return m, fd, nil
}

// SetReadDeadline bounds the next Recv: it then fails with os.ErrDeadlineExceeded. The
// zero time is no bound.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.c.SetReadDeadline(t) }

// Close closes the connection; a Recv that waits and a Send that waits return.
func (c *Conn) Close() error { return c.c.Close() }
