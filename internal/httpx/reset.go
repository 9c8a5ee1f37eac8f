package httpx

import (
	"crypto/tls"
	"net"
	"net/http"
)

// Reset closes the connection of an answer that has broken off, where its end would look like that of the whole: to HTTP/1.0, whose
// answers without a length end as their connection does. That of TCP is reset, then. A c of nil is let be.
func Reset(c net.Conn, r *http.Request) {
	if c == nil || r.ProtoAtLeast(1, 1) {
		return
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if p, ok := c.(*proxyConn); ok {
		c = p.Conn
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // it may be gone
	}
	_ = c.Close()
}
