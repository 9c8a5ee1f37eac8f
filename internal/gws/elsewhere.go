package gws

import "net/http"

// serveElsewhere gives a request to whom it is for: he asks his own guard, takes his time, and
// keeps his own log.
func serveElsewhere(conf *Config, w http.ResponseWriter, r *http.Request) *refusal {
	if err := unhurried(http.NewResponseController(w)); err != nil {
		return &refusal{code: http.StatusInternalServerError, text: "this connection cannot carry the request", hint: err.Error()}
	}
	conf.Elsewhere.ServeHTTP(w, r)
	return nil
}
