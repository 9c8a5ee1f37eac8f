package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sluice/internal/config"
	"sluice/internal/logs"
	"sluice/internal/origin"
	"sluice/internal/store"
)

// stores are those of an origin, one for each directory and one for the memory. A configuration that is read again has
// those that are there; one that it does not name any more is closed when nothing is being written in it.
type stores struct {
	log *slog.Logger

	mu   sync.Mutex    // guards the following, and all of each shelf
	open []*shelf      // of a directory there are two while a configuration that writes it is tried
	gone []*shelf      // that are to be closed
	idle chan struct{} // room for one: some of gone may be closed
}

// shelf is a store with what is known of it.
type shelf struct {
	store.Store
	dir      string // "" = memory
	writable bool
	stop     func()
}

// busy says whether something is being uploaded.
func (one *shelf) busy() bool {
	_, uploads := one.Growing(0)
	return uploads > 0
}

func newStores(log *slog.Logger) *stores {
	return &stores{log: log, idle: make(chan struct{}, 1)}
}

// fill gives each place of conf its store. A directory that is only read and cannot be had is left out, with
// a warning.
func (s *stores) fill(conf *origin.Config, c *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	writable := writablePlaces(conf)
	read := make([]origin.Mount, 0, len(conf.Read))
	for i, m := range conf.Read {
		st, err := s.getLocked(m.Dir, writable[m.Dir], c)
		switch {
		case err == nil:
			m.Store = st
			read = append(read, m)
		case writable[m.Dir] || i == 0 && len(conf.Records) > 0:
			return fmt.Errorf("directory of the origin: %w", err)
		default:
			s.log.Warn("directory left out", logs.File, m.Dir, logs.Error, err)
		}
	}
	if len(read) == 0 && len(conf.Read) > 0 && conf.Write == nil {
		return errors.New("no directory of the origin can be read")
	}
	conf.Read = read
	if conf.Write != nil {
		st, err := s.getLocked(conf.Write.Dir, true, c)
		if err != nil {
			return fmt.Errorf("directory for uploads: %w", err)
		}
		conf.Write.Store = st
	}
	return s.fillPushesLocked(conf, writable, c)
}

// fillPushesLocked gives pushes of objects their store: those of the memory, and of a directory that is written here, so that
// what grows is pushed as it does. Any other directory is somebody else's, and is watched.
func (s *stores) fillPushesLocked(conf *origin.Config, writable map[string]bool, c *config.Config) error {
	for i, p := range conf.Pushes {
		if p.Channel != "" || !writable[p.Dir] {
			continue
		}
		st, err := s.getLocked(p.Dir, true, c)
		if err != nil {
			return fmt.Errorf("push %s: %w", p.Name, err)
		}
		conf.Pushes[i].Store = st
	}
	return nil
}

// writablePlaces are the directories of which something writes.
func writablePlaces(conf *origin.Config) map[string]bool {
	writable := map[string]bool{"": true}
	if conf.Write != nil {
		writable[conf.Write.Dir] = true
	}
	if len(conf.Records) > 0 && len(conf.Read) > 0 {
		writable[conf.Read[0].Dir] = true
	}
	if conf.Rules == nil {
		return writable
	}
	for _, r := range conf.Rules.Rules() {
		for _, m := range conf.Read {
			if r.Writable && m.Dir != "" && (r.Dir == m.Dir || strings.HasPrefix(r.Dir, m.Dir+"/")) {
				writable[m.Dir] = true
			}
		}
	}
	return writable
}

// getLocked is the store of a directory. One that is open for reading only is opened anew for writing: what is
// being read stays with its readers.
func (s *stores) getLocked(dir string, writable bool, c *config.Config) (store.Store, error) {
	for _, have := range s.open {
		if have.dir == dir && (have.writable || !writable) {
			return have.Store, nil
		}
	}
	retention := c.Origin.Retention
	one := &shelf{dir: dir, writable: writable}
	if dir == "" {
		one.Store = store.NewMemory(store.MemoryConfig{Limit: c.Origin.Memory, Retention: retention})
	} else {
		_, missing := os.Stat(dir)
		st, err := store.NewDir(store.DirConfig{Path: filepath.Clean(dir), Make: true, Writable: writable, Retention: retention})
		if err != nil {
			return nil, err
		}
		if errors.Is(missing, fs.ErrNotExist) {
			logs.Normal(s.log, "directory is made", logs.File, dir)
		}
		one.Store = st
	}
	one.stop = one.Watch(s.heard)
	s.open = append(s.open, one)
	return one.Store, nil
}

// heard has a store that is to be closed looked at when something has ended in it.
func (s *stores) heard(e store.Event) {
	if e.What != store.Ended && e.What != store.Aborted {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gone) > 0 {
		s.wakeLocked()
	}
}

func (s *stores) wakeLocked() {
	select {
	case s.idle <- struct{}{}:
	default: // it is said already
	}
}

// keep is told what holds, also when another configuration was tried in vain: what conf does not name is to be closed.
func (s *stores) keep(conf *origin.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	named := map[store.Store]bool{}
	for _, m := range conf.Read {
		named[m.Store] = true
	}
	if conf.Write != nil {
		named[conf.Write.Store] = true
	}
	for _, p := range conf.Pushes {
		named[p.Store] = true
	}
	s.open = slices.DeleteFunc(s.open, func(one *shelf) bool {
		if !named[one.Store] {
			s.gone = append(s.gone, one)
		}
		return !named[one.Store]
	})
	s.wakeLocked()
}

// sweep closes what is gone and idle, and says what is wrong with that.
func (s *stores) sweep() error {
	s.mu.Lock()
	var free, busy []*shelf
	for _, one := range s.gone {
		if one.busy() {
			busy = append(busy, one)
		} else {
			free = append(free, one)
		}
	}
	s.gone = busy
	s.mu.Unlock()
	return closeShelves(free)
}

// close closes all of them.
func (s *stores) close() error {
	s.mu.Lock()
	all := append(s.gone, s.open...)
	s.open, s.gone = nil, nil
	s.mu.Unlock()
	return closeShelves(all)
}

func closeShelves(list []*shelf) (err error) {
	for _, one := range list {
		one.stop()
		err = cmp.Or(err, one.Close())
	}
	return err
}
