//go:build e2e

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/report"
)

func testStatus(t *testing.T) {
	p := run(t, settings{engines: 2})
	group := newGroup()
	send(t, h264, "rtp", group)
	v := watch(t, p.url("/udp/"+group+"?token=secret"))
	v.more(100_000)

	if a := request(t, "GET", "http://"+p.admin+"/ping"); a.code != 200 || a.body != "pong\n" {
		t.Errorf("/ping: %d %q", a.code, a.body)
	}
	if a := request(t, "GET", "http://"+p.admin+"/udp/"+group); a.code != 404 {
		t.Errorf("a stream on the admin port: %d, want 404", a.code)
	}
	checkStatus(t, p.status(), group)

	for _, c := range []struct{ accept, query, want string }{
		{"text/html,application/xhtml+xml,*/*;q=0.8", "", "text/html"},
		{"application/json", "", "application/json"},
		{"text/html", "?format=json", "application/json"},
		{"application/json", "?format=html", "text/html"},
	} {
		typ, body := fetch(t, "http://"+p.admin+"/status"+c.query, c.accept)
		if !strings.HasPrefix(typ, c.want) || !strings.Contains(body, group) {
			t.Errorf("Accept %q %s: %s, channel named %v; want %s", c.accept, c.query, typ, strings.Contains(body, group), c.want)
		}
		if c.want == "application/json" && !json.Valid([]byte(body)) {
			t.Errorf("not JSON: %.200s", body)
		}
		if strings.Contains(body, "secret") {
			t.Error("the status shows a client's query")
		}
	}
	if strings.Contains(p.proc.Output(), "secret") {
		t.Error("the log shows a client's query")
	}
}

// checkStatus reads what the status says of the one channel with its one client.
func checkStatus(t *testing.T, st report.Status, group string) {
	t.Helper()
	if st.Name != "sluice" || st.Version == "" || len(st.Engines) != 2 || st.Totals.Channels != 1 || st.Totals.Clients != 1 {
		t.Errorf("status %+v", st)
	}
	c, _, err := channel(st, group)
	if err != nil {
		t.Fatal(err)
	}
	if c.Tag != "UDP://"+group || c.State != "live" || c.Format != "ts" || !c.Sources[0].RTP || c.Bytes == 0 {
		t.Errorf("channel %+v", c)
	}
	if c.Sources[0].Continuity != 0 || c.Sources[0].Legs[0].KernelLost != 0 || c.Sources[0].RTPLost != 0 {
		t.Errorf("source %+v of a channel without faults", c.Sources[0])
	}
	if len(c.Streams) != 2 || c.Streams[0].Codec != "h264" || c.Streams[1].Codec != "aac" {
		t.Errorf("streams %+v", c.Streams)
	}
	if len(c.Clients) != 1 || !strings.HasPrefix(c.Clients[0].Tag, "TCP://127.0.0.1:") || c.Clients[0].Bytes == 0 {
		t.Errorf("clients %+v", c.Clients)
	}
}

func fetch(t *testing.T, url, accept string) (contentType, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Get("Content-Type"), string(b)
}
