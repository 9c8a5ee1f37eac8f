package gws

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// serveUdpxy answers as udpxy's status page does, to whom the guard lets in: for scripts and
// players that look there whether the relay lives, how many clients it has and what they
// watch. Who they are is for the admin port.
func (s *Server) serveUdpxy(conf *Config, w http.ResponseWriter, r *http.Request, v *visit) *refusal {
	if no := authorize(conf, r, v, questionOfPage(r, v, "/status")); no != nil {
		return no
	}
	clients, sources := s.watched()
	var b strings.Builder
	fmt.Fprintf(&b, `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>sluice status</title></head>
<body>
<h1>sluice status</h1>
<p>Active clients: %d</p>
<table>
<tr><th>Source</th><th>Clients</th></tr>
`, clients)
	for _, tag := range slices.Sorted(maps.Keys(sources)) {
		fmt.Fprintf(&b, "<tr><td>%s</td><td>%d</td></tr>\n", html.EscapeString(tag), sources[tag])
	}
	b.WriteString("</table>\n</body>\n</html>\n")
	servePage(w, r, "text/html; charset=utf-8", []byte(b.String()))
	return nil
}

// watched is how many clients there are, and how many of each channel that is received.
func (s *Server) watched() (clients int, sources map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sources = make(map[string]int)
	for _, e := range s.engines {
		for tag, h := range e.channels {
			if h.open {
				sources[tag] += 0
			}
		}
		for _, b := range e.clients {
			sources[b.tag]++
			clients++
		}
	}
	return clients, sources
}
