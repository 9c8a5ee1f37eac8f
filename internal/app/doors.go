package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/config"
	"sluice/internal/gws"
	"sluice/internal/netx"
)

// doors are the sockets at which gws is asked.
type doors struct {
	users    []*net.TCPListener // in the order of the setting
	admin    *net.TCPListener
	handoff  *net.UnixListener
	watch    *net.UnixListener // of the origin; nil when there is none
	lifeline *os.File          // of the supervisor; nil when there is none
}

// The names of inherited descriptors; the users' are user, user.1, user.2 and so on.
const (
	doorUser     = "user"
	doorAdmin    = "admin"
	doorHandoff  = "handoff"
	doorWatch    = "watch"
	doorLifeline = "lifeline"
)

// maxDoors bounds the numbers in names of inherited descriptors.
const maxDoors = 1000

func userDoor(i int) string {
	if i == 0 {
		return doorUser
	}
	return doorUser + "." + strconv.Itoa(i)
}

// userIndex is the i that userDoor made name of, -1 if it did not.
func userIndex(name string) int {
	if name == doorUser {
		return 0
	}
	number, ok := strings.CutPrefix(name, doorUser+".")
	i, err := strconv.Atoi(number)
	if !ok || err != nil || i < 1 || i >= maxDoors {
		return -1
	}
	return i
}

// inheritDoors takes what the parent process has left.
func inheritDoors() (*doors, error) {
	files, err := netx.Inherited()
	if err != nil {
		return nil, err
	}
	d := &doors{lifeline: files[doorLifeline]}
	delete(files, doorLifeline)
	for name, f := range files {
		l, err := net.FileListener(f)
		f.Close()
		if err == nil {
			err = d.put(name, l)
		}
		if err != nil {
			d.close()
			return nil, fmt.Errorf("inherited socket %s: %w", name, err)
		}
	}
	if i := slices.Index(d.users, nil); i >= 0 {
		d.close()
		return nil, fmt.Errorf("inherited sockets: there is no %s", userDoor(i))
	}
	return d, nil
}

func (d *doors) put(name string, l net.Listener) error {
	tcp, isTCP := l.(*net.TCPListener)
	unix, isUnix := l.(*net.UnixListener)
	i := userIndex(name)
	switch {
	case i >= 0 && isTCP:
		for len(d.users) <= i {
			d.users = append(d.users, nil)
		}
		d.users[i] = tcp
	case name == doorAdmin && isTCP:
		d.admin = tcp
	case name == doorHandoff && isUnix:
		d.handoff = unix
	case name == doorWatch && isUnix:
		d.watch = unix
	default:
		l.Close()
		return fmt.Errorf("no use for a %s listener of that name", l.Addr().Network())
	}
	return nil
}

// openPorts opens the ports that are not there yet: those below 1024 need root.
func (d *doors) openPorts(c *config.Config) (err error) {
	if len(d.users) > len(c.Listen) {
		return fmt.Errorf("inherited sockets: there are %d for users, listen has %d", len(d.users), len(c.Listen))
	}
	for _, door := range c.Listen[len(d.users):] {
		l, err := netx.ListenTCP(door.Address)
		if err != nil {
			return fmt.Errorf("user port: %w", err)
		}
		d.users = append(d.users, l)
	}
	if d.admin == nil {
		if d.admin, err = netx.ListenTCP(c.Admin.Address); err != nil {
			return fmt.Errorf("admin port: %w", err)
		}
	}
	return nil
}

// openLocal opens the socket for engines, and that for an origin. Their files belong to the user of the process,
// since only that user's processes may connect.
func (d *doors) openLocal(c *config.Config) (err error) {
	if d.watch == nil && c.HasOrigin() {
		if d.watch, err = netx.ListenUnix(c.WatchSocket()); err != nil {
			return fmt.Errorf("socket for the origin: %w", err)
		}
	}
	if d.handoff == nil {
		if d.handoff, err = netx.ListenHandoff(c.SocketPath()); err != nil {
			return fmt.Errorf("socket for engines: %w", err)
		}
	}
	return nil
}

// close closes what is open; what is closed already does not mind.
func (d *doors) close() {
	for _, l := range d.users {
		if l != nil {
			l.Close()
		}
	}
	if d.admin != nil {
		d.admin.Close()
	}
	if d.handoff != nil {
		d.handoff.Close()
	}
	if d.watch != nil {
		d.watch.Close()
	}
	if d.lifeline != nil {
		d.lifeline.Close()
	}
}

// files are copies of the doors for a child, with their names.
func (d *doors) files() (names []string, files []*os.File, err error) {
	add := func(name string, file func() (*os.File, error)) {
		if err != nil {
			return
		}
		var f *os.File
		if f, err = file(); err != nil {
			err = fmt.Errorf("copy the socket %s: %w", name, err)
			return
		}
		names, files = append(names, name), append(files, f)
	}
	for i, l := range d.users {
		add(userDoor(i), l.File)
	}
	add(doorAdmin, d.admin.File)
	add(doorHandoff, d.handoff.File)
	if d.watch != nil {
		add(doorWatch, d.watch.File)
	}
	if err != nil {
		closeAll(files)
		return nil, nil, err
	}
	return names, files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// forUsers are the users' doors as gws wants them, and that of the origin. cert is for those over TLS.
func (d *doors) forUsers(c *config.Config, cert *tls.Config) []gws.Door {
	out := make([]gws.Door, len(d.users))
	for i, l := range d.users {
		out[i] = gws.Door{Listener: l, Alias: c.Listen[i].Alias}
		if c.Listen[i].TLS {
			out[i].TLS = cert
		}
	}
	if d.watch != nil {
		out = append(out, gws.Door{Listener: d.watch, Local: true})
	}
	return out
}

// urls are the URLs of the doors as this machine reaches them; those for users have commas
// between them.
func (d *doors) urls(c *config.Config) (users, admin string) {
	list := make([]string, len(d.users))
	for i, l := range d.users {
		list[i] = visit(l.Addr().String(), c.Listen[i].TLS)
	}
	return strings.Join(list, ","), visit(d.admin.Addr().String(), c.Admin.TLS)
}

// visit is the URL of a listening address as this machine reaches it.
func visit(addr string, secure bool) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return scheme + addr
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, port)
}

// certificate is for the doors over TLS; nil when there are none. log hears when it has
// changed.
func certificate(c *config.Config, log *slog.Logger) (*tls.Config, error) {
	if !c.Admin.TLS && !c.Relay.Admin.TLS && !slices.ContainsFunc(c.Listen, func(d config.Door) bool { return d.TLS }) {
		return nil, nil
	}
	return serverTLS(c.TLS, log)
}
