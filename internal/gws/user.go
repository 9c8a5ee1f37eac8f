package gws

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/logs"
	"sluice/internal/request"
)

// serveUser answers a request of the user port: with an error, with the headers alone
// (HEAD), or by handing the socket over.
func (s *Server) serveUser(w http.ResponseWriter, r *http.Request) {
	peer := httpx.ClientAddr(r)
	req, no := s.admit(r, peer.Addr())
	switch {
	case no != nil:
		s.logRefusal(r, peer, no)
		if no.code == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, HEAD")
		}
		httpx.Error(w, no.code, no.text)
	case r.Method == http.MethodHead:
		for _, line := range s.header() {
			w.Header().Set(line[0], line[1])
		}
		w.WriteHeader(http.StatusOK)
	default:
		s.stream(w, r, req, peer)
	}
}

// refusal is a request that ends without an engine.
type refusal struct {
	code int
	text string // for the client
	hint string // for the log, in place of text
}

// admit decides whether a request may go to an engine, and nothing else.
func (s *Server) admit(r *http.Request, client netip.Addr) (request.Request, *refusal) {
	var none request.Request
	if !contains(s.c.Allow, client) {
		return none, &refusal{
			http.StatusForbidden, "this address may not watch here",
			"the address is in no network of the setting allow",
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return none, &refusal{http.StatusMethodNotAllowed, "want GET or HEAD", ""}
	}
	req, err := request.Parse(r.URL.EscapedPath(), r.URL.RawQuery)
	var bad *request.Error
	switch {
	case errors.As(err, &bad):
		return none, &refusal{bad.Status, bad.Text, ""}
	case err != nil:
		return none, &refusal{http.StatusInternalServerError, err.Error(), ""}
	}
	if !contains(s.c.Sources, req.Source.Addr.Addr()) {
		return none, &refusal{
			http.StatusForbidden, "this source is not served here",
			req.Source.Tag() + " is in no network of the setting sources",
		}
	}
	if !s.anyReady() {
		return none, &refusal{http.StatusServiceUnavailable, noEngine, ""}
	}
	return req, nil
}

const noEngine = "no engine is there, please try again"

// logRefusal names the path but never the query, which may hold a token. Whoever scans
// the port does not fill the log.
func (s *Server) logRefusal(r *http.Request, peer netip.AddrPort, no *refusal) {
	reason := no.hint
	if reason == "" {
		reason = no.text
	}
	path := r.URL.EscapedPath()
	if len(path) > 128 {
		path = path[:128]
	}
	s.turned.Info("client refused", logs.Client, clientTag(peer.String()), logs.Code, no.code, logs.Reason, reason, "path", path)
}

// clientTag is the name of a client that asked at the user port, in logs and reports.
func clientTag(addr string) string { return "TCP://" + addr }

// header is what a stream is announced with. There is no length and no chunking: the
// stream ends when the connection does.
func (s *Server) header() [][2]string {
	server := "sluice"
	if s.c.Build != "" {
		server += "/" + s.c.Build
	}
	return [][2]string{
		{"Server", server},
		{"Content-Type", "video/mp2t"},
		{"Date", time.Now().UTC().Format(http.TimeFormat)},
		{"Cache-Control", "no-cache, no-store"},
		{"Connection", "close"},
	}
}

// head is the whole head of a stream, for a request of that version of HTTP.
func (s *Server) head(proto string) []byte {
	var b strings.Builder
	b.WriteString(httpx.Proto(proto) + " 200 OK\r\n")
	for _, line := range s.header() {
		b.WriteString(line[0] + ": " + line[1] + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}
