package origin

import (
	"net/http"

	"sluice/internal/live"
)

// target is what a request leads to. What is asked for its rule is place, also for what is no object: rules go by paths.
type target struct {
	place
	write     bool
	directory bool // the path ended with a slash
	player    *live.Player
	channel   string  // name of the upload that is a channel; "" = none
	others    []place // where more of a directory may be, Config.Merge
	mounts    string  // directory of mounts that is to be listed; "" = none
}

// target finds out where a request leads to. Nothing is opened for it: who asks is not known yet.
func (v *visit) target() (target, *refusal) {
	write := v.r.Method != http.MethodGet && v.r.Method != http.MethodHead
	name, directory, ok := parsePath(v.r.URL)
	switch {
	case !ok && write:
		return target{}, &refusal{status: http.StatusForbidden, text: "this is no path for an object"}
	case !ok:
		return target{}, &refusal{status: http.StatusNotFound, text: "there is no such thing"}
	case write:
		return v.targetToWrite(name, directory)
	}
	return v.targetToRead(name, directory)
}

func (v *visit) targetToRead(name string, directory bool) (target, *refusal) {
	s := v.site
	to := target{directory: directory, player: s.players[v.r.URL.Path]}
	to.place, to.others = whichOf(s.placesToRead(name))
	switch {
	case to.player != nil || to.mount != nil:
		return to, nil
	case len(s.mountsBelow(name)) > 0:
		to.mounts = name
		return to, nil
	case len(s.mounts) == 0 && s.write != nil:
		return to, &refusal{status: http.StatusForbidden, text: "this server takes uploads, it gives nothing"}
	}
	return to, nil // a script may know it
}

// whichOf is the first place that has what is asked for, the first of all if none has; its rule is that of the request. The others come after it.
func whichOf(places []place) (place, []place) {
	for i, at := range places {
		if len(places) == 1 {
			break
		}
		if at.Store == nil {
			continue
		}
		if _, err := at.Store.Stat(at.name); err == nil {
			return at, places[i+1:]
		}
	}
	if len(places) == 0 {
		return place{}, nil
	}
	return places[0], places[1:]
}

func (v *visit) targetToWrite(name string, directory bool) (target, *refusal) {
	s := v.site
	to := target{write: true, directory: directory}
	allow := [][2]string{{"Allow", s.allow(v.r.URL.Path)}}
	if s.isSource(v.r.URL.Path) {
		if v.r.Method == http.MethodDelete {
			return to, &refusal{status: http.StatusMethodNotAllowed, text: "an upload here is a channel, there is nothing to delete", header: allow}
		}
		if places := s.placesToRead(name); len(places) > 0 {
			to.place = places[0]
		}
		to.channel = name
		return to, nil
	}
	at, ok := s.placeToWrite(name)
	switch {
	case s.players[v.r.URL.Path] != nil:
		return to, &refusal{status: http.StatusMethodNotAllowed, text: "this is a channel, it is only read", header: allow}
	case ok:
		to.place = at
	case s.writable():
		return to, &refusal{status: http.StatusForbidden, text: "nothing is taken here"}
	case s.hook == nil:
		return to, &refusal{status: http.StatusMethodNotAllowed, text: "no directory for uploads is enabled here", header: allow}
	}
	return to, nil
}

// answer does what is asked for.
func (v *visit) answer(to target) *refusal {
	switch {
	case to.player != nil:
		to.player.ServeHTTP(v.writer(0), v.r)
		return nil
	case to.channel != "":
		return v.takeChannel(to)
	case to.write:
		return v.write(to)
	case to.mounts != "":
		return v.listMounts(to.mounts)
	}
	return v.read(to)
}
