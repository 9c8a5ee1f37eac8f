package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/netx"
	"sluice/internal/process"
)

// orphanTime is how long a gws whose supervisor was killed may need to end.
const orphanTime = 5 * time.Second

// supervise is `sluice run`: it opens the sockets, keeps them for its life, and keeps
// gws and the engines running until stop ends, or kill. It takes engines over that
// the run before has left. Signals from pass go to all of them.
func supervise(stop, kill context.Context, c config.Config, log *slog.Logger, pass <-chan syscall.Signal) error {
	dir := c.RunDirectory()
	lock, err := enter(dir, filepath.Join(dir, supervisorLock), "sluice run")
	if err != nil {
		return err
	}
	defer leave(lock, log)
	if err := awaitOrphan(stop, dir, log); err != nil {
		return err
	}
	d := &doors{}
	defer d.close()
	if err := d.openPorts(c); err != nil {
		return err
	}
	if err := d.openHandoff(c); err != nil {
		return err
	}
	alive, lifeline, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("lifeline: %w", err)
	}
	defer lifeline.Close()
	defer alive.Close()
	front, err := gwsUnit(c, d, alive)
	if err != nil {
		return err
	}
	defer closeAll(front.Files)
	engines, err := engineUnits(c)
	if err != nil {
		return err
	}
	logs.Normal(log, "sluice runs", logs.Listen, urlOf(d.user), logs.Admin, urlOf(d.admin),
		"engines", c.EngineCount(), "channels", len(c.Channels), logs.Interface, c.Interface, "allow", c.Get("allow"), "version", build(), logs.PID, os.Getpid())
	s := process.Supervisor{Stages: [][]process.Unit{engines, {front}}, Grace: c.Grace, Pass: pass, Log: log}
	s.Run(stop, kill)
	return sweep(dir)
}

// awaitOrphan waits for the gws of a run before: it holds the ports until it has
// noticed that its supervisor is gone.
func awaitOrphan(ctx context.Context, dir string, log *slog.Logger) error {
	path := filepath.Join(dir, gwsLock)
	pid, err := process.Holder(path)
	if pid == 0 || err != nil {
		return err
	}
	log.Info("waiting for the gws of the run before to end", logs.PID, pid)
	ctx, cancel := context.WithTimeout(ctx, orphanTime)
	defer cancel()
	err = process.AwaitFree(ctx, path)
	var held *process.HeldError
	if errors.As(err, &held) {
		return fmt.Errorf("a gws is active in %s (pid %d); stop it or give --run-dir", dir, held.PID)
	}
	return err
}

// gwsUnit is the web service as a child, which has the doors and the lifeline.
func gwsUnit(c config.Config, d *doors, lifeline *os.File) (process.Unit, error) {
	u, err := roleUnit(c, roleGWS, roleGWS)
	if err != nil {
		return u, err
	}
	names, files, err := d.files()
	if err != nil {
		return u, err
	}
	u.Files = append(files, lifeline)
	u.Env = netx.InheritEnv(append(names, doorLifeline))
	return u, nil
}

// engineUnits are the engines that are wanted, and those beyond that run already.
func engineUnits(c config.Config) ([]process.Unit, error) {
	dir := c.RunDirectory()
	wanted := map[string]bool{}
	pins, err := enginePins(c)
	if err != nil {
		return nil, err
	}
	c.Channels = nil // gws tells an engine what it needs of them
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
func enginePins(c config.Config) ([][]string, error) {
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
func engineLocks(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	var locks []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "engine-") && strings.HasSuffix(e.Name(), ".lock") {
			locks = append(locks, filepath.Join(dir, e.Name()))
		}
	}
	return locks, nil
}

// roleUnit is this program as a supervised module, with the settings that hold.
func roleUnit(c config.Config, name string, args ...string) (process.Unit, error) {
	self, err := os.Executable()
	if err != nil {
		return process.Unit{}, fmt.Errorf("find our own program: %w", err)
	}
	c.PIDFile = "" // it names the supervisor
	return process.Unit{
		Name:  name,
		Path:  self,
		Args:  append(args, "--term", "--config", config.Stdin),
		Input: c.YAML(),
	}, nil
}

// sweep removes the locks of modules that were killed.
func sweep(dir string) error {
	locks, err := engineLocks(dir)
	if err != nil {
		return err
	}
	if gws := filepath.Join(dir, gwsLock); exists(gws) {
		locks = append(locks, gws)
	}
	return process.RemoveStale(locks...)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
