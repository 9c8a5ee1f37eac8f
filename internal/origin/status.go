package origin

import (
	"cmp"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"sluice/internal/creds"
	"sluice/internal/report"
	"sluice/internal/store"
)

// counts counts since New.
type counts struct {
	requests, sent, received, aborted atomic.Uint64
	classes                           [5]atomic.Uint64 // answers: 1xx, 2xx, …
	waiting                           atomic.Int64     // now
}

// answered counts an answer; 0 is a request that had none.
func (c *counts) answered(status int) {
	if class := status/100 - 1; class >= 0 && class < len(c.classes) {
		c.classes[class].Add(1)
	}
}

// Status tells what it does.
func (o *Origin) Status() report.Origin {
	connections, refused := o.crowd.count()
	o.mu.Lock()
	active := o.active
	o.mu.Unlock()
	s := o.site.Load()
	st := report.Origin{
		Build: o.opts.Version, PID: os.Getpid(), Started: o.started, Now: time.Now(), Draining: o.ending.Err() != nil,
		Connections: connections, Active: active, Refused: refused,
		Requests: o.counts.requests.Load(), Sent: o.counts.sent.Load(), Received: o.counts.received.Load(),
		Aborted: o.counts.aborted.Load(), Waiting: int(o.counts.waiting.Load()),
		Statuses: make(map[string]uint64), Mounts: s.reportMounts(), Sinks: []report.OriginSink{}, Pushes: s.reportPushes(),
	}
	st.Objects, st.Growing = s.reportObjects()
	st.Channels, st.Uploads = o.reportChannels()
	for i := range o.counts.classes {
		if n := o.counts.classes[i].Load(); n > 0 {
			st.Statuses[strconv.Itoa(i+1)+"xx"] = n
		}
	}
	for _, at := range slices.Sorted(maps.Keys(s.players)) {
		st.Sinks = append(st.Sinks, report.OriginSink{Path: at, Channel: s.conf.Sinks[at].Channel, Clients: s.players[at].Clients()})
	}
	return st
}

func (s *site) reportMounts() []report.OriginMount {
	list := []report.OriginMount{}
	for _, m := range s.places() {
		one := report.OriginMount{Name: "/" + m.at, Path: cmp.Or(m.Dir, creds.Memory), Writable: s.write != nil && m.at == "" && m.Store == s.write.Store}
		if rule, ok := s.ruleOf(place{m, "."}); ok {
			one.Writable = one.Writable || rule.Writable
		}
		if m.Store != nil {
			one.Objects, one.Bytes = m.Store.Usage()
		}
		list = append(list, one)
	}
	return list
}

// places are the mounts, each once: what is written may be one that is read at the same place.
func (s *site) places() []*mount {
	if s.write != nil && slices.ContainsFunc(s.mounts, func(m *mount) bool { return m.at == "" && m.Store == s.write.Store }) {
		return s.mounts
	}
	return s.allMounts()
}

// reportObjects are the oldest objects that are being written, and how many there are in all. A store that is at several places
// is told of by the first.
func (s *site) reportObjects() (list []report.OriginObject, all int) {
	list = []report.OriginObject{}
	told := make(map[store.Store]bool)
	for _, m := range s.places() {
		if m.Store == nil || told[m.Store] {
			continue
		}
		told[m.Store] = true
		grow, n := m.Store.Growing(report.MaxOriginList)
		all += n
		for _, g := range grow {
			list = append(list, report.OriginObject{
				Path: path.Join("/", m.at, g.Name), Size: g.Size, Since: g.Modified, Hidden: g.Hidden, Readers: g.Readers,
			})
		}
	}
	slices.SortStableFunc(list, func(a, b report.OriginObject) int { return a.Since.Compare(b.Since) })
	return list[:min(len(list), report.MaxOriginList)], all
}

// reportChannels are the oldest uploads that are channels, and how many there are in all.
func (o *Origin) reportChannels() (list []report.OriginChannel, all int) {
	list = []report.OriginChannel{}
	uploads := o.uploads.List()
	for _, u := range uploads[:min(len(uploads), report.MaxOriginList)] {
		list = append(list, report.OriginChannel(u))
	}
	return list, len(uploads)
}

func (s *site) reportPushes() []report.OriginPush {
	list := []report.OriginPush{}
	for i, p := range s.pushers {
		for _, r := range p.Report() {
			list = append(list, report.OriginPush{
				Name: s.conf.Pushes[i].Name, To: r.To, Objects: r.Objects, Bytes: r.Bytes, Failed: r.Failed, Retries: r.Retries, Queue: r.Queue, Error: r.Error,
			})
		}
	}
	return list
}
