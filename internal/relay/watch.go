package relay

import (
	"log/slog"
	"slices"

	"sluice/internal/logs"
	"sluice/internal/pool"
)

// watch tells the log what becomes of remotes. It belongs to one goroutine.
type watch struct {
	log    *slog.Logger
	known  map[remoteKey]condition
	down   map[string]bool // pools of which no remote can be chosen
	unwell bool            // some remote is out: it is to be looked at again and again
}

type remoteKey struct{ pool, remote string }

// condition is what is told of a remote.
type condition struct {
	up, ejected bool
	state       pool.State
}

func (c condition) good() bool { return c.up && !c.ejected && c.state == pool.Enabled }

// poolView is what is known of a pool.
type poolView struct {
	name    string
	remotes []pool.View
}

func newWatch(log *slog.Logger) *watch {
	return &watch{log: log, known: make(map[remoteKey]condition), down: make(map[string]bool)}
}

// look tells what has changed since the last look. A remote that is new is taken to have
// been well.
func (w *watch) look(pools []poolView) {
	before := w.known
	w.known = make(map[remoteKey]condition, len(before))
	w.unwell = false
	for _, p := range pools {
		for _, v := range p.remotes {
			key := remoteKey{p.name, v.Name}
			was, known := before[key]
			if !known {
				was = condition{up: true}
			}
			now := condition{v.Up, v.Ejected, v.State}
			w.known[key] = now
			w.unwell = w.unwell || v.Ejected
			w.tell(p.name, &v, was, now)
		}
		w.tellPool(p)
	}
	for name := range w.down {
		if !slices.ContainsFunc(pools, func(p poolView) bool { return p.name == name }) {
			delete(w.down, name)
		}
	}
}

func (w *watch) tell(pool string, v *pool.View, was, now condition) {
	log := w.log.With(logs.Pool, pool, logs.Remote, v.Name)
	switch {
	case was.up && !now.up:
		log.Warn("remote down", logs.Reason, v.Reason)
	case !was.up && now.up:
		log.Info("remote up")
	}
	switch {
	case !was.ejected && now.ejected:
		log.Warn("remote ejected", logs.Reason, v.LastError, "until", v.Until)
	case was.ejected && !now.ejected:
		log.Info("remote no longer ejected")
	}
	if was.state != now.state {
		log.Info("remote " + now.state.String())
	}
}

// tellPool tells when the last remote of a pool went out, and when there is one again.
func (w *watch) tellPool(p poolView) {
	down := !slices.ContainsFunc(p.remotes, func(v pool.View) bool { return w.known[remoteKey{p.name, v.Name}].good() })
	if down == w.down[p.name] {
		return
	}
	w.down[p.name] = down
	if down {
		w.log.Error("all remotes of a pool are down", logs.Pool, p.name, "remotes", len(p.remotes))
		return
	}
	w.log.Info("a pool is back", logs.Pool, p.name)
}
