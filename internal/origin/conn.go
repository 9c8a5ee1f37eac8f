package origin

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/internal/httpx"
)

// gate is a door that lets connections in as far as the limits go.
type gate struct {
	net.Listener
	origin *Origin
	local  bool
}

// newGate makes the gate of a door. What a trusted proxy says of a connection comes before it is counted.
func (o *Origin) newGate(d Door) *gate {
	l := d.Listener
	if !d.Local {
		l = httpx.ProxyListener(l, func() []netip.Prefix { return o.site.Load().conf.Proxies }, o.tellBroken)
	}
	return &gate{Listener: l, origin: o, local: d.Local}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, gate: g}
		// Any other may have to wait for a PROXY header: it comes in when its address is asked for.
		if _, plain := raw.(*net.TCPConn); plain {
			c.come()
		}
		if c.pass != shut {
			return c, nil
		}
		c.Close()
	}
}

// conn is a connection of a client. A write to it goes on as long as the client takes anything (Config.Take), however much it is; so a
// slow client is served, and one that has stopped is ended, whatever is sent to it: files, TLS, HTTP/2.
type conn struct {
	net.Conn
	gate *gate

	once   sync.Once // sets what follows
	pass   pass
	remote net.Addr
	peer   netip.Prefix // that it counts for; invalid = none

	held   atomic.Int32 // requests that wait
	left   sync.Once
	errors int  // answers of 400 and above in a row; of the goroutine that serves it
	joins  bool // what is written goes out with the file that follows it; of the same goroutine

	eager atomic.Pointer[syscall.RawConn] // what comes is acknowledged at once; nil = as the system likes

	mu       sync.Mutex // guards deadline
	deadline time.Time  // as SetWriteDeadline has set it
}

// come has the limits decide, once.
func (c *conn) come() {
	c.once.Do(func() {
		c.remote = c.Conn.RemoteAddr()
		if c.gate.local {
			return
		}
		conf := &c.gate.origin.site.Load().conf
		c.peer = peerOf(c.remote, conf.Proxies)
		var beyond string
		if c.pass, beyond = c.gate.origin.crowd.enter(c.peer, conf); beyond != "" {
			c.gate.origin.tellRefused(c.remote, beyond, conf)
		}
	})
}

// peerOf is who has a connection from an address: the address, of IPv6 its network of 64 bits. Behind a proxy there are many, they count
// for none.
func peerOf(a net.Addr, proxies []netip.Prefix) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	at := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range proxies {
		if p.Contains(at) {
			return netip.Prefix{}
		}
	}
	bits := 32
	if at.Is6() {
		bits = 64
	}
	p, err := at.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// RemoteAddr implements net.Conn. net/http asks for it before anything else.
func (c *conn) RemoteAddr() net.Addr {
	c.come()
	if c.pass == shut {
		c.Close()
	}
	return c.remote
}

// Close implements net.Conn. Its place is free at once.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.remote = c.Conn.RemoteAddr() }) // never counted
	c.left.Do(func() { c.gate.origin.crowd.leave(c.peer, c.pass) })
	return err
}

// CloseWrite ends what is sent; see net.TCPConn.
func (c *conn) CloseWrite() error {
	if s, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return s.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn: no write goes on beyond t, whatever moves.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetWriteDeadline(t)
}

// expect has the client take something from now on.
func (c *conn) expect() error {
	take := c.gate.origin.site.Load().conf.Take
	if take <= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	until := time.Now().Add(take)
	if !c.deadline.IsZero() && c.deadline.Before(until) {
		until = c.deadline
	}
	return c.Conn.SetWriteDeadline(until)
}

// hurry has what comes acknowledged at once, for an upload: clients that write a chunk in pieces, with Nagle's algorithm, wait for that before
// they send the rest, 40 ms each time.
func (c *conn) hurry() {
	s, ok := c.Conn.(syscall.Conn)
	if !ok || c.eager.Load() != nil {
		return
	}
	if raw, err := s.SyscallConn(); err == nil {
		quickAck(raw)
		c.eager.Store(&raw)
	}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if raw := c.eager.Load(); raw != nil && n > 0 {
		quickAck(*raw)
	}
	return n, err
}

// goesOn says whether a write is to be taken up where its time was over: something was taken in it.
func (c *conn) goesOn(taken int64, err error) bool {
	if taken == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline.IsZero() || time.Now().Before(c.deadline)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (n int, err error) {
	write := c.Conn.Write
	if c.joins {
		write = func(p []byte) (int, error) { return writeMore(c.Conn, p) }
	}
	for {
		if err := c.expect(); err != nil {
			return n, err
		}
		taken, err := write(p[n:])
		n += taken
		if !c.goesOn(int64(taken), err) {
			return n, err
		}
	}
}

// ReadFrom implements io.ReaderFrom: files go out with sendfile.
func (c *conn) ReadFrom(src io.Reader) (n int64, err error) {
	to, direct := c.Conn.(io.ReaderFrom)
	part, limited := src.(*io.LimitedReader)
	if !limited {
		return io.Copy(struct{ io.Writer }{c}, src)
	}
	file, ok := part.R.(*os.File)
	if !ok || !direct {
		return io.Copy(struct{ io.Writer }{c}, src)
	}
	for {
		if err := c.expect(); err != nil {
			return n, err
		}
		before := part.N
		taken, err := to.ReadFrom(part)
		n += taken
		if !c.goesOn(taken, err) {
			return n, err
		}
		lost := before - part.N - taken // was read and not taken: it is to be read again
		if _, err := file.Seek(-lost, io.SeekCurrent); err != nil {
			return n, err
		}
		part.N += lost
	}
}
