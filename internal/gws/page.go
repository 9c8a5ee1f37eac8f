package gws

import (
	"net/http"
	"strconv"
	"strings"

	"sluice/internal/auth"
	"sluice/internal/request"
	"sluice/internal/uri"
)

// page answers what is no stream, or says why not.
type page func(*Server, *Config, http.ResponseWriter, *http.Request, *visit) *refusal

// pageOf is the page that a request is for; nil for everything else.
func pageOf(conf *Config, r *http.Request) page {
	switch path, _, _ := strings.Cut(target(r), "?"); {
	case path == playlistPath:
		return (*Server).servePlaylist
	case conf.Udpxy && (path == "/status" || path == "/status/"):
		return (*Server).serveUdpxy
	}
	return nil
}

// questionOfPage is what the guard is asked about what is no stream.
func questionOfPage(r *http.Request, v *visit, path string) auth.Question {
	asked, query, _ := strings.Cut(target(r), "?")
	q := auth.Question{Peer: v.peer, Source: path, Listener: v.listener, Path: asked, Query: request.Parameters(query)}
	if query != "" {
		q.Source += "?" + uri.Printable(query)
	}
	return q
}

// servePage answers with a text that is made anew each time.
func servePage(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		w.Write(body) // the client may be gone; there is nobody else to tell
	}
}
