package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sluice/internal/httpx"
)

// drop answers /drop?channel=TAG[&client=TAG]. 200 means that the order is on its way; a
// client that is not there is nobody's error.
func (h *handler) drop(w http.ResponseWriter, r *http.Request) {
	channels, clients := spellings(r.URL.RawQuery, "channel"), spellings(r.URL.RawQuery, "client")
	switch {
	case channels[0] == "":
		httpx.Error(w, http.StatusBadRequest, "no channel given: want /drop?channel=TAG or /drop?channel=TAG&client=TAG, with the tags of /report")
	case !h.dropAny(channels, clients):
		httpx.Error(w, http.StatusNotFound, "no channel has this tag: want one exactly as /report shows it")
	case clients[0] == "":
		said(w, "the channel and all its clients are told to end")
	default:
		said(w, "the client is told to end, if it is there")
	}
}

// dropAny gives the order for the first spelling of the channel that there is. Of a client
// nobody knows here which spelling is right, and the wrong one does no harm.
func (h *handler) dropAny(channels, clients []string) bool {
	for _, channel := range channels {
		found := false
		for _, client := range clients {
			found = h.service.Drop(channel, client)
		}
		if found {
			return true
		}
	}
	return false
}

// spellings are what the value of a parameter can mean: as it stands, for a tag that was
// copied from a report (tags have percent signs of their own), and decoded, for one that a
// program has encoded. Both are the same for most; none is an empty one.
func spellings(rawQuery, key string) []string {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		if name != key {
			continue
		}
		decoded, err := url.QueryUnescape(raw)
		if err != nil || decoded == raw {
			return []string{raw}
		}
		return []string{raw, decoded}
	}
	return []string{""}
}

// reset answers /reset: all channels and clients of all engines go.
func (h *handler) reset(w http.ResponseWriter, _ *http.Request) {
	said(w, fmt.Sprintf("all channels and clients of %s are told to end", plural(h.service.Reset(), "engine")))
}
