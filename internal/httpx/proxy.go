package httpx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
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

const (
	proxySignature1 = "PROXY "
	proxySignature2 = "\r\n\r\n\x00\r\nQUIT\n"
	maxProxy1       = 107 // bytes of a header of version 1, its end included (2.1)
)

// errSilent is a connection that ended, or said nothing, before the first byte: health
// checks and connections in store do, and nothing is wrong with them.
var errSilent = errors.New("nothing came")

// readProxyHeader reads the header at the beginning of a connection, exactly, and returns
// the address in it: none if the header has none for a TCP connection. If there is no header
// it returns what it has read to find out, 12 bytes at most. The shortest header has 15.
func readProxyHeader(r io.Reader) (from netip.AddrPort, begun []byte, err error) {
	head := make([]byte, 0, maxProxy1)
	for begins(head, proxySignature1) || begins(head, proxySignature2) {
		switch {
		case bytes.HasPrefix(head, []byte(proxySignature1)):
			from, err = readProxy1(r, head)
			return from, nil, err
		case bytes.HasPrefix(head, []byte(proxySignature2)):
			from, err = readProxy2(r, head)
			return from, nil, err
		}
		n, err := r.Read(head[len(head):len(proxySignature2)])
		head = head[:len(head)+n]
		switch {
		case err != nil && len(head) == 0:
			return netip.AddrPort{}, nil, fmt.Errorf("%w: %w", errSilent, err)
		case err != nil && n == 0:
			return netip.AddrPort{}, nil, whole(err)
		}
	}
	return netip.AddrPort{}, head, nil
}

// begins reports whether head can become, or is, the beginning of something that has that
// signature.
func begins(head []byte, signature string) bool {
	n := min(len(head), len(signature))
	return string(head[:n]) == signature[:n]
}

// whole says of an end that came too early what it means.
func whole(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut off: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("it is not whole: %w", err)
}

// readProxy1 reads the rest of a line that begins with head, byte by byte, since nothing
// says where it ends.
func readProxy1(r io.Reader, head []byte) (netip.AddrPort, error) {
	for !bytes.HasSuffix(head, []byte("\r\n")) {
		n := len(head)
		if n == maxProxy1 {
			return netip.AddrPort{}, fmt.Errorf("line of more than %d bytes", maxProxy1)
		}
		head = head[:n+1]
		if _, err := io.ReadFull(r, head[n:]); err != nil {
			return netip.AddrPort{}, whole(err)
		}
	}
	return parseProxy1(string(head[:len(head)-2]))
}

// parseProxy1 reads "PROXY TCP4 SOURCE DESTINATION PORT PORT"; behind "PROXY UNKNOWN"
// anything may stand.
func parseProxy1(line string) (netip.AddrPort, error) {
	f := strings.Split(line, " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return netip.AddrPort{}, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return netip.AddrPort{}, fmt.Errorf("bad line %q", line)
	}
	from, err := parseProxyAddr(f[2], f[4], f[1] == "TCP4")
	if err == nil {
		_, err = parseProxyAddr(f[3], f[5], f[1] == "TCP4")
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("bad line %q: %w", line, err)
	}
	return from, nil
}

func parseProxyAddr(addr, port string, four bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || a.Is4() != four {
		return netip.AddrPort{}, fmt.Errorf("no address of that family: %q", addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return netip.AddrPort{}, fmt.Errorf("no port: %q", port)
	}
	return plain(netip.AddrPortFrom(a, uint16(n))), nil
}

// readProxy2 reads the rest of a header of version 2, of which head is the signature.
func readProxy2(r io.Reader, head []byte) (netip.AddrPort, error) {
	head = head[:len(proxySignature2)+4]
	if _, err := io.ReadFull(r, head[len(proxySignature2):]); err != nil {
		return netip.AddrPort{}, whole(err)
	}
	command, family := head[12], head[13]
	switch {
	case command != 0x20 && command != 0x21: // LOCAL and PROXY of version 2
		return netip.AddrPort{}, fmt.Errorf("unknown version or command %#02x", command)
	case family>>4 > 3 || family&0xf > 2:
		return netip.AddrPort{}, fmt.Errorf("unknown family or protocol %#02x", family)
	}
	body := int64(binary.BigEndian.Uint16(head[14:]))
	var block []byte
	if command == 0x21 {
		block = make([]byte, addressBlock(family))
	}
	if body < int64(len(block)) {
		return netip.AddrPort{}, fmt.Errorf("%d bytes for addresses of family %#02x", body, family)
	}
	if _, err := io.ReadFull(r, block); err != nil {
		return netip.AddrPort{}, whole(err)
	}
	if _, err := io.CopyN(io.Discard, r, body-int64(len(block))); err != nil { // what else a proxy tells
		return netip.AddrPort{}, whole(err)
	}
	return decodeBlock(block), nil
}

// The address blocks of TCP: both addresses, then both ports.
const (
	block4 = 4 + 4 + 2 + 2
	block6 = 16 + 16 + 2 + 2
)

// addressBlock is the length of the addresses of TCP over IPv4 or IPv6; those of other
// families say nothing to us.
func addressBlock(family byte) int {
	switch family {
	case 0x11:
		return block4
	case 0x21:
		return block6
	}
	return 0
}

// decodeBlock is the source in an address block; none in an empty one.
func decodeBlock(b []byte) netip.AddrPort {
	n := (len(b) - 4) / 2
	a, ok := netip.AddrFromSlice(b[:max(n, 0)])
	if !ok {
		return netip.AddrPort{}
	}
	return plain(netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[2*n:])))
}
