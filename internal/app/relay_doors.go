package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/flow"
	"sluice/internal/logs"
	"sluice/internal/netx"
	"sluice/internal/process"
	"sluice/internal/relay"
)

// The names of a relay's inherited descriptors, besides those that a service manager chooses:
// a listening socket is named by its address, as text of a URL (a name has no colon).
const (
	doorRelayAdmin = "relay.admin"
	doorRelay      = "relay/"
)

func relayDoor(key string) string { return doorRelay + url.QueryEscape(key) }

// relayDoors are the sockets of a relay: those that it has inherited, or those that are held
// for a relay which runs as a process of its own. That one may be started, the configuration read
// again and the end begin at the same time.
type relayDoors struct {
	mu       sync.Mutex             // guards sockets and files while a process is supervised
	sockets  map[string]*os.File    // as relay.Options.Inherited
	files    map[string]os.FileInfo // of UNIX sockets that were opened here, likewise
	admin    *os.File
	lifeline *os.File // of the supervisor; nil when there is none
	link     *process.Link
}

func newRelayDoors() *relayDoors {
	return &relayDoors{sockets: make(map[string]*os.File), files: make(map[string]os.FileInfo)}
}

// inheritRelay takes what the parent process has left.
func inheritRelay() (*relayDoors, error) {
	files, err := netx.Inherited()
	if err != nil {
		return nil, err
	}
	d := newRelayDoors()
	d.admin, d.lifeline = files[doorRelayAdmin], files[doorLifeline]
	delete(files, doorRelayAdmin)
	delete(files, doorLifeline)
	d.sockets = named(files)
	if d.link, err = process.OpenLink(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// named are sockets by the names that a relay looks for.
func named(files map[string]*os.File) map[string]*os.File {
	out := make(map[string]*os.File, len(files))
	for name, f := range files {
		if text, ok := strings.CutPrefix(name, doorRelay); ok {
			if key, err := url.QueryUnescape(text); err == nil {
				name = key
			}
		}
		out[name] = f
	}
	return out
}

// hear takes the sockets that the supervisor has passed on.
func (d *relayDoors) hear() error {
	files, err := d.link.Files()
	for name, f := range named(files) {
		if old := d.sockets[name]; old != nil {
			old.Close()
		}
		d.sockets[name] = f
	}
	return err
}

// known has the sockets that a service manager gave without a name of the configuration go by
// their addresses.
func (d *relayDoors) known(c *relay.Config) {
	names := make(map[string]bool)
	for _, s := range socketsOf(c) {
		names[socketKey(s)] = true
	}
	for name, f := range maps.Clone(d.sockets) {
		_, addr := descriptor(f)
		if key := addr.String(); !names[name] && names[key] && d.sockets[key] == nil {
			delete(d.sockets, name)
			d.sockets[key] = f
		}
	}
}

// socketsOf are all sockets of a configuration.
func socketsOf(c *relay.Config) []relay.Socket {
	var all []relay.Socket
	for _, l := range c.Listeners {
		all = append(all, l.Addrs...)
	}
	return all
}

// socketKey is what relay.Options.Inherited calls a socket.
func socketKey(s relay.Socket) string {
	if s.Inherited != "" {
		return s.Inherited
	}
	return s.Addr.String()
}

// open opens the sockets that are not there yet, and says which. One that may be tried again later, and
// one of a network that the system has not, is left to the relay. With an error those that
// were opened are closed.
func (d *relayDoors) open(c *relay.Config) (opened []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range socketsOf(c) {
		key := socketKey(s)
		if d.sockets[key] != nil {
			continue
		}
		if s.Inherited != "" {
			d.dropLocked(opened)
			return nil, fmt.Errorf("no socket %q was inherited: a service manager gives it (LISTEN_FDS, LISTEN_FDNAMES)", key)
		}
		f, err := s.Open()
		switch {
		case err == nil:
			d.sockets[key] = f
			d.noteLocked(key, s.Addr)
			opened = append(opened, key)
		case s.Retry == 0 && !errors.Is(err, netx.ErrNoSCTP):
			d.dropLocked(opened)
			return nil, err
		}
	}
	return opened, nil
}

// noteLocked remembers the file of a UNIX socket, which is removed with it.
func (d *relayDoors) noteLocked(key string, a flow.Addr) {
	if a.Network != flow.Unix || strings.HasPrefix(a.Path, "@") {
		return
	}
	if info, err := os.Lstat(a.Path); err == nil {
		d.files[key] = info
	}
}

// openAdmin opens the admin port, if there is to be one.
func (d *relayDoors) openAdmin(c *config.Config) error {
	if c.Relay.Admin.Address == "" || d.admin != nil {
		return nil
	}
	l, err := netx.ListenTCP(c.Relay.Admin.Address)
	if err != nil {
		return fmt.Errorf("admin port of the relay: %w", err)
	}
	defer l.Close()
	if d.admin, err = l.File(); err != nil {
		return fmt.Errorf("admin port of the relay: %w", err)
	}
	return nil
}

// adminListener is the admin port; nil when there is none.
func (d *relayDoors) adminListener() (net.Listener, error) {
	if d.admin == nil {
		return nil, nil
	}
	l, err := net.FileListener(d.admin)
	if err != nil {
		return nil, fmt.Errorf("admin port of the relay: %w", err)
	}
	d.admin.Close()
	d.admin = nil
	return l, nil
}

// gone are the sockets that a configuration does not want any more.
func (d *relayDoors) gone(c *relay.Config) []string {
	wanted := make(map[string]bool)
	for _, s := range socketsOf(c) {
		wanted[socketKey(s)] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var gone []string
	for key := range d.sockets {
		if !wanted[key] {
			gone = append(gone, key)
		}
	}
	return gone
}

// drop closes sockets.
func (d *relayDoors) drop(keys []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropLocked(keys)
}

// refuse closes all sockets: who comes is refused from now on, while the relay that has them too finishes
// its sessions.
func (d *relayDoors) refuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropLocked(slices.Collect(maps.Keys(d.sockets)))
}

func (d *relayDoors) dropLocked(keys []string) {
	for _, key := range keys {
		if f := d.sockets[key]; f != nil { // by refuse it may be gone
			f.Close()
		}
		delete(d.sockets, key)
		d.unlinkLocked(key)
	}
}

// unlinkLocked removes the file of a UNIX socket, if it is still the one that was made here.
func (d *relayDoors) unlinkLocked(key string) {
	made, noted := d.files[key]
	if !noted {
		return
	}
	delete(d.files, key)
	path := strings.TrimPrefix(key, "unix:")
	if now, err := os.Lstat(path); err == nil && os.SameFile(now, made) {
		_ = os.Remove(path) // it is only a name by now
	}
}

// forget is for sockets that were given to a relay in this process: files of those that a
// configuration does not want any more are removed.
func (d *relayDoors) forget(c *relay.Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.files {
		if !slices.ContainsFunc(socketsOf(c), func(s relay.Socket) bool { return socketKey(s) == key }) {
			d.unlinkLocked(key)
		}
	}
}

// some are sockets for a child, with their names, in order.
func (d *relayDoors) some(keys []string) (names []string, files []*os.File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.someLocked(keys)
}

func (d *relayDoors) someLocked(keys []string) (names []string, files []*os.File) {
	for _, key := range keys {
		names, files = append(names, relayDoor(key)), append(files, d.sockets[key])
	}
	return names, files
}

// all are all sockets for a child that begins.
func (d *relayDoors) all() (names []string, files []*os.File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	names, files = d.someLocked(slices.Sorted(maps.Keys(d.sockets)))
	for name, f := range map[string]*os.File{doorRelayAdmin: d.admin, doorLifeline: d.lifeline} {
		if f != nil {
			names, files = append(names, name), append(files, f)
		}
	}
	return names, files
}

// close closes all that is open; what is closed already does not mind.
func (d *relayDoors) close() {
	d.refuse()
	d.forget(&relay.Config{})
	for _, f := range []*os.File{d.admin, d.lifeline} {
		if f != nil {
			f.Close()
		}
	}
	d.link.Close()
}

// openRelay opens the sockets of the relay of a `sluice run`, nil if it has none. Those of a run that
// was killed are waited for: its relay lets go of them when it notices.
func openRelay(ctx context.Context, c *config.Config) (*relayDoors, error) {
	if !c.HasRelay() {
		return nil, nil
	}
	orphans, err := anyHeld(c.RunDirectory())
	if err != nil {
		return nil, err
	}
	d := newRelayDoors()
	deadline := time.Now().Add(orphanTime)
	for {
		err := d.bind(c)
		switch {
		case err == nil:
			return d, nil
		case !orphans || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) || ctx.Err() != nil:
			d.close()
			return nil, err
		}
		pause(ctx, orphanPause)
	}
}

// orphanPause is how often openRelay tries.
const orphanPause = 50 * time.Millisecond

// anyHeld says whether a relay of another run is still there.
func anyHeld(dir string) (bool, error) {
	if !exists(dir) {
		return false, nil
	}
	locks, err := relayLocks(dir)
	if err != nil {
		return false, err
	}
	for _, lock := range locks {
		if pid, err := process.Holder(lock); pid != 0 || err != nil {
			return pid != 0, err
		}
	}
	return false, nil
}

// where is where the sockets listen, for the log.
func (d *relayDoors) where() string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(d.sockets)) {
		if !strings.Contains(key, ":") { // a name
			_, addr := descriptor(d.sockets[key])
			key = addr.String()
		}
		all = append(all, key)
	}
	return some(all)
}

// tell logs where the relay listens.
func (d *relayDoors) tell(log *slog.Logger, c *config.Config) {
	args := []any{logs.Listen, d.where()}
	if d.admin != nil {
		_, addr := descriptor(d.admin)
		args = append(args, logs.Admin, visit(addr.String(), c.Relay.Admin.TLS))
	}
	logs.Normal(log, "relay runs", args...)
}
