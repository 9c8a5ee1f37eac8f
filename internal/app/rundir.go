package app

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"sluice/internal/logs"
	"sluice/internal/process"
)

// The files of the run directory, beside the socket.
const (
	supervisorLock = "supervisor.lock"
	gwsLock        = "gws.lock"
)

// engineLock is the file that the engine id holds locked.
func engineLock(dir, id string) string { return filepath.Join(dir, "engine-"+id+".lock") }

// enter makes the run directory and takes a module's lock in it.
func enter(dir, lock, name string) (*process.Lock, error) {
	if err := process.OpenRunDir(dir); err != nil {
		return nil, err
	}
	l, err := process.Acquire(lock)
	var held *process.HeldError
	if errors.As(err, &held) {
		return nil, active(name, dir, held.PID)
	}
	return l, err
}

// active is the error of a second module of that name in a run directory.
func active(name, dir string, pid int) error {
	return fmt.Errorf("another %s is active in %s (pid %d); stop it or give --run-dir", name, dir, pid)
}

func leave(lock *process.Lock, log *slog.Logger) {
	if err := lock.Release(); err != nil {
		log.Warn("lock not removed", logs.Error, err)
	}
}
