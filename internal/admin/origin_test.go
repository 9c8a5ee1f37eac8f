package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// originService is an origin that is always the same.
type originService struct{ report.Origin }

func (s originService) Status() report.Origin {
	st := s.Origin
	st.Statuses = maps.Clone(st.Statuses)
	return st
}

// serveOrigin runs the admin port of an origin until the test ends.
func serveOrigin(t *testing.T, st report.Origin) string {
	t.Helper()
	testkit.NoLeaks(t)
	return serveHandler(t, Origin(originService{st}), "127.0.0.1:0")
}

// originExample is an origin to which everything happens.
func originExample() report.Origin {
	now := start.Add(49 * time.Hour)
	return report.Origin{
		Build: "1.0.0", PID: 2101, Started: start, Now: now, Connections: 41, Requests: 1_234_567, Active: 12, Waiting: 5, Refused: 7, Aborted: 1,
		Statuses: map[string]uint64{"1xx": 3, "2xx": 1_200_000, "3xx": 20_000, "4xx": 14_000, "5xx": 555}, Sent: 5 << 40, Received: 7 << 30,
		Mounts: []report.OriginMount{
			{Name: "/vod", Path: "/srv/vod"},
			{Name: "/live", Path: "gmem", Objects: 30, Bytes: 90 << 20},
			{Name: "/", Path: "gmem", Writable: true, Objects: 30, Bytes: 90 << 20},
			{Name: "/in", Path: "/srv/in", Writable: true, Objects: 2, Bytes: 1 << 20},
		},
		Growing: 2, Objects: []report.OriginObject{
			{Path: "/live/seg-7.m4s", Size: 1 << 20, Since: now.Add(-3 * time.Second), Readers: 1000},
			{Path: "/live/live.mpd", Size: 512, Since: now, Hidden: true},
		},
		Sinks:   []report.OriginSink{{Path: "/live.ts", Channel: "udp://239.1.1.1:5000", Clients: 17}, {Path: "/radio.mp3", Channel: "$radio"}},
		Uploads: 1, Channels: []report.OriginChannel{{Name: "ingest/cam.ts", Type: "video/mp2t", Since: now.Add(-2 * time.Hour), Received: 3 << 30, Watchers: 1}},
		Pushes: []report.OriginPush{
			{Name: "cdn", To: "https://a.example/live/", Objects: 4000, Bytes: 8 << 30},
			{Name: "cdn", To: "https://b.example/live/", Objects: 3990, Bytes: 8 << 30, Failed: 2, Retries: 31, Queue: 10, Error: "the server answered 503"},
			{Name: "mirror", To: "http://c.example/", Objects: 5, Queue: 1}, // as one user
			{Name: "mirror", To: "http://c.example/", Objects: 6, Queue: 2}, // and as another
		},
	}
}

