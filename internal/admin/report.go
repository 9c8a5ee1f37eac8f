package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/report"
)

// traffic is the report of /report: who gets what, with the tags that /drop takes. The
// names of its fields are public, in XML and in JSON.
type traffic struct {
	XMLName    xml.Name  `xml:"report" json:"-"`
	Name       string    `xml:"name,attr" json:"name"`
	Version    string    `xml:"version,attr" json:"version"`
	Made       time.Time `xml:"made,attr" json:"made"`
	Statistics bool      `xml:"statistics,attr" json:"statistics"` // false: no traffic is told, every number of it is left out

	Channels []trafficChannel `xml:"channel" json:"channels"`
}

type trafficChannel struct {
	Tag      string          `xml:"tag,attr" json:"tag"`
	Name     string          `xml:"name,attr,omitempty" json:"name,omitempty"`
	State    string          `xml:"state,attr" json:"state"`
	Engine   string          `xml:"engine,attr" json:"engine"`
	Since    time.Time       `xml:"since,attr" json:"since"`
	Received *flow           `xml:"received" json:"received,omitempty"`
	Sent     *flow           `xml:"sent" json:"sent,omitempty"`
	Clients  []trafficClient `xml:"client" json:"clients"`
}

type trafficClient struct {
	Tag   string    `xml:"tag,attr" json:"tag"`
	Addr  string    `xml:"addr,attr,omitempty" json:"addr,omitempty"` // who asked
	Since time.Time `xml:"since,attr" json:"since"`
	Sent  *flow     `xml:"sent" json:"sent,omitempty"`
}

// flow is what has passed.
type flow struct {
	Bytes uint64 `xml:"bytes,attr" json:"bytes"`
	Rate  uint64 `xml:"rate_bps,attr" json:"rate_bps"` // bits a second, over the last second
}

// trafficOf makes the report of a status.
func trafficOf(st report.Status, statistics bool) traffic {
	t := traffic{Name: st.Name, Version: st.Version, Made: st.Now, Statistics: statistics, Channels: []trafficChannel{}}
	counted := func(bytes, rate uint64) *flow {
		if !statistics {
			return nil
		}
		return &flow{bytes, rate}
	}
	for _, e := range ordered(st).Engines {
		for _, ch := range e.Channels {
			row := trafficChannel{
				Tag: ch.Tag, Name: ch.Name, State: ch.State, Engine: e.ID, Since: ch.Since,
				Received: counted(ch.Bytes, ch.Rate), Clients: []trafficClient{},
			}
			var sent flow
			for _, cl := range ch.Clients {
				row.Clients = append(row.Clients, trafficClient{Tag: cl.Tag, Addr: cl.Addr, Since: cl.Since, Sent: counted(cl.Bytes, cl.Rate)})
				sent.Bytes += cl.Bytes
				sent.Rate += cl.Rate
			}
			row.Sent = counted(sent.Bytes, sent.Rate)
			t.Channels = append(t.Channels, row)
		}
	}
	slices.SortStableFunc(t.Channels, func(a, b trafficChannel) int { return cmp.Compare(a.Tag, b.Tag) })
	return t
}

// form is one of the formats of a report.
type form struct {
	contentType string
	write       func(*page, io.Writer, traffic) error
}

func (h *handler) forms() map[string]form {
	web := form{"text/html; charset=utf-8", (*page).writeTraffic}
	return map[string]form{
		"": web, "html": web, "web": web,
		"xml":  {"application/xml; charset=utf-8", func(_ *page, w io.Writer, t traffic) error { return writeXML(w, t) }},
		"json": {"application/json", func(_ *page, w io.Writer, t traffic) error { return writeIndented(w, t) }},
	}
}

// cache keeps the reports that were made last, by their content type.
type cache struct {
	mu   sync.Mutex // guards kept; held while a report is made, so that the same is not made twice at once
	kept map[string]cached
}

type cached struct {
	made time.Time
	body []byte
}

// report answers /report?type={traffic|tps}&format={html|web|xml|json}&cached={0|1}.
func (h *handler) report(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	f, known := h.forms()[query.Get("format")]
	kind, again := query.Get("type"), query.Get("cached")
	switch {
	case !known:
		httpx.Error(w, http.StatusBadRequest, "no such format: want format=html, web, xml or json")
	case kind != "" && kind != "tps" && kind != "traffic":
		httpx.Error(w, http.StatusBadRequest, "no such report: want type=traffic or tps, which are the same")
	case again != "" && again != "0" && again != "1":
		httpx.Error(w, http.StatusBadRequest, "want cached=0 for a fresh report, or cached=1")
	default:
		body, err := h.made(r, f, again != "0")
		if err != nil {
			httpx.Error(w, http.StatusInternalServerError, "the report cannot be shown: "+err.Error())
			return
		}
		w.Header().Set("Content-Type", f.contentType)
		w.Header().Set("Content-Security-Policy", h.page.policy)
		w.Write(body)
	}
}

// made is a report of form f: the last one, if old will do and it is young enough.
func (h *handler) made(r *http.Request, f form, old bool) ([]byte, error) {
	settings := h.settings()
	h.cache.mu.Lock()
	defer h.cache.mu.Unlock()
	if kept, ok := h.cache.kept[f.contentType]; ok && old && time.Since(kept.made) < settings.Cache {
		return kept.body, nil
	}
	var b bytes.Buffer
	if err := f.write(h.page, &b, trafficOf(h.service.Status(context.WithoutCancel(r.Context())), settings.Statistics)); err != nil {
		return nil, err
	}
	h.cache.kept[f.contentType] = cached{time.Now(), b.Bytes()}
	return b.Bytes(), nil
}

func writeXML(w io.Writer, t traffic) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(t); err != nil {
		return fmt.Errorf("write XML: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func writeIndented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
