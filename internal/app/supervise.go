package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/netx"
	"sluice/internal/process"
	"sluice/internal/relay"
)

// orphanTime is how long a gws whose supervisor was killed may need to end.
const orphanTime = 5 * time.Second

// openDoors opens the ports of `sluice run`, once those of a run before are free.
func openDoors(ctx context.Context, c *config.Config) (*doors, error) {
	dir := c.RunDirectory()
	if !switches(c) {
		if err := process.OpenRunDir(dir); err != nil {
			return nil, err
		}
	}
	pid, err := process.Holder(filepath.Join(dir, supervisorLock))
	if err != nil {
		return nil, err
	}
	if pid != 0 {
		return nil, active(nameRun, dir, pid)
	}
	if err := awaitOrphan(ctx, dir, gwsLock, roleGWS); err != nil {
		return nil, err
	}
	d := &doors{}
	if err := d.openPorts(c); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

const nameRun = "sluice run"

// modules are the processes of a `sluice run`, and what they have in common: the sockets,
// which stay open for its life, and the settings. Engines that the run before has left are
// taken over.
type modules struct {
	conf   config.Config // what holds; of one goroutine at a time
	doors  *doors
	relay  *relayDoors  // nil = no relay is run
	origin *originDoors // nil = no origin is
	lock   *process.Lock
	log    *slog.Logger
	pipe   [2]*os.File // the lifeline: read by gws, held by us
	copies []*os.File  // of the sockets
	stages [][]process.Unit
	pass   chan process.Order
	drain  atomic.Int64 // what an orderly end of the relay may take, a time.Duration
	done   func()       // ends run: the work is done
}

// newModules prepares the processes; run starts them.
func newModules(c config.Config, s sockets, log *slog.Logger) (*modules, error) {
	c.RunDir = c.RunDirectory()
	lock, err := enter(c.RunDir, filepath.Join(c.RunDir, supervisorLock), nameRun)
	if err != nil {
		return nil, err
	}
	m := &modules{conf: c, doors: s.doors, relay: s.relay, origin: s.origin, lock: lock, log: log, pass: make(chan process.Order)}
	if err := m.prepare(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *modules) prepare() (err error) {
	if err := usable(&m.conf); err != nil {
		return err
	}
	if err := m.doors.openLocal(&m.conf); err != nil {
		return err
	}
	if err := m.prepareOrigin(); err != nil {
		return err
	}
	if err := writeSettings(m.conf); err != nil {
		return err
	}
	if m.pipe[0], m.pipe[1], err = os.Pipe(); err != nil {
		return fmt.Errorf("lifeline: %w", err)
	}
	front, err := m.gwsUnit()
	if err != nil {
		return err
	}
	behind := []process.Unit{front}
	if m.relay != nil {
		m.relay.lifeline = m.pipe[0]
		u, err := roleUnit(&m.conf, roleRelay, roleRelay)
		if err != nil {
			return err
		}
		u.Now, u.Last = m.relay.inherit, m.relay.refuse
		m.drain.Store(int64(drainGrace(&m.conf)))
		u.Linked, u.Grace = true, func() time.Duration { return time.Duration(m.drain.Load()) }
		behind = append(behind, u)
	}
	if m.origin != nil {
		u, err := m.originUnit()
		if err != nil {
			return err
		}
		behind = append(behind, u)
	}
	engines, err := engineUnits(&m.conf)
	m.stages = [][]process.Unit{engines, behind}
	return err
}

// prepareOrigin wants an origin that can be started, and opens its sockets for the other processes.
func (m *modules) prepareOrigin() error {
	if m.origin == nil {
		return nil
	}
	if err := usableOrigin(&m.conf, m.log); err != nil {
		return err
	}
	return m.origin.openLocal(&m.conf)
}

// close lets go of what newModules has taken.
func (m *modules) close() {
	closeAll(m.copies)
	for _, f := range m.pipe {
		f.Close() // a nil one does not mind
	}
	if err := os.Remove(settingsPath(m.conf.RunDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("settings of the modules not removed", logs.Error, err)
	}
	leave(m.lock, m.log)
}

// run keeps gws and the engines running until stop ends, or kill.
func (m *modules) run(stop, kill context.Context) error {
	c := &m.conf
	stop, done := context.WithCancelCause(stop)
	defer done(nil)
	m.done = func() { done(errDone) }
	users, admin := m.doors.urls(c)
	if m.relay != nil {
		m.relay.tell(m.log, c)
	}
	if m.origin != nil {
		m.origin.tell(m.log, c)
	}
	logs.Normal(m.log, "sluice runs", logs.Listen, cmp.Or(users, "nowhere"), logs.Admin, admin,
		"engines", c.EngineCount(), "channels", len(c.Channels), logs.Interface, c.Interface, "allow", c.Get("allow"), "version", build(), logs.PID, os.Getpid())
	s := process.Supervisor{Stages: m.stages, Grace: c.Grace, Pass: m.pass, Log: m.log}
	s.Run(stop, kill)
	return sweep(m.conf.RunDir)
}

// errDone is why all processes end when the origin has done its work (quit).
var errDone = errors.New("the origin has done its work")

// reload makes c hold for the modules: for those that run, and those that are started later. The relay
// gets the new sockets of c.
func (m *modules) reload(ctx context.Context, c config.Config) error {
	o := process.Order{Signal: syscall.SIGHUP}
	var conf relay.Config
	var opened []string
	if m.relay != nil {
		var err error
		if conf, err = c.RelayConfig(); err != nil {
			return err
		}
		if opened, err = m.relay.open(&conf); err != nil {
			return err
		}
		o.Names, o.Files = m.relay.some(opened)
	}
	if err := writeSettings(c); err != nil {
		if m.relay != nil {
			m.relay.drop(opened)
		}
		return err
	}
	m.conf = c
	m.drain.Store(int64(drainGrace(&c)))
	m.order(ctx, o)
	if m.relay != nil {
		m.relay.drop(m.relay.gone(&conf))
	}
	return nil
}

// tell passes sig on to all modules that run, unless ctx has ended.
func (m *modules) tell(ctx context.Context, sig syscall.Signal) {
	m.order(ctx, process.Order{Signal: sig})
}

func (m *modules) order(ctx context.Context, o process.Order) {
	select {
	case m.pass <- o:
	case <-ctx.Done():
	}
}

// awaitOrphan waits for the holder of a lock, a role of a run before: it holds the ports until it has
// noticed that its supervisor is gone.
func awaitOrphan(ctx context.Context, dir, lock, role string) error {
	path := filepath.Join(dir, lock)
	pid, err := process.Holder(path)
	if pid == 0 || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, orphanTime)
	defer cancel()
	err = process.AwaitFree(ctx, path)
	var held *process.HeldError
	if errors.As(err, &held) {
		return fmt.Errorf("a %s is active in %s (pid %d); stop it or give --run-dir", role, dir, held.PID)
	}
	return err
}

// gwsUnit is the web service as a child, which has the doors and the lifeline.
func (m *modules) gwsUnit() (process.Unit, error) {
	u, err := roleUnit(&m.conf, roleGWS, roleGWS)
	if err != nil {
		return u, err
	}
	names, files, err := m.doors.files()
	if err != nil {
		return u, err
	}
	m.copies = append(m.copies, files...)
	u.Files = append(files, m.pipe[0])
	u.Env = netx.InheritEnv(append(names, doorLifeline))
	return u, nil
}

// engineUnits are the engines that are wanted, and those beyond that run already.
func engineUnits(c *config.Config) ([]process.Unit, error) {
	dir := c.RunDirectory()
	wanted := map[string]bool{}
	pins, err := enginePins(c)
	if err != nil {
		return nil, err
	}
	var units []process.Unit
	for i := range c.EngineCount() {
		id := strconv.Itoa(i + 1)
		u, err := roleUnit(c, "gng "+id, append([]string{roleGNG, "--id", id}, pins[i]...)...)
		if err != nil {
			return nil, err
		}
		u.Lock = engineLock(dir, id)
		wanted[u.Lock] = true
		units = append(units, u)
	}
	locks, err := engineLocks(dir)
	if err != nil {
		return nil, err
	}
	for _, lock := range locks {
		pid, err := process.Holder(lock)
		if err != nil {
			return nil, err
		}
		if pid != 0 && !wanted[lock] {
			id := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(lock), "engine-"), ".lock")
			units = append(units, process.Unit{Name: "gng " + id, Lock: lock, Found: true})
		}
	}
	return units, nil
}

