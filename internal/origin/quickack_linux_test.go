package origin

import (
	"io"
	"net"
	"syscall"
	"testing"
)

// TestUploadsAreAcknowledgedAtOnce: what a connection reads once it has begun an upload puts an end to delayed acknowledgements.
func TestUploadsAreAcknowledgedAtOnce(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	far := dial(t, "tcp", l.Addr().String())
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	c := &conn{Conn: near}
	if readOne(t, far, c) {
		t.Error("it is so without an upload: the test shows nothing")
	}
	c.hurry()
	if !readOne(t, far, c) {
		t.Error("acknowledgements are delayed")
	}
}

// readOne reads a byte with acknowledgements delayed, and says whether they are not any more.
func readOne(t *testing.T, far io.Writer, c *conn) (quick bool) {
	t.Helper()
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 0) })
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(far, "x")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	v := 0
	raw.Control(func(fd uintptr) { v, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK) })
	if err != nil {
		t.Fatal(err)
	}
	return v == 1
}
