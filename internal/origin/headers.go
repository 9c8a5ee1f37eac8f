package origin

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What OPTIONS and a 405 say is permitted.
const (
	allowRead   = "GET,HEAD,OPTIONS"
	allowWrite  = "GET,POST,PUT,DELETE,HEAD,OPTIONS"
	allowSource = "POST,PUT,OPTIONS"
)

// addHeaders sets what every answer has, errors too.
func (s *site) addHeaders(h http.Header, r *http.Request, now time.Time) {
	c := &s.conf
	h.Set("Server", s.agent)
	if c.ServerUTC {
		h.Set("Server-UTC", strconv.FormatInt(now.UnixMilli(), 10))
	}
	addCORS(h, c, r.Header.Get("Origin"))
	if r.ProtoMajor == 1 {
		addPersistence(h, c, r)
	}
	for _, line := range c.Headers {
		h.Add(line[0], line[1])
	}
}

// addPersistence says whether an HTTP/1 connection can be used again, and how long it is kept. net/http says otherwise where it knows better.
func addPersistence(h http.Header, c *Config, r *http.Request) {
	switch {
	case c.Close:
		h.Set("Connection", "close")
	case r.Close:
	default:
		h.Set("Connection", "keep-alive")
		if c.Idle > 0 {
			h.Set("Keep-Alive", "timeout="+strconv.FormatInt(int64(c.Idle/time.Second), 10))
		}
	}
}

// addCORS permits other sites to see the answer (Fetch standard, 3.3). origin is the header of the request.
func addCORS(h http.Header, c *Config, origin string) {
	if c.CORS == CORSOff {
		return
	}
	h.Add("Vary", "Origin")
	if c.CORS == CORSAuto && origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", cmp.Or(origin, "*"))
	h.Set("Access-Control-Expose-Headers", "*")
	if c.Isolate {
		h.Set("Cross-Origin-Embedder-Policy", "require-corp")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
}

// options answers OPTIONS. A preflight and "*" say 204, whoever asks and whether the thing is there or not.
func (v *visit) options() {
	h := v.w.Header()
	allow := v.site.allow(v.r.URL.Path)
	h.Set("Allow", allow)
	preflight := v.site.conf.CORS != CORSOff && v.r.Header.Get("Access-Control-Request-Method") != "" && v.r.Header.Get("Origin") != ""
	if preflight {
		h.Set("Access-Control-Allow-Methods", allow)
		h.Set("Access-Control-Allow-Headers", "*, Authorization") // which the star does not mean
		h.Set("Access-Control-Max-Age", "600")
	}
	if preflight || v.r.RequestURI == "*" {
		v.w.WriteHeader(http.StatusNoContent)
		return
	}
	h.Set("Content-Length", "0")
	v.w.WriteHeader(http.StatusOK)
}

// allow is what may be done with a path, as far as this depends on the configuration and not on who asks.
func (s *site) allow(path string) string {
	switch {
	case s.isSource(path):
		return allowSource
	case s.conf.Sinks[path].Channel == "" && s.writable():
		return allowWrite
	}
	return allowRead
}

// validHeader says whether a name and a value may be sent (RFC 9110, 5.1 and 5.5).
func validHeader(name, value string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	ofToken := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(marks, r)
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !ofToken(r) }) {
		return false
	}
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
