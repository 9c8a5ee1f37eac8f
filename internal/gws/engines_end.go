package gws

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"sluice/internal/logs"
)

// endEngines asks the attached engines to end (TERM), as gws itself ends in good order.
// Who an engine is says the kernel, not the engine.
func (s *Server) endEngines() {
	if s.config().KeepEngines {
		return
	}
	s.mu.Lock()
	engines := slices.Clone(s.engines)
	s.mu.Unlock()
	for _, e := range engines {
		log := s.log.With(logs.Engine, e.hello.Engine)
		pid, err := e.end()
		if err != nil {
			log.Warn("engine not asked to end", logs.Error, err)
			continue
		}
		logs.Normal(log, "engine is asked to end", logs.PID, pid)
	}
}

// end sends TERM to the engine's process.
func (e *engine) end() (pid int, err error) {
	if pid, err = e.conn.PeerPID(); err != nil {
		return 0, err
	}
	if pid == os.Getpid() {
		return 0, fmt.Errorf("process %d is gws itself", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("end process %d: %w", pid, err)
	}
	return pid, nil
}
