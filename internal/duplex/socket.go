package duplex

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"sluice/internal/flow"
)

// socket is a connection of the system. Between it and a pump there may be crypto/tls, which
// takes it for a net.Conn.
type socket struct {
	net.Conn // *net.TCPConn or *net.UnixConn
	raw      syscall.RawConn

	// Of the goroutine that reads.
	fd      int  // while a pump reads: then no Read waits. Else -1
	drained bool // the system had less than was asked for
	content bool // the pump has something: what the system may have besides can wait
	eof     bool // the other end has ended the connection, as the system sees it

	mu   sync.Mutex // guards what follows; held while it is written
	held []byte     // what is written together, later; nil = nothing is held
	last bool       // a Write does not wait
}

func newSocket(c net.Conn) (*socket, error) {
	known, ok := c.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T is no socket", c)
	}
	raw, err := known.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("borrow the descriptor of a connection: %w", err)
	}
	return &socket{Conn: c, raw: raw, fd: -1}, nil
}

// wouldWait says that there is nothing to read. To crypto/tls it is an error that passes: what it
// has of a record it keeps.
type wouldWait struct{}

func (wouldWait) Error() string   { return "nothing to read" }
func (wouldWait) Timeout() bool   { return true }
func (wouldWait) Temporary() bool { return true }

// Read waits in a handshake, and never when a pump reads: then it asks the system. A pump that is
// content spares the question when the last answer was short. One that is not must have
// heard that there is nothing before it waits: it is woken by what comes after that only.
func (k *socket) Read(b []byte) (int, error) {
	if k.fd < 0 {
		return k.Conn.Read(b)
	}
	if k.drained && k.content {
		return 0, wouldWait{}
	}
	n, err := readNow(k.fd, b)
	k.drained = n < len(b)
	k.eof = errors.Is(err, io.EOF)
	return n, err
}

// readNow reads what there is.
func readNow(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, wouldWait{}
		case err != nil:
			return 0, err
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write keeps b while the socket holds what it gets.
func (k *socket) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.held != nil:
		k.held = append(k.held, b...)
		return len(b), nil
	case k.last:
		return k.writeNow(b)
	}
	return k.Conn.Write(b)
}

// hold has what is written kept in b, until release.
func (k *socket) hold(b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = b[:0]
}

// holds is how much is held.
func (k *socket) holds() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.held)
}

// release writes what is held, and says how much of it was taken.
func (k *socket) release() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.held
	k.held = nil
	return k.Conn.Write(b)
}

// writeNow writes what the system takes at once, also while a Write waits.
func (k *socket) writeNow(b []byte) (n int, err error) {
	closed := k.raw.Control(func(fd uintptr) { n, err = syscall.Write(int(fd), b) })
	if closed != nil {
		return 0, closed
	}
	return max(n, 0), err
}

// SetWriteDeadline does nothing: crypto/tls would have its own for close_notify, and undo
// the one that ends a session.
func (k *socket) SetWriteDeadline(time.Time) error { return nil }

// wasReset says whether a connection that reads as ended was reset, though: the system says so
// once, and may have said it to a Write. Nothing can be written to it, not even nothing.
// It must not be asked after CloseWrite.
func (k *socket) wasReset() bool {
	if _, ok := k.Conn.(*net.TCPConn); !ok {
		return false // a UNIX socket is closed in both directions at once by an orderly end
	}
	_, err := k.writeNow(nil)
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// closeWrite ends our side.
func (k *socket) closeWrite() error {
	if c, ok := k.Conn.(Conn); ok {
		return c.CloseWrite()
	}
	return nil
}

// closeHard resets the connection; one without resets is closed.
func (k *socket) closeHard() {
	if c, ok := k.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0) // the connection may be gone
	}
	k.Close()
}

// descriptor is the number for the logs.
func (k *socket) descriptor() int {
	fd := -1
	_ = k.raw.Control(func(n uintptr) { fd = int(n) }) // closed = -1
	return fd
}

// options sets what a listener wants of both sockets of its sessions. What this kind of
// socket does not know is left out: SCTP never delays.
func (k *socket) options(l *flow.Listener) error {
	c, ok := k.Conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	probes := net.KeepAliveConfig{
		Enable: !l.KeepAlive.Off, Idle: orSystem(l.KeepAlive.Idle),
		Interval: orSystem(l.KeepAlive.Interval), Count: orSystem(l.KeepAlive.Count),
	}
	for _, err := range []error{c.SetNoDelay(l.NoDelay), c.SetKeepAliveConfig(probes)} {
		if err != nil && !errors.Is(err, syscall.ENOPROTOOPT) && !errors.Is(err, syscall.EOPNOTSUPP) {
			return fmt.Errorf("set options of a connection: %w", cause(err))
		}
	}
	return nil
}

// orSystem is what package net takes for the system's choice.
func orSystem[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// cause is an error of package net without the addresses, which stand beside it in every log.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err
}
