package origin

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"sluice/internal/creds"
	"sluice/internal/report"
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
		Build: o.opts.Version, Started: o.started, Connections: connections, Active: active, Refused: refused,
		Requests: o.counts.requests.Load(), Sent: o.counts.sent.Load(), Received: o.counts.received.Load(),
		Aborted: o.counts.aborted.Load(), Waiting: int(o.counts.waiting.Load()), Uploads: o.uploads.Active(),
		Statuses: make(map[string]uint64), Mounts: s.reportMounts(), Sinks: []report.OriginSink{}, Pushes: s.reportPushes(),
	}
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
	for _, m := range s.allMounts() {
		one := report.OriginMount{Name: "/" + m.at, Path: cmp.Or(m.Dir, creds.Memory), Writable: m == s.write}
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
