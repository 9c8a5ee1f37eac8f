package admin

import (
	"net/http"

	"sluice/internal/report"
)

// OriginService is what the admin port of an origin shows. Its methods may be called at any time.
type OriginService interface {
	// Status returns what it does; it is the caller's.
	Status() report.Origin
}

// Origin serves s.
func Origin(s OriginService) http.Handler {
	page := newOriginPage()
	status := func(w http.ResponseWriter, r *http.Request) { showStatus(w, r, page.policy, page.write, s.Status) }
	return &face{
		looks: map[string]http.HandlerFunc{"/status": status, "/metrics": metrics(newOriginCollector(s)).ServeHTTP},
		paths: "/status, /metrics or /ping",
	}
}
