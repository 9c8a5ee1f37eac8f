package relay

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"sluice/internal/flow"
	"sluice/internal/logs"
	"sluice/internal/netx"
)

// socket is one listening socket of a listener, open or to be tried again. Relay.mu
// guards it.
type socket struct {
	conf Socket
	addr flow.Addr   // as it is; that of conf while it is not open
	file *netx.Held  // our own descriptor, beside that of the core; nil = not open
	path os.FileInfo // of the file of a UNIX socket that was made here; nil = none was

	inherited string // its name among what is inherited; "" = it was opened here

	given   bool // the core has it
	refuses bool // by overload: the core has it not

	err   error     // why it is not open, or the core has it not
	again time.Time // when it is tried again; zero = never
}

// socketKey tells sockets apart over reloads.
type socketKey struct {
	addr      flow.Addr
	inherited string
	listener  string // when the system chooses the port: each listener has its own
}

// key is that of the socket of a listener.
func (s *Socket) key(listener string) socketKey {
	switch {
	case s.Inherited != "":
		return socketKey{inherited: s.Inherited}
	case s.Addr.Network != flow.Unix && s.Addr.IP.Port() == 0:
		return socketKey{addr: s.Addr, listener: listener}
	}
	return socketKey{addr: s.Addr}
}

func (k socketKey) String() string {
	if k.inherited != "" {
		return "inherited:" + k.inherited
	}
	return k.addr.String()
}

// openSocket takes an inherited socket or opens one. With Retry, and for a network that the
// system has not, the result is a socket that is not open, and err is in it.
func openSocket(c Socket, inherited map[string]*os.File, now time.Time) (*socket, error) {
	s := &socket{conf: c, addr: c.Addr}
	s.err = s.open(inherited)
	switch {
	case s.err == nil:
		return s, nil
	case errors.Is(s.err, netx.ErrNoSCTP):
		return s, nil
	case c.Retry > 0:
		s.again = now.Add(c.Retry)
		return s, nil
	}
	return nil, s.err
}

func (s *socket) open(inherited map[string]*os.File) error {
	taken, name, err := s.conf.take(inherited)
	if err != nil {
		return err
	}
	file, err := netx.Hold(taken)
	if err != nil {
		return err
	}
	if name != "" {
		err = listenAgain(file, s.conf.Backlog)
	}
	var addr flow.Addr
	if err == nil {
		addr, err = addrOf(file, s.conf.Addr.Network)
	}
	if err != nil {
		file.Close()
		return err
	}
	s.file, s.addr, s.inherited = file, addr, name
	if name == "" && addr.Network == flow.Unix && !strings.HasPrefix(addr.Path, "@") {
		s.path, _ = os.Lstat(addr.Path) // gone already: there is nothing to remove then
	}
	return nil
}

// take is the descriptor of the socket, and its name if it is inherited.
func (c *Socket) take(inherited map[string]*os.File) (file *os.File, name string, err error) {
	name = c.Inherited
	if name == "" {
		name = c.Addr.String()
	}
	if f := inherited[name]; f != nil {
		delete(inherited, name)
		return f, name, nil
	}
	if c.Inherited != "" {
		return nil, "", fmt.Errorf("no socket %q was inherited", c.Inherited)
	}
	f, err := c.Open()
	return f, "", err
}

// Open opens the socket; one that is Inherited cannot be opened. netx.ErrNoSCTP says that the
// system has no SCTP.
func (c *Socket) Open() (*os.File, error) {
	return netx.ListenStream(netx.StreamSocket{
		Addr: c.Addr.IP, SCTP: c.Addr.Network == flow.SCTP, Path: c.Addr.Path,
		Only6: c.Only6, Backlog: c.Backlog, Device: c.Device,
		Mode: cmp.Or(c.Mode, 0o666), User: c.User, Group: c.Group,
	})
}

// addrOf is where a socket listens. Of an SCTP socket package net says that it is TCP's.
func addrOf(socket *netx.Held, network flow.Network) (flow.Addr, error) {
	file, err := socket.File()
	if err != nil {
		return flow.Addr{}, err
	}
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return flow.Addr{}, fmt.Errorf("socket %s is none that listens for connections: %w", file.Name(), err)
	}
	defer l.Close()
	a := flow.FromNet(l.Addr())
	if a.IsZero() {
		return flow.Addr{}, fmt.Errorf("socket %s is of a kind that is not relayed: %s", file.Name(), l.Addr().Network())
	}
	if network == flow.SCTP && a.Network == flow.TCP {
		a.Network = flow.SCTP
	}
	return a, nil
}

// close closes our descriptor, and removes the file of a UNIX socket if it is still the one
// that was made here.
func (s *socket) close() {
	if s.file == nil {
		return
	}
	if s.path != nil {
		if now, err := os.Lstat(s.addr.Path); err == nil && os.SameFile(now, s.path) {
			_ = os.Remove(s.addr.Path) // it is only a name by now
		}
	}
	s.file.Close()
	s.file, s.given = nil, false
}

// giveBack undoes open.
func (s *socket) giveBack(inherited map[string]*os.File) {
	if s.file == nil || s.inherited == "" {
		s.close()
		return
	}
	if f, err := s.file.File(); err == nil { // without a descriptor to spare it is lost: its name will be missed
		inherited[s.inherited] = f
	}
	s.file.Close()
	s.file = nil
}

// tellClosed logs why a socket is not open, once.
func (r *Relay) tellClosed(listener string, s *socket) {
	if s.again.IsZero() {
		r.log.Error("listener down", logs.Listener, listener, logs.Listen, s.conf.Addr.String(), logs.Error, s.err)
		return
	}
	r.log.Warn(fmt.Sprintf("bind to %s failed. Will retry every %d seconds.", bracketed(s.conf.Addr), int(s.conf.Retry.Seconds())),
		logs.Listener, listener, logs.Error, s.err)
}

// bracketed is [ADDRESS]:PORT, as tcprelay writes addresses of either family.
func bracketed(a flow.Addr) string {
	if a.Network == flow.Unix {
		return "[" + a.Path + "]"
	}
	return fmt.Sprintf("[%s]:%d", a.IP.Addr(), a.IP.Port())
}
