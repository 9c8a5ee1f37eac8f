package live

import (
	"bufio"
	"errors"
	"io"
	"net"
	"syscall"
)

// NewStream makes the Stream of a connection, TCP or UNIX, that is nothing but the channel's bytes from now on: those that
// rest has taken from it already, and what comes. It owns the connection; rest is not to be used any more.
//
// An engine that ends a stream shuts down its side and stays until the other side is closed, or for two seconds. One that dies is
// gone at once: on a UNIX socket that is seen, and the stream has broken off. So it has for a reader who comes to the end later than that.
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
	end  error         // what Read has ended with
}

var errGone = errors.New("the engine has closed the connection")

// Read implements io.Reader.
func (s *socket) Read(b []byte) (int, error) {
	if s.left() {
		return s.rest.Read(b)
	}
	if s.end != nil {
		return 0, s.end
	}
	n, err := s.Conn.Read(b)
	if errors.Is(err, io.EOF) && !s.attended() {
		err = errGone
	}
	s.end = err
	return n, err
}

// attended reports that the other side is still there. It reads away what is written to it.
func (s *socket) attended() bool {
	if _, unix := s.Conn.(*net.UnixConn); !unix {
		return true // it cannot be told
	}
	_, err := s.Write([]byte{0})
	return err == nil
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
