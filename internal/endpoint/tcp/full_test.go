package tcp_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/uri"
)

// full is a source whose server answers no more: its queue of connections is full.
func full(t *testing.T) uri.Source {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	where := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.(*unix.SockaddrInet4).Port}).String()
	for {
		c, err := net.DialTimeout("tcp", where, time.Second)
		if err != nil {
			break
		}
		t.Cleanup(func() { c.Close() })
	}
	s, err := uri.ParseSource("tcp://" + where)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
