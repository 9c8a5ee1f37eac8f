package store

import (
	"path"
	"slices"
)

// What is remembered at most; what is forgotten on disk is found again when its next segment comes.
const (
	maxSeries    = 4096
	maxManifests = 1024
)

// retention decides what is too old. It is pure: its keeper tells it what is there, and removes.
type retention struct {
	Retention
	memory bool
	series map[string]*series
	known  map[string]int64          // by the name of a segment: when it came
	shifts map[string]map[string]int // by directory, by manifest: how many segments may be asked for
	last   int64
	count  int // of manifests
}

// series is the segments of one representation, in the order that they came.
type series struct {
	queue []arrival // also those that came again later or have gone: known says otherwise of them
	live  int
}

type arrival struct {
	name string
	at   int64
}

func newRetention(r Retention, memory bool) retention {
	return retention{Retention: r, memory: memory, series: map[string]*series{}, known: map[string]int64{}, shifts: map[string]map[string]int{}}
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
		for _, segments := range r.shifts[dir] {
			longest = max(longest, segments)
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
	if segments <= 0 || r.count >= maxManifests {
		return
	}
	if r.shifts[dir] == nil {
		r.shifts[dir] = map[string]int{}
	}
	r.shifts[dir][name] = segments
	r.count++
}

// follows says whether a representation is followed already.
func (r *retention) follows(representation string) bool { return r.series[representation] != nil }

// add takes a segment that has come, as the newest of its representation.
func (r *retention) add(representation, name string) {
	s := r.series[representation]
	if s == nil {
		if !r.memory && len(r.series) >= maxSeries {
			r.dropAny()
		}
		s = &series{}
		r.series[representation] = s
	}
	if _, again := r.known[name]; !again {
		s.live++
	}
	r.last++
	r.known[name] = r.last
	s.queue = append(s.queue, arrival{name, r.last})
	if len(s.queue) > 2*s.live+16 {
		s.queue = slices.DeleteFunc(s.queue, func(a arrival) bool { return r.known[a.name] != a.at })
	}
}

// dropAny forgets one representation, whichever.
func (r *retention) dropAny() {
	for representation := range r.series {
		r.drop(representation)
		return
	}
}

// drop forgets a representation: nothing of it is removed until it is followed again.
func (r *retention) drop(representation string) {
	s := r.series[representation]
	if s == nil {
		return
	}
	for _, a := range s.queue {
		delete(r.known, a.name)
	}
	delete(r.series, representation)
}

// forget takes note that an object has gone.
func (r *retention) forget(name string) {
	if Manifest(name) {
		r.manifest(name, 0)
	}
	if _, ok := r.known[name]; !ok {
		return
	}
	delete(r.known, name)
	representation, _, _ := Representation(name)
	s := r.series[representation]
	if s.live--; s.live == 0 {
		delete(r.series, representation)
	}
}

// oldest is the segment of a series that came first; false when there is none.
func (r *retention) oldest(s *series) (arrival, bool) {
	for len(s.queue) > 0 && r.known[s.queue[0].name] != s.queue[0].at {
		s.queue = s.queue[1:]
	}
	if len(s.queue) == 0 {
		return arrival{}, false
	}
	return s.queue[0], true
}

// expire takes the segments of a representation that are too many, and the parts of those, off the list. It stops at the first one in use.
func (r *retention) expire(representation string, inUse func(name string) bool) []string {
	s := r.series[representation]
	keep := r.keep(path.Dir(representation))
	var gone []string
	for s != nil && keep > 0 && s.live > keep {
		a, ok := r.oldest(s)
		if !ok || inUse(a.name) {
			break
		}
		r.forget(a.name)
		gone = append(gone, a.name)
		gone = append(gone, r.expireParts(a.name, inUse)...)
	}
	return gone
}

// expireParts takes the parts of a segment that has gone off the list.
func (r *retention) expireParts(segment string, inUse func(name string) bool) []string {
	var gone []string
	for representation, s := range r.series {
		for partsOf(segment, representation) {
			a, ok := r.oldest(s)
			if !ok || inUse(a.name) {
				break
			}
			r.forget(a.name)
			gone = append(gone, a.name)
		}
	}
	return gone
}

// evict takes the oldest segment of all off the list; false when none may go.
func (r *retention) evict(inUse func(name string) bool) (string, bool) {
	var first arrival
	for _, s := range r.series {
		if a, ok := r.oldest(s); ok && !inUse(a.name) && (first.name == "" || a.at < first.at) {
			first = a
		}
	}
	if first.name == "" {
		return "", false
	}
	r.forget(first.name)
	return first.name, true
}
