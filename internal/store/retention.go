package store

import (
	"path"
	"slices"
)

// What is remembered at most; what is forgotten on disk is found again when its next segment comes, what a manifest says when
// that comes again.
const (
	maxSeries    = 4096
	maxManifests = 1024
)

// retention decides what is too old. It is pure: its keeper tells it what is there, and removes.
type retention struct {
	Retention
	memory bool
	series map[string]*series
	shifts map[string]map[string]shift // by directory, by manifest
	last   int64
	count  int // of manifests
}

// series is the segments of one representation, in the order that they came.
type series struct {
	units map[int64]*unit // by number
	queue []arrival       // the oldest first; also those that came again or have gone: units say otherwise of them
}

// unit is a segment, or the parts of one: they go together.
type unit struct {
	names []string
	at    int64 // when it came last
}

type arrival struct{ number, at int64 }

// shift is what a manifest says: how many segments may be asked for.
type shift struct {
	segments int
	at       int64 // when it came
}

func newRetention(r Retention, memory bool) retention {
	return retention{Retention: r, memory: memory, series: map[string]*series{}, shifts: map[string]map[string]shift{}}
}

// keep is how many segments of the representations in a directory are kept; 0 = all.
func (r *retention) keep(dir string) int {
	shift := r.shift(dir)
	switch {
	case r.memory && shift > 0:
		return min(max(r.Segments, -r.Segments, 1), shift)
	case r.memory:
		return max(r.Segments, -r.Segments, 1)
	case r.Segments < 0:
		return -r.Segments
	case r.Segments > 0 && shift > 0:
		return max(r.Segments, shift)
	}
	return 0
}

// shift is the time shift in segments that holds in a directory: of the manifests in it, or else above it; 0 = not known.
func (r *retention) shift(dir string) int {
	if r.TimeShift > 0 {
		return r.TimeShift
	}
	for {
		longest := 0
		for _, s := range r.shifts[dir] {
			longest = max(longest, s.segments)
		}
		if longest > 0 || dir == "." {
			return longest
		}
		dir = path.Dir(dir)
	}
}

// reads says whether manifests tell something that matters.
func (r *retention) reads() bool { return r.TimeShift == 0 && (r.memory || r.Segments > 0) }

// manifest takes what a manifest says; 0 = nothing, or it has gone.
func (r *retention) manifest(name string, segments int) {
	dir := path.Dir(name)
	if _, old := r.shifts[dir][name]; old {
		r.count--
		delete(r.shifts[dir], name)
		if len(r.shifts[dir]) == 0 {
			delete(r.shifts, dir)
		}
	}
	if segments <= 0 {
		return
	}
	if r.count >= maxManifests {
		r.dropManifest()
	}
	if r.shifts[dir] == nil {
		r.shifts[dir] = map[string]shift{}
	}
	r.last++
	r.shifts[dir][name] = shift{segments, r.last}
	r.count++
}

// dropManifest forgets the manifest that came longest ago.
func (r *retention) dropManifest() {
	oldest, at := "", r.last+1
	for _, manifests := range r.shifts {
		for name, s := range manifests {
			if s.at < at {
				oldest, at = name, s.at
			}
		}
	}
	r.manifest(oldest, 0)
}

// follows says whether a representation is followed already.
func (r *retention) follows(representation string) bool { return r.series[representation] != nil }

// add takes a segment that has come, as the newest of its representation.
func (r *retention) add(name string) {
	representation, number, ok := Representation(name)
	if !ok {
		return
	}
	s := r.series[representation]
	if s == nil {
		if !r.memory && len(r.series) >= maxSeries {
			r.dropAny()
		}
		s = &series{units: map[int64]*unit{}}
		r.series[representation] = s
	}
	r.last++
	s.add(name, number, r.last)
}

func (s *series) add(name string, number, at int64) {
	u := s.units[number]
	if u == nil {
		u = &unit{}
		s.units[number] = u
	}
	if !slices.Contains(u.names, name) {
		u.names = append(u.names, name)
	}
	u.at = at
	s.queue = append(s.queue, arrival{number, at})
	if len(s.queue) > 2*len(s.units)+16 {
		s.queue = slices.DeleteFunc(s.queue, func(a arrival) bool { return !s.holds(a) })
	}
}

// holds says whether an arrival is the last one of what is there.
func (s *series) holds(a arrival) bool {
	u := s.units[a.number]
	return u != nil && u.at == a.at
}

// oldest is the unit that came first; false when there is none.
func (s *series) oldest() (*unit, bool) {
	for len(s.queue) > 0 && !s.holds(s.queue[0]) {
		s.queue = s.queue[1:]
	}
	if len(s.queue) == 0 {
		return nil, false
	}
	return s.units[s.queue[0].number], true
}

// dropAny forgets one representation, whichever.
func (r *retention) dropAny() {
	for representation := range r.series {
		r.drop(representation)
		return
	}
}

// drop forgets a representation: nothing of it is removed until it is followed again.
func (r *retention) drop(representation string) { delete(r.series, representation) }

// forget takes note that an object has gone.
func (r *retention) forget(name string) {
	if Manifest(name) {
		r.manifest(name, 0)
		return
	}
	representation, number, _ := Representation(name)
	s := r.series[representation]
	if s == nil || s.units[number] == nil {
		return
	}
	u := s.units[number]
	u.names = slices.DeleteFunc(u.names, func(n string) bool { return n == name })
	if len(u.names) == 0 {
		delete(s.units, number)
	}
	if len(s.units) == 0 {
		r.drop(representation)
	}
}

// expire takes the segments of a representation that are too many off the list. It stops at the first one in use. Of parts there are
// those of one segment more, the one that is not complete yet.
func (r *retention) expire(representation string, inUse func(name string) bool) []string {
	keep := r.keep(path.Dir(representation))
	s := r.series[representation]
	if s == nil || keep == 0 {
		return nil
	}
	if ofParts(representation) {
		keep++
	}
	var gone []string
	for len(s.units) > keep {
		u, ok := s.oldest()
		if !ok || slices.ContainsFunc(u.names, inUse) {
			break
		}
		gone = append(gone, r.take(u)...)
	}
	return gone
}

// take takes all of a unit off the list.
func (r *retention) take(u *unit) []string {
	names := slices.Clone(u.names)
	for _, name := range names {
		r.forget(name)
	}
	return names
}

// evict takes the oldest segment of all off the list; none when none may go.
func (r *retention) evict(inUse func(name string) bool) []string {
	var first *unit
	for _, s := range r.series {
		if u, ok := s.oldest(); ok && (first == nil || u.at < first.at) && !slices.ContainsFunc(u.names, inUse) {
			first = u
		}
	}
	if first == nil {
		return nil
	}
	return r.take(first)
}
