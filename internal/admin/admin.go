// Package admin is the face of the three admin ports. That of gws:
//
//	/ping     200 "pong" whenever the service is up
//	/status   all engines, channels and clients: a page for a browser, which brings itself
//	          up to date; JSON (report.Status) for Accept: application/json or
//	          ?format=json. ?format=html asks for the page by name.
//	/report   ?type={traffic|tps}&format={html|web|xml|json}&cached={0|1}: the traffic of
//	          each channel and client, with their tags; given again for a while unless cached=0
//	/drop     ?channel=TAG[&client=TAG]: end a client, or a channel with all its clients
//	/reset    end all channels and clients
//	/         leads to /status
//
// That of the relay:
//
//	/ping     as above
//	/status   listeners, pools with their remotes, sessions: likewise; JSON is report.Relay
//	/metrics  for Prometheus
//	/remote   ?pool=NAME&remote=NAME&state={enabled|draining|disabled}&weight=N: change a
//	          remote, by one or both
//	/kill     ?session=ID: end a session
//	/         leads to /status
//
// That of the origin, which takes no orders:
//
//	/ping     as above
//	/status   requests, mounts, what grows, sinks, uploads, pushes: likewise; JSON is report.Origin
//	/metrics  for Prometheus
//	/         leads to /status
//
// Browsers and proxies cache none of it. The ports have no access control of their own: they
// belong on loopback or behind something that has.
package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"sluice/internal/report"
)

// Service is what the admin port shows.
type Service interface {
	// Status returns what runs; admin does not change it.
	Status(ctx context.Context) report.Status
	// Drop has a client of a channel ended, or with client "" all of them and the channel.
	// Both are tags as reports show them. It returns as soon as the order is on its way,
	// whether there is such a client or not, and false when there is no such channel.
	Drop(channel, client string) bool
	// Reset has every engine end all its channels and clients, and says how many engines
	// were told.
	Reset() int
}

// Settings are how reports are made.
type Settings struct {
	Cache      time.Duration // how long a report is given again; if zero, not at all
	Statistics bool          // whether reports tell of traffic
}

// Handler serves s. settings is asked for at each report.
func Handler(s Service, settings func() Settings) http.Handler {
	h := &handler{service: s, settings: settings, page: newPage(), cache: cache{kept: make(map[string]cached)}}
	return &face{
		looks:  map[string]http.HandlerFunc{"/status": h.status, "/report": h.report},
		orders: map[string]http.HandlerFunc{"/drop": h.drop, "/reset": h.reset},
		paths:  "/status, /report, /drop, /reset or /ping",
	}
}

type handler struct {
	service  Service
	settings func() Settings
	page     *page
	cache    cache
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	showStatus(w, r, h.page.policy, h.page.write, func() report.Status { return ordered(h.service.Status(r.Context())) })
}

// ordered is a copy of st in which channels stand by what they are called and clients by
// their coming, so that nothing jumps from one look to the next, and in which no list is
// nil: JSON shows [] for it.
func ordered(st report.Status) report.Status {
	st.Engines = append([]report.Engine{}, st.Engines...)
	for i := range st.Engines {
		e := &st.Engines[i]
		e.Channels = append([]report.Channel{}, e.Channels...)
		slices.SortStableFunc(e.Channels, func(a, b report.Channel) int { return cmp.Compare(title(a), title(b)) })
		for j := range e.Channels {
			ch := &e.Channels[j]
			ch.Sources = append([]report.Source{}, ch.Sources...)
			for k := range ch.Sources {
				ch.Sources[k].Legs = append([]report.Leg{}, ch.Sources[k].Legs...)
			}
			ch.Streams = append([]report.Stream{}, ch.Streams...)
			ch.Clients = append([]report.Client{}, ch.Clients...)
			slices.SortStableFunc(ch.Clients, func(a, b report.Client) int {
				return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
			})
		}
	}
	return st
}
