package admin

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"sluice/internal/httpx"
)

// face is an admin port: what its paths answer. All have "/" and "/ping" besides.
type face struct {
	looks  map[string]http.HandlerFunc // change nothing: GET and HEAD
	orders map[string]http.HandlerFunc // change something: GET and POST, and not for pages of other sites
	paths  string                      // for who asks for another one
}

func (f *face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve, order := f.orders[r.URL.Path]
	methods := []string{http.MethodGet, http.MethodPost}
	if !order {
		serve = f.look(r.URL.Path)
		methods = []string{http.MethodGet, http.MethodHead}
	}
	switch {
	case serve == nil:
		httpx.Error(w, http.StatusNotFound, "no such path: want "+f.paths)
		return
	case !httpx.Permit(w, r, methods...), order && !ownOrder(w, r):
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	serve(w, r)
}

func (f *face) look(path string) http.HandlerFunc {
	switch path {
	case "/":
		return home
	case "/ping":
		return ping
	}
	return f.looks[path]
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

// ownOrder keeps pages of other sites from giving orders through the browser of an
// operator who visits them: a browser says where a request comes from.
func ownOrder(w http.ResponseWriter, r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	}
	httpx.Error(w, http.StatusForbidden, "an order from a page of another site")
	return false
}

func said(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, text+"\n")
}

// showStatus answers with a status as the request wants it: as a page, which has that policy, or as
// JSON.
func showStatus[T any](w http.ResponseWriter, r *http.Request, policy string, page func(io.Writer, T) error, status func() T) {
	w.Header().Set("Vary", "Accept")
	write, contentType := page, "text/html; charset=utf-8"
	switch format := r.URL.Query().Get("format"); {
	case format == "json", format == "" && wantsJSON(r.Header.Get("Accept")):
		write, contentType = func(w io.Writer, st T) error { return writeIndented(w, st) }, "application/json"
	case format != "" && format != "html":
		httpx.Error(w, http.StatusBadRequest, "no such format: want format=html or format=json")
		return
	}
	var b bytes.Buffer
	if err := write(&b, status()); err != nil {
		httpx.Error(w, http.StatusInternalServerError, "the status cannot be shown: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Security-Policy", policy)
	w.Write(b.Bytes())
}

// wantsJSON reports whether JSON is named and a page is not: a browser names both, if
// at all.
func wantsJSON(accept string) bool {
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
