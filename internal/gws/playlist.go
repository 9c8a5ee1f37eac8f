package gws

import (
	"bytes"
	"net/http"
	"strings"

	"sluice/internal/alias"
	"sluice/internal/httpx"
	"sluice/internal/uri"
)

// playlistPath is where the channels of the configuration are as a playlist.
const playlistPath = "/playlist.m3u"

// servePlaylist answers with all channels, with URLs that lead back to where this request
// came to, and with its parameters: tokens, and how streams are to be served.
func (s *Server) servePlaylist(conf *Config, w http.ResponseWriter, r *http.Request, v *visit) *refusal {
	channels := conf.Lineup.Channels()
	if len(channels) == 0 {
		return &refusal{code: http.StatusNotFound, text: "no channel is configured"}
	}
	if no := authorize(conf, r, v, questionOfPage(r, v, playlistPath)); no != nil {
		return no
	}
	base, err := httpx.Origin(r, conf.Proxies)
	if err != nil {
		return &refusal{code: http.StatusBadRequest, text: err.Error()}
	}
	_, query, _ := strings.Cut(target(r), "?")
	var b bytes.Buffer
	if err := alias.WritePlaylist(&b, channels, base, unsigned(query)); err != nil {
		return &refusal{code: http.StatusInternalServerError, text: err.Error()}
	}
	w.Header().Set("Access-Control-Allow-Origin", "*") // as for the streams in it
	servePage(w, r, "audio/x-mpegurl; charset=utf-8", b.Bytes())
	return nil
}

// unsigned is a query without its signature, which is good for one path only.
func unsigned(query string) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		switch key, _, _ := strings.Cut(pair, "="); key {
		case "", "expires", "sign", "ip":
		default:
			kept = append(kept, uri.Printable(pair))
		}
	}
	return uri.Printable(strings.Join(kept, "&"))
}
