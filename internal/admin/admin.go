// Package admin is the face of the admin port:
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
// Browsers and proxies cache none of it. The port has no access control of its own: it
// belongs on loopback or behind something that has.
package admin

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice/internal/httpx"
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
	return &handler{service: s, settings: settings, page: newPage(), cache: cache{kept: make(map[string]cached)}}
}

type handler struct {
	service  Service
	settings func() Settings
	page     *page
	cache    cache
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve := map[string]http.HandlerFunc{
		"/": home, "/ping": ping, "/status": h.status, "/report": h.report, "/drop": h.drop, "/reset": h.reset,
	}[r.URL.Path]
	methods := []string{http.MethodGet, http.MethodHead}
	order := r.URL.Path == "/drop" || r.URL.Path == "/reset"
	if order {
		methods = []string{http.MethodGet, http.MethodPost}
	}
	switch {
	case serve == nil:
		httpx.Error(w, http.StatusNotFound, "no such path: want /status, /report, /drop, /reset or /ping")
		return
	case !httpx.Permit(w, r, methods...), order && !ownOrder(w, r):
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	serve(w, r)
}

// home leads on by a relative address, which holds behind a reverse proxy too.
func home(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Location", "status")
	w.WriteHeader(http.StatusFound)
}

func ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "pong\n")
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	write, contentType := h.page.write, "text/html; charset=utf-8"
	switch format := r.URL.Query().Get("format"); {
	case format == "json", format == "" && wantsJSON(r.Header.Get("Accept")):
		write, contentType = writeJSON, "application/json"
	case format != "" && format != "html":
		httpx.Error(w, http.StatusBadRequest, "no such format: want format=html or format=json")
		return
	}
	var b bytes.Buffer
	if err := write(&b, ordered(h.service.Status(r.Context()))); err != nil {
		httpx.Error(w, http.StatusInternalServerError, "the status cannot be shown: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Security-Policy", h.page.policy)
	w.Write(b.Bytes())
}

// wantsJSON reports whether JSON is named and a page is not: a browser names both, if
// at all.
func wantsJSON(accept string) bool {
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

func writeJSON(w io.Writer, st report.Status) error { return writeIndented(w, st) }

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