// enginePins are the arguments that give each engine its CPU: one after the other, from
// the first again when there are more engines; none when they are not to be pinned. An
// engine that is taken over stays where it is.
func enginePins(c *config.Config) ([][]string, error) {
	pins := make([][]string, c.EngineCount())
	if !c.Pin {
		return pins, nil
	}
	cpus, err := process.CPUs()
	if err != nil {
		return nil, fmt.Errorf("pin the engines: %w", err)
	}
	for i := range pins {
		pins[i] = []string{"--pin", strconv.Itoa(cpus[i%len(cpus)])}
	}
	return pins, nil
}

// engineLocks are the lock files of engines, held or not.
func engineLocks(dir string) ([]string, error) { return locksOf(dir, "engine-") }

// relayLocks are those of relays with a supervisor, likewise.
func relayLocks(dir string) ([]string, error) { return locksOf(dir, "relay-") }

func locksOf(dir, prefix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	var locks []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), ".lock") {
			locks = append(locks, filepath.Join(dir, e.Name()))
		}
	}
	return locks, nil
}

// roleUnit is this program as a supervised module, with the settings that hold. One that
// is taken over reads them again.
func roleUnit(c *config.Config, name string, args ...string) (process.Unit, error) {
	u, err := ownUnit(name, append(args, "--term", "--config", settingsPath(c.RunDir))...)
	u.TakenOver = syscall.SIGHUP
	return u, err
}

// ownUnit is this program as a supervised process.
func ownUnit(name string, args ...string) (process.Unit, error) {
	self, err := os.Executable()
	if err != nil {
		return process.Unit{}, fmt.Errorf("find our own program: %w", err)
	}
	if _, err := exec.LookPath(self); err != nil {
		return process.Unit{}, fmt.Errorf("run our own program: %w%s", err, ownHint(err, "must be able to run it"))
	}
	return process.Unit{Name: name, Path: self, Args: args}, nil
}

// sweep removes the locks of modules that were killed.
func sweep(dir string) error {
	locks, err := engineLocks(dir)
	if err != nil {
		return err
	}
	relays, err := relayLocks(dir)
	if err != nil {
		return err
	}
	locks = append(locks, relays...)
	for _, name := range []string{gwsLock, originLock} {
		if lock := filepath.Join(dir, name); exists(lock) {
			locks = append(locks, lock)
		}
	}
	return process.RemoveStale(locks...)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