func TestOriginPage(t *testing.T) {
	r, body := get(t, serveOrigin(t, originExample())+"/status", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	seen := text(body)
	for _, want := range []string{
		"sluice origin 1.0.0 process 2101 up 2 d 1 h JSON metrics Connections 41 Requests 1 234 567 To clients 5.00 TiB From clients 7.00 GiB",
		"Now 12 requests being answered, 5 of them held until something is there",
		"Answers 1 200 000 2xx 20 000 3xx 14 000 4xx 555 5xx Failures 7 refused connections 1 aborted upload",
		"/vod /srv/vod none 0 0 B",
		"/live gmem none 30 90.0 MiB / gmem taken 30 90.0 MiB /in /srv/in taken 2 being written 1.00 MiB",
		"/live/seg-7.m4s 3 s 1.00 MiB 1000 /live/live.mpd 0 s 512 B unseen",
		"/live.ts udp://239.1.1.1:5000 17 /radio.mp3 $radio 0",
		"upload:///ingest/cam.ts video/mp2t 2 h 0 min 3.00 GiB 1",
		"cdn https://a.example/live/ well 0 4 000 8.00 GiB 0 0",
		"cdn https://b.example/live/ the server answered 503 fails 10 3 990 8.00 GiB 31 2",
	} {
		if !strings.Contains(seen, want) {
			t.Errorf("not on the page: %q", want)
		}
	}
	if t.Failed() {
		t.Log(seen)
	}
	if strings.Contains(seen, "younger") || strings.Contains(seen, "This origin ends") {
		t.Error("more is told than there is")
	}
	if m := regexp.MustCompile(`(src|href)="(/|https?:)[^"]*"`).FindString(body); m != "" {
		t.Errorf("%s is not relative", m)
	}
	policy := r.Header.Get("Content-Security-Policy")
	for _, tag := range []string{"style", "script"} {
		parts := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
		if len(parts) != 1 || !strings.Contains(policy, tag+"-src '"+hash(parts[0][1])+"'") {
			t.Errorf("%d times <%s>, or not the one of %s", len(parts), tag, policy)
		}
	}
}

// What an origin does not have is not on its page.
func TestOriginPageOfLittle(t *testing.T) {
	for _, c := range []struct {
		st       report.Origin
		has, not []string
	}{
		{report.Origin{}, []string{"0 connections", "0 requests being answered"}, []string{"held", "Answers", "Failures", "<section>", "ends"}},
		{report.Origin{Mounts: []report.OriginMount{{Name: "/", Path: "/srv"}}}, []string{"Nothing grows."}, []string{"Sinks", "Pushes", "channels"}},
		{report.Origin{Connections: 1, Active: 1, Draining: true}, []string{"1 connection<", "1 request being", "This origin ends"}, []string{"held"}},
	} {
		_, body := get(t, serveOrigin(t, c.st)+"/status?format=html", "")
		page, _, _ := strings.Cut(body, "<script>")
		for _, want := range c.has {
			if !strings.Contains(page, want) {
				t.Errorf("%+v: no %q", c.st, want)
			}
		}
		_, page, _ = strings.Cut(page, "<main>")
		for _, want := range c.not {
			if strings.Contains(page, want) {
				t.Errorf("%+v: %q", c.st, want)
			}
		}
	}
}

func TestOriginPageOfMany(t *testing.T) {
	for _, c := range []struct {
		all, listed int
		want        string
	}{
		{101, 101, "and 1 younger ones: JSON has them all"},
		{5000, 1000, "and 4900 younger ones: JSON has the oldest 1000"},
	} {
		st := originExample()
		st.Growing, st.Objects = c.all, make([]report.OriginObject, c.listed)
		st.Uploads, st.Channels = c.all, make([]report.OriginChannel, c.listed)
		_, body := get(t, serveOrigin(t, st)+"/status", "*/*")
		if seen := text(body); strings.Count(seen, c.want) != 2 {
			t.Errorf("no %q twice in %q", c.want, seen)
		}
		if grow, channels := strings.Count(body, `data-name="readers"`), strings.Count(body, `data-name="engines"`); grow != maxShown || channels != maxShown {
			t.Errorf("%d and %d shown", grow, channels)
		}
	}
}

// Words of clients, servers and files are shown, never obeyed.
func TestOriginPageHostileWords(t *testing.T) {
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(1)>'{{.}}` + "\x00\xff"
	st := originExample()
	st.Build, st.Statuses = bad, map[string]uint64{bad: 1}
	st.Mounts[0].Name, st.Mounts[0].Path, st.Objects[0].Path = bad, bad, bad
	st.Sinks[0].Path, st.Sinks[0].Channel, st.Channels[0].Name, st.Channels[0].Type = bad, bad, bad, bad
	p := &st.Pushes[0]
	p.Name, p.To, p.Error = bad, bad, bad
	_, body := get(t, serveOrigin(t, st)+"/status", "*/*")
	if n := strings.Count(body, "<script>"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if strings.Contains(body, "<img") || strings.Contains(body, `"><`+"script") {
		t.Error("a tag came through")
	}
	if n := strings.Count(body, "&lt;script&gt;alert(1)"); n != 11 {
		t.Errorf("shown %d times", n)
	}
}

func TestOriginJSON(t *testing.T) {
	st := originExample()
	at := serveOrigin(t, st)
	for _, c := range []struct{ query, accept string }{{"", "application/json"}, {"?format=json", "text/html"}, {"?format=json", ""}} {
		r, body := get(t, at+"/status"+c.query, c.accept)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Vary") != "Accept" {
			t.Fatalf("%v: %d %v", c, r.StatusCode, r.Header)
		}
		var got report.Origin
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(st, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c, diff)
		}
	}
}

