package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/certs"
	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/netx"
	"sluice/internal/origin"
	"sluice/internal/process"
)

// The names of an origin's inherited descriptors; those of clients are origin, origin.1 and so on.
const (
	doorOrigin      = "origin"
	doorOriginAdmin = "originadmin"
	doorFront       = "front"   // where gws passes on what is the origin's
	doorUploads     = "uploads" // where engines fetch uploads
)

func originDoor(i int) string {
	if i == 0 {
		return doorOrigin
	}
	return doorOrigin + "." + strconv.Itoa(i)
}

// originDoors are the sockets of an origin: those that it has inherited or opened, or those that are held for
// one which runs as a process of its own.
type originDoors struct {
	listeners map[string]net.Listener // by their names
	lifeline  *os.File                // of the supervisor; nil when there is none
}

// inheritOrigin takes what the parent process has left.
func inheritOrigin() (*originDoors, error) {
	files, err := netx.Inherited()
	if err != nil {
		return nil, err
	}
	d := &originDoors{listeners: map[string]net.Listener{}, lifeline: files[doorLifeline]}
	delete(files, doorLifeline)
	for name, f := range files {
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			d.close()
			return nil, fmt.Errorf("inherited socket %s: %w", name, err)
		}
		d.listeners[name] = l
	}
	return d, nil
}

// openPorts opens the ports that are not there yet: those below 1024 need root.
func (d *originDoors) openPorts(c *config.Config) error {
	for i, door := range c.OriginDoors() {
		if err := d.open(originDoor(i), "port of the origin", func() (net.Listener, error) { return netx.ListenTCP(door.Address) }); err != nil {
			return err
		}
	}
	if c.Origin.Admin.Address == "" {
		return nil
	}
	return d.open(doorOriginAdmin, "admin port of the origin", func() (net.Listener, error) { return netx.ListenTCP(c.Origin.Admin.Address) })
}

// openLocal opens the sockets for the other processes. Their files belong to the user of the process.
func (d *originDoors) openLocal(c *config.Config) error {
	for name, path := range map[string]string{doorFront: c.OriginSocket(), doorUploads: c.UploadsSocket()} {
		if err := d.open(name, "socket of the origin", func() (net.Listener, error) { return netx.ListenUnix(path) }); err != nil {
			return err
		}
	}
	return nil
}

func (d *originDoors) open(name, what string, listen func() (net.Listener, error)) error {
	if d.listeners[name] != nil {
		return nil
	}
	l, err := listen()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	d.listeners[name] = l
	return nil
}

// otherDoors says whether the origin of a configuration wants doors that the one before has not, or the other way round: one that only
// pushes has none of itself.
func otherDoors(now, before *config.Config) bool {
	return len(now.OriginDoors()) != len(before.OriginDoors())
}

// close closes what is open; what is closed already does not mind.
func (d *originDoors) close() {
	for _, l := range d.listeners {
		l.Close()
	}
	if d.lifeline != nil {
		d.lifeline.Close()
	}
}

// files are copies of the sockets for a child, with their names.
func (d *originDoors) files() (names []string, files []*os.File, err error) {
	for _, name := range slices.Sorted(maps.Keys(d.listeners)) {
		f, err := d.listeners[name].(interface{ File() (*os.File, error) }).File()
		if err != nil {
			closeAll(files)
			return nil, nil, fmt.Errorf("copy the socket %s: %w", name, err)
		}
		names, files = append(names, name), append(files, f)
	}
	return names, files, nil
}

// forClients are the doors as the origin wants them: those of clients, and that of gws.
func (d *originDoors) forClients(c *config.Config, cert *tls.Config) (out []origin.Door, err error) {
	for i, door := range c.OriginDoors() {
		l := d.listeners[originDoor(i)]
		if l == nil {
			return nil, fmt.Errorf("inherited sockets: there is no %s", originDoor(i))
		}
		one := origin.Door{Listener: l}
		if door.TLS {
			one.TLS = cert
		}
		out = append(out, one)
	}
	if front := d.listeners[doorFront]; front != nil {
		out = append(out, origin.Door{Listener: front, Local: true})
	}
	return out, nil
}

// urls are the URLs of the doors as this machine reaches them, with commas between; nowhere if there are none.
func (d *originDoors) urls(c *config.Config) string {
	var list []string
	for i, door := range c.OriginDoors() {
		list = append(list, visit(d.listeners[originDoor(i)].Addr().String(), door.TLS))
	}
	return cmp.Or(strings.Join(list, ","), "nowhere")
}

// tell logs where the origin is.
func (d *originDoors) tell(log *slog.Logger, c *config.Config) {
	args := []any{logs.Listen, d.urls(c)}
	if l := d.listeners[doorOriginAdmin]; l != nil {
		args = append(args, logs.Admin, visit(l.Addr().String(), c.Origin.Admin.TLS))
	}
	logs.Normal(log, "origin runs", args...)
}

// openOrigin opens the ports of the origin of a `sluice run`, nil if it has none. Those of a run that was killed are waited
// for: its origin lets go of them when it notices.
func openOrigin(ctx context.Context, c *config.Config) (*originDoors, error) {
	if !c.HasOrigin() {
		return nil, nil
	}
	if err := awaitOrphan(ctx, c.RunDirectory(), originLock, roleOrigin); err != nil {
		return nil, err
	}
	d := &originDoors{listeners: map[string]net.Listener{}}
	if err := d.openPorts(c); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// originUnit is the origin as a child, which has the sockets and the lifeline.
func (m *modules) originUnit() (process.Unit, error) {
	u, err := ownUnit(roleOrigin, roleOrigin, "--config", settingsPath(m.conf.RunDir), "--run-dir", m.conf.RunDir)
	if err != nil {
		return u, err
	}
	names, files, err := m.origin.files()
	if err != nil {
		return u, err
	}
	m.copies = append(m.copies, files...)
	u.Files = append(files, m.pipe[0])
	u.Env = netx.InheritEnv(append(names, doorLifeline))
	grace := m.conf.Grace + time.Second // its requests have the grace, and a moment is for itself
	u.Grace = func() time.Duration { return grace }
	if m.conf.Origin.Quit {
		u.Done = func() { m.done() }
	}
	return u, nil
}

// originCertificate is for the doors over TLS; nil when there are none. log hears when it has changed.
func originCertificate(c *config.Config, log *slog.Logger) (*tls.Config, error) {
	if !slices.ContainsFunc(c.OriginDoors(), func(d config.Door) bool { return d.TLS }) {
		return nil, nil
	}
	return serverTLS(c.OriginTLS(), log)
}

// serverTLS is how clients are met with a certificate; log hears when it has changed.
func serverTLS(t config.TLS, log *slog.Logger) (*tls.Config, error) {
	meet := certs.Server{
		Certificates: []certs.Files{{Chain: t.Certificate, Key: t.Key}},
		Protocols:    []string{"h2", "http/1.1"},
	}
	conf, err := meet.Config(func(file string, err error) {
		if err != nil {
			log.Error("certificate not read again: the one before stays", logs.Error, err)
			return
		}
		logs.Normal(log, "certificate read again", logs.File, file)
	})
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, ownHint(err, "must be able to read both, also when they are renewed"))
	}
	return conf, nil
}

// errNoOrigin says that there is nothing to do.
var errNoOrigin = errors.New("the origin has nothing to serve: name a directory, or an input (-i) and where it goes (--dst), or --hmode source")

// originLockPath is the file that an origin with a supervisor holds locked.
func originLockPath(dir string) string { return filepath.Join(dir, originLock) }
