package httpx

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"sluice/internal/proxyproto"
)

// proxyPatience is how long a PROXY header may take to come.
const proxyPatience = 5 * time.Second

// ProxyListener makes of l one whose connections are from whom a trusted proxy says: a
// PROXY header, version 1 or 2 (haproxy, "The PROXY protocol", 2.1 and 2.2), that comes first
// from one of the networks becomes their RemoteAddr. From others it is not looked for, nor is
// it missed: a proxy that begins at once with a request, or with TLS, says nothing.
//
// The header is read at the first Read or RemoteAddr of a connection, which waits for it, not
// in Accept. It is read to its last byte and no further, and what is left over of a beginning
// that is none is what Read returns. One that is broken, or not there whole within 5 s, ends
// the connection, and broken is told: one line, with the proxy's address.
//
// What Accept returns is a syscall.Conn, and has CloseWrite, if what l's returns is and has.
// Deadlines are to be set after the first Read or RemoteAddr.
func ProxyListener(l net.Listener, proxies func() []netip.Prefix, broken func(error)) net.Listener {
	return &proxyListener{Listener: l, proxies: proxies, broken: broken}
}

type proxyListener struct {
	net.Listener
	proxies func() []netip.Prefix
	broken  func(error)
}

// Accept implements net.Listener. It waits for connections only.
func (l *proxyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !within(l.proxies(), plain(peer.AddrPort()).Addr()) {
		return c, nil
	}
	return &proxyConn{Conn: c, broken: l.broken}, nil
}

// proxyConn is a connection from a trusted proxy.
type proxyConn struct {
	net.Conn
	broken func(error)

	head   sync.Once // reads the header, and sets what follows
	remote net.Addr
	begun  []byte // of what is no header: read and not returned yet; then the reader's
	err    error  // why there is nothing to read
}

// RemoteAddr implements net.Conn.
func (c *proxyConn) RemoteAddr() net.Addr {
	c.head.Do(c.readHead)
	return c.remote
}

// Read implements net.Conn.
func (c *proxyConn) Read(p []byte) (int, error) {
	c.head.Do(c.readHead)
	if c.err != nil {
		return 0, c.err
	}
	if len(c.begun) > 0 {
		n := copy(p, c.begun)
		c.begun = c.begun[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// SyscallConn implements syscall.Conn.
func (c *proxyConn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, fmt.Errorf("connection of %T: %w", c.Conn, errors.ErrUnsupported)
}

// CloseWrite ends what is sent; see net.TCPConn.
func (c *proxyConn) CloseWrite() error {
	if s, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return s.CloseWrite()
	}
	return fmt.Errorf("end of writing to %T: %w", c.Conn, errors.ErrUnsupported)
}

func (c *proxyConn) readHead() {
	c.remote = c.Conn.RemoteAddr()
	var from netip.AddrPort
	err := c.SetReadDeadline(time.Now().Add(proxyPatience))
	if err == nil {
		from, c.begun, err = readProxyHeader(c.Conn)
	}
	if err == nil {
		err = c.SetReadDeadline(time.Time{})
	}
	if err != nil {
		c.err = fmt.Errorf("PROXY header from %s: %w", c.remote, err)
		c.Close()
		if !errors.Is(err, errSilent) && !errors.Is(err, net.ErrClosed) {
			c.broken(c.err)
		}
		return
	}
	if from.IsValid() {
		c.remote = net.TCPAddrFromAddrPort(from)
	}
}

// errSilent is a connection that ended, or said nothing, before the first byte: health
// checks and connections in store do, and nothing is wrong with them.
var errSilent = errors.New("nothing came")

// readProxyHeader reads the header at the beginning of a connection, exactly, and returns
// the address in it: none if the header has none for a TCP connection. If there is no header
// it returns what it has read to find out, 12 bytes at most.
func readProxyHeader(r io.Reader) (from netip.AddrPort, begun []byte, err error) {
	head := make([]byte, 0, 128)
	for {
		h, _, err := proxyproto.Parse(head)
		if err == nil && h.Version == proxyproto.None {
			return netip.AddrPort{}, head, nil
		}
		if !errors.Is(err, proxyproto.ErrMore) {
			return h.From, nil, err
		}
		had := len(head)
		head = append(head, make([]byte, proxyproto.Missing(head))...)
		n, err := r.Read(head[had:])
		head = head[:had+n]
		switch {
		case err != nil && len(head) == 0:
			return netip.AddrPort{}, nil, fmt.Errorf("%w: %w", errSilent, err)
		case err != nil && n == 0:
			return netip.AddrPort{}, nil, notWhole(err)
		}
	}
}

// notWhole says of an end that came too early what it means.
func notWhole(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("it is cut off: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("it is not whole: %w", err)
}