func TestOriginPaths(t *testing.T) {
	at := serveOrigin(t, originExample())
	for _, c := range []struct {
		method, path string
		status       int
		body         string // part of it
	}{
		{"GET", "/", 302, ""},
		{"GET", "/ping", 200, "pong\n"},
		{"HEAD", "/status", 200, ""},
		{"GET", "/status?format=xml", 400, "format=json"},
		{"POST", "/status", 405, "want GET, HEAD"},
		{"POST", "/metrics", 405, "want GET, HEAD"},
		{"GET", "/kill", 404, "want /status, /metrics or /ping"},
		{"GET", "/status/", 404, ""},
	} {
		r, err := http.NewRequest(c.method, at+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, body := do(t, r)
		if answer.StatusCode != c.status || !strings.Contains(body, c.body) || c.status == 302 && answer.Header.Get("Location") != "status" {
			t.Errorf("%s %s: %d %v %q", c.method, c.path, answer.StatusCode, answer.Header, body)
		}
	}
}

func TestOriginMetrics(t *testing.T) {
	got, families := scrape(t, serveOrigin(t, originExample()))
	want := map[string]float64{
		`info{version="1.0.0"}`: 1, `draining`: 0, `connections`: 41, `connections_refused_total`: 7,
		`requests_active`: 12, `requests_waiting`: 5, `sent_bytes_total`: 5 << 40, `received_bytes_total`: 7 << 30,
		`growing`: 2, `uploads_aborted_total`: 1, `channel_uploads`: 1,
		`store_objects{path="/srv/vod"}`: 0, `store_objects{path="gmem"}`: 30, `store_bytes{path="/srv/vod"}`: 0, `store_bytes{path="gmem"}`: 90 << 20,
		`store_objects{path="/srv/in"}`: 2, `store_bytes{path="/srv/in"}`: 1 << 20,
		`sink_clients{sink="/live.ts"}`: 17, `sink_clients{sink="/radio.mp3"}`: 0,
	}
	for class, n := range map[string]float64{"1xx": 3, "2xx": 1_200_000, "3xx": 20_000, "4xx": 14_000, "5xx": 555} {
		want[fmt.Sprintf("requests_total{status_class=%q}", class)] = n
	}
	for name, n := range map[string][3]float64{
		"failing": {0, 1, 0}, "objects_total": {4000, 3990, 11}, "sent_bytes_total": {8 << 30, 8 << 30, 0}, "failed_total": {0, 2, 0}, "retries_total": {0, 31, 0}, "queue": {0, 10, 3},
	} {
		want["push_"+name+`{push="cdn",to="https://a.example/live/"}`] = n[0]
		want["push_"+name+`{push="cdn",to="https://b.example/live/"}`] = n[1]
		want["push_"+name+`{push="mirror",to="http://c.example/"}`] = n[2]
	}
	is := make(map[string]float64)
	for name, n := range got {
		is[strings.TrimPrefix(name, "sluice_origin_")] = n
	}
	if diff := cmp.Diff(want, is); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if !slices.Contains(families, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

// What has not happened yet is zero, so that rates can be made from the first time on.
func TestOriginMetricsOfNothing(t *testing.T) {
	got, _ := scrape(t, serveOrigin(t, report.Origin{}))
	for _, name := range []string{`requests_total{status_class="2xx"}`, `requests_total{status_class="5xx"}`, "sent_bytes_total", "growing"} {
		if n, ok := got["sluice_origin_"+name]; !ok || n != 0 {
			t.Errorf("%s is %v (there: %v)", name, n, ok)
		}
	}
}

// Every metric is there, the manual has it, and its name is one that Prometheus' own linter likes.
func TestOriginMetricsAreWhole(t *testing.T) {
	manual, err := os.ReadFile("../../docs/origin-admin.md")
	if err != nil {
		t.Fatal(err)
	}
	at := serveOrigin(t, originExample())
	_, families := scrape(t, at)
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(sluice_origin_[a-z_]+)").FindAllSubmatch(manual, -1) {
		told = append(told, string(row[1]))
	}
	slices.Sort(told)
	ours := slices.DeleteFunc(families, func(name string) bool { return !strings.HasPrefix(name, "sluice_origin_") })
	if !slices.Equal(told, ours) || len(ours) != len(originFamilies()) {
		t.Errorf("docs/origin-admin.md has\n%q\nthere are\n%q, want %d", told, ours, len(originFamilies()))
	}
	_, body := get(t, at+"/metrics", "")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Names may be anything, the metrics can be read.
func TestOriginMetricsOddNames(t *testing.T) {
	st := report.Origin{
		Build:  "\"}\n\\",
		Mounts: []report.OriginMount{{Path: "/a\xffb"}},
		Sinks:  []report.OriginSink{{Path: "/grün {x}", Clients: 1}, {Path: "/\xfe", Clients: 2}, {Path: "/\xff", Clients: 3}},
		Pushes: []report.OriginPush{{Name: "", To: "http://h/\x01\"\n"}},
	}
	got, _ := scrape(t, serveOrigin(t, st))
	for name, want := range map[string]float64{
		`info{version="\"}\n\\"}`: 1, "store_objects{path=\"/a\uFFFDb\"}": 0, `sink_clients{sink="/grün {x}"}`: 1, "sink_clients{sink=\"/\uFFFD\"}": 5,
		"push_failing{push=\"\",to=\"http://h/\x01\\\"\\n\"}": 0,
	} {
		if is, ok := got["sluice_origin_"+name]; !ok || is != want {
			t.Errorf("%s is %v (there: %v) in %v", name, is, ok, got)
		}
	}
}
