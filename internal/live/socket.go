package live

import (
	"bufio"
	"errors"
	"net"
	"syscall"
)

// NewStream makes the Stream of a connection, TCP or UNIX, that is nothing but the channel's bytes from now on: those that
// rest has taken from it already, and what comes. It owns the connection; rest is not to be used any more.
func NewStream(conn net.Conn, rest *bufio.Reader, mediaType string) *Stream {
	s := &socket{Conn: conn, rest: rest}
	out := &Stream{ReadCloser: s, Type: mediaType}
	if sock, ok := conn.(syscall.Conn); ok {
		if raw, err := sock.SyscallConn(); err == nil {
			out.Wait = func() error { return s.wait(raw) }
		}
	}
	return out
}

// socket is a connection of which a buffer has a part already.
type socket struct {
	net.Conn
	rest *bufio.Reader // nil = nothing
}

// Read implements io.Reader.
func (s *socket) Read(b []byte) (int, error) {
	if s.left() {
		return s.rest.Read(b)
	}
	return s.Conn.Read(b)
}

// left reports that there are bytes in the buffer, and lets go of one that is empty.
func (s *socket) left() bool {
	if s.rest != nil && s.rest.Buffered() == 0 {
		s.rest = nil
	}
	return s.rest != nil
}

func (s *socket) wait(raw syscall.RawConn) error {
	if s.left() {
		return nil
	}
	var one [1]byte
	return raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return !errors.Is(err, syscall.EAGAIN)
	})
}
