package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/httpx"
	"sluice/internal/report"
)

// RelayService is what the admin port of a relay shows. Its methods may be called at any time.
type RelayService interface {
	// Status returns what runs; it is the caller's.
	Status() report.Relay
	// Order changes a remote: its state to enabled, draining or disabled, its weight, of which 0
	// is that of the configuration. What is nil stays. The error says what is not there or cannot be.
	Order(pool, remote string, state *string, weight *int) error
	// Kill ends the session with that id, and says whether there was one.
	Kill(id uint64) bool
}

// Relay serves s.
func Relay(s RelayService) http.Handler {
	h := &relay{service: s, page: newRelayPage()}
	return &face{
		looks:  map[string]http.HandlerFunc{"/status": h.status, "/metrics": relayMetrics(s).ServeHTTP},
		orders: map[string]http.HandlerFunc{"/remote": h.remote, "/kill": h.kill},
		paths:  "/status, /metrics, /remote, /kill or /ping",
	}
}

type relay struct {
	service RelayService
	page    *relayPage
}

func (h *relay) status(w http.ResponseWriter, r *http.Request) {
	showStatus(w, r, h.page.policy, h.page.write, h.service.Status)
}

// remote answers /remote?pool=NAME&remote=NAME&state=STATE&weight=N.
func (h *relay) remote(w http.ResponseWriter, r *http.Request) {
	query, ok := parameters(w, r)
	if !ok {
		return
	}
	pool, remote := query.Get("pool"), query.Get("remote")
	state, weight, err := wanted(query)
	switch {
	case pool == "" || remote == "":
		httpx.Error(w, http.StatusBadRequest, "no remote given: want /remote?pool=NAME&remote=NAME&state=STATE&weight=N, with the names of /status")
		return
	case err != nil:
		httpx.Error(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := h.service.Order(pool, remote, state, weight); err != nil {
		status, hint := http.StatusBadRequest, ""
		if !hasRemote(h.service.Status(), pool, remote) {
			status, hint = http.StatusNotFound, ": want both names exactly as /status shows them, percent-encoded"
		}
		httpx.Error(w, status, err.Error()+hint)
		return
	}
	said(w, "the remote "+strings.Join(orders(state, weight), " and "))
}

// wanted reads what is to become of a remote.
func wanted(query url.Values) (state *string, weight *int, err error) {
	if s := query.Get("state"); s != "" {
		state = &s
	}
	if text := query.Get("weight"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, nil, fmt.Errorf("no weight %q: want a number, 0 for that of the configuration", text)
		}
		weight = new(int(n))
	}
	if state == nil && weight == nil {
		return nil, nil, fmt.Errorf("nothing to change: want state=enabled, draining or disabled, or weight=N, or both")
	}
	return state, weight, nil
}

// orders says what was ordered.
func orders(state *string, weight *int) (words []string) {
	if state != nil {
		words = append(words, "is "+*state)
	}
	switch {
	case weight == nil:
	case *weight == 0:
		words = append(words, "has the weight of the configuration")
	default:
		words = append(words, fmt.Sprintf("has the weight %d", *weight))
	}
	return words
}

func hasRemote(st report.Relay, pool, remote string) bool {
	return slices.ContainsFunc(st.Pools, func(p report.RelayPool) bool {
		return p.Name == pool && slices.ContainsFunc(p.Remotes, func(r report.RelayRemote) bool { return r.Name == remote })
	})
}

// kill answers /kill?session=ID.
func (h *relay) kill(w http.ResponseWriter, r *http.Request) {
	query, ok := parameters(w, r)
	if !ok {
		return
	}
	id, err := strconv.ParseUint(query.Get("session"), 10, 64)
	switch {
	case err != nil:
		httpx.Error(w, http.StatusBadRequest, "no session given: want /kill?session=ID, with the id of /status, a number")
	case !h.service.Kill(id):
		httpx.Error(w, http.StatusNotFound, fmt.Sprintf("no session has the id %d: it has ended, or never was; /status shows those that run", id))
	default:
		said(w, fmt.Sprintf("session %d is ended", id))
	}
}

// parameters are those of the query; what is wrong in them is answered.
func parameters(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		httpx.Error(w, http.StatusBadRequest, "the parameters cannot be read: "+err.Error())
	}
	return query, err == nil
}
