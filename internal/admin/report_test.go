package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/report"
)

// office is a Service whose clock is real (or synctest's) and which notes its orders.
type office struct {
	status  report.Status
	asked   int
	dropped []string
	resets  int
}

func (o *office) Status(context.Context) report.Status {
	o.asked++
	st := o.status
	st.Now = time.Now()
	return st
}

func (o *office) Drop(channel, client string) bool {
	o.dropped = append(o.dropped, channel+" "+client)
	for _, e := range o.status.Engines {
		for _, ch := range e.Channels {
			if ch.Tag == channel {
				return true
			}
		}
	}
	return false
}

func (o *office) Reset() int { o.resets++; return len(o.status.Engines) }

func ask(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func on() Settings { return Settings{Cache: time.Second, Statistics: true} }

// TestAcceptance/92: both types are the same, html is web, XML is well-formed and says
// what JSON says.
func TestAcceptance(t *testing.T) {
	t.Run("92", func(t *testing.T) {
		h := Handler(&office{status: example()}, on)
		for _, same := range [][2]string{
			{"type=tps&format=html", "type=traffic&format=web"},
			{"type=tps&format=xml", "type=traffic&format=xml"},
			{"format=json", "type=tps&format=json"},
			{"", "format=html"},
		} {
			a, b := ask(h, "GET", "/report?"+same[0]), ask(h, "GET", "/report?"+same[1])
			if a.Code != 200 || !bytes.Equal(a.Body.Bytes(), b.Body.Bytes()) || a.Header().Get("Content-Type") != b.Header().Get("Content-Type") {
				t.Errorf("%q and %q differ, or are no reports: %d %d", same[0], same[1], a.Code, b.Code)
			}
		}
		var fromXML, fromJSON traffic
		if err := xml.Unmarshal(ask(h, "GET", "/report?format=xml").Body.Bytes(), &fromXML); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(ask(h, "GET", "/report?format=json").Body.Bytes(), &fromJSON); err != nil {
			t.Fatal(err)
		}
		fromXML.XMLName, fromJSON.Made = xml.Name{}, fromXML.Made // made one after the other
		for i := range fromXML.Channels {
			if fromXML.Channels[i].Clients == nil {
				fromXML.Channels[i].Clients = []trafficClient{}
			}
		}
		if diff := cmp.Diff(fromXML, fromJSON); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("93", func(t *testing.T) { // every tag that the report shows is taken by drop
		o := &office{status: example()}
		h := Handler(o, on)
		page := ask(h, "GET", "/report").Body.String()
		for _, ch := range trafficOf(o.status, true).Channels {
			if !strings.Contains(page, "<code>"+ch.Tag+"</code>") {
				t.Errorf("the page does not show %s", ch.Tag)
			}
			if w := ask(h, "GET", "/drop?channel="+url.QueryEscape(ch.Tag)); w.Code != 200 {
				t.Errorf("drop of %s: %d", ch.Tag, w.Code)
			}
			for _, cl := range ch.Clients {
				if !strings.Contains(page, "<code>"+cl.Tag+"</code>") {
					t.Errorf("the page does not show %s", cl.Tag)
				}
			}
		}
	})
	t.Run("95", func(t *testing.T) { // again within the time it is the same to the byte
		synctest.Test(t, func(t *testing.T) {
			o := &office{status: example()}
			h := Handler(o, on)
			first := ask(h, "GET", "/report?format=xml").Body.String()
			time.Sleep(999 * time.Millisecond)
			if again := ask(h, "GET", "/report?format=xml").Body.String(); again != first || o.asked != 1 {
				t.Errorf("asked %d times, want once", o.asked)
			}
			fresh := ask(h, "GET", "/report?format=xml&cached=0").Body.String()
			if fresh == first || o.asked != 2 {
				t.Error("cached=0 got the old one")
			}
			time.Sleep(999 * time.Millisecond)
			if again := ask(h, "GET", "/report?format=xml").Body.String(); again != fresh {
				t.Error("the fresh one is not kept")
			}
			time.Sleep(time.Millisecond)
			if later := ask(h, "GET", "/report?format=xml").Body.String(); later == fresh {
				t.Error("an old one is given after its time")
			}
		})
	})
	t.Run("96", func(t *testing.T) { // switched off: it says so, and has the tags
		h := Handler(&office{status: example()}, func() Settings { return Settings{} })
		for _, format := range []string{"html", "xml", "json"} {
			w := ask(h, "GET", "/report?format="+format)
			body := w.Body.String()
			if w.Code != 200 || strings.Contains(body, "rate_bps") || strings.Contains(body, "bit/s") {
				t.Errorf("%s: %d, or numbers in it", format, w.Code)
			}
			if want := map[string]string{"html": "switched off", "xml": `statistics="false"`, "json": `"statistics": false`}[format]; !strings.Contains(body, want) {
				t.Errorf("%s does not say %q", format, want)
			}
		}
	})
	t.Run("94", func(t *testing.T) { // a tag as it is shown, and as programs encode it
		const tag, client = "FILE:///srv/a%20b+c~1", "FILE:///srv/x%26y"
		st := example()
		st.Engines[0].Channels[0].Tag = tag
		for _, target := range []string{
			"channel=" + tag + "&client=" + client,
			"channel=" + url.QueryEscape(tag) + "&client=" + url.QueryEscape(client),
			"client=" + client + "&channel=" + url.QueryEscape(tag),
		} {
			o := &office{status: st}
			w := ask(Handler(o, on), "GET", "/drop?"+target)
			if w.Code != 200 || !slices.Contains(o.dropped, tag+" "+client) {
				t.Errorf("%s: %d, orders %q", target, w.Code, o.dropped)
			}
		}
	})
	t.Run("102", func(t *testing.T) {
		o := &office{status: example()}
		h := Handler(o, on)
		if w := ask(h, "GET", "/drop?channel=UDP://239.9.9.9:9"); w.Code != 404 || !strings.Contains(w.Body.String(), "/report") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := ask(h, "GET", "/drop?client=TCP://10.0.0.1:1"); w.Code != 400 || len(o.dropped) != 1 {
			t.Errorf("without a channel: %d, orders %q", w.Code, o.dropped)
		}
	})
}

// TestReportWords: what is asked for in words that mean nothing is refused.
func TestReportWords(t *testing.T) {
	h := Handler(&office{status: example()}, on)
	for _, query := range []string{"format=pdf", "type=money", "cached=maybe", "format=html%00"} {
		if w := ask(h, "GET", "/report?"+query); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}

// TestHostileTags: nothing in a tag breaks out of the page or of the XML.
func TestHostileTags(t *testing.T) {
	st := example()
	st.Engines[0].Channels[0].Tag = `FILE:///"><script>alert(1)</script>&]]>`
	h := Handler(&office{status: st}, on)
	if body := ask(h, "GET", "/report").Body.String(); strings.Contains(body, "<script>alert") {
		t.Error("a script in the page")
	}
	d := xml.NewDecoder(ask(h, "GET", "/report?format=xml").Body)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOrders: pages of other sites give none, nor does a look at the headers.
func TestOrders(t *testing.T) {
	for _, c := range []struct {
		method, site string
		want         int
	}{
		{"GET", "", 200},
		{"POST", "", 200},
		{"GET", "none", 200},
		{"GET", "same-origin", 200},
		{"GET", "cross-site", 403},
		{"POST", "same-site", 403},
		{"HEAD", "", 405},
		{"DELETE", "", 405},
	} {
		o := &office{status: example()}
		h := Handler(o, on)
		w := ask(h, c.method, "/reset", "Sec-Fetch-Site", c.site)
		if w.Code != c.want || (o.resets == 1) != (c.want == 200) {
			t.Errorf("%s from %q: %d and %d resets, want %d", c.method, c.site, w.Code, o.resets, c.want)
		}
	}
}
