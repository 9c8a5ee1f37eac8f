package testkit

import (
	"net"
	"testing"
)

// FreePort is an address of the loopback, HOST:PORT, at which nobody listens. Another program may come to do so.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
