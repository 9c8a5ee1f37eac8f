package admin

import (
	"fmt"
	"io"
	"net/http"

	"sluice/internal/httpx"
)

// drop answers /drop?channel=TAG[&client=TAG]. 200 means that the order is on its way; a
// client that is not there is nobody's error.
func (h *handler) drop(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	channel, client := query.Get("channel"), query.Get("client")
	switch {
	case channel == "":
		httpx.Error(w, http.StatusBadRequest, "no channel given: want /drop?channel=TAG or /drop?channel=TAG&client=TAG, with the tags of /report")
	case !h.service.Drop(channel, client):
		httpx.Error(w, http.StatusNotFound, "no channel has this tag: want one exactly as /report shows it")
	case client == "":
		said(w, "the channel and all its clients are told to end")
	default:
		said(w, "the client is told to end, if it is there")
	}
}

// reset answers /reset: all channels and clients of all engines go.
func (h *handler) reset(w http.ResponseWriter, _ *http.Request) {
	said(w, fmt.Sprintf("all channels and clients of %s are told to end", plural(h.service.Reset(), "engine")))
}

func said(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, text+"\n")
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
