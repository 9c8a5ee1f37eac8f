package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/httpx"
	"sluice/internal/report"
)

type service report.Status

func (s service) Status(context.Context) report.Status { return report.Status(s) }
func (s service) Drop(string, string) bool             { return false }
func (s service) Reset() int                           { return len(s.Engines) }

func noSettings() Settings { return Settings{} }

// serve runs the admin port on loopback until the test ends.
func serve(t *testing.T, st report.Status, addr string) string {
	t.Helper()
	return serveHandler(t, Handler(service(st), noSettings), addr)
}

// serveHandler runs an admin port until the test ends.
func serveHandler(t *testing.T, h http.Handler, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := httpx.NewServer(h, httpx.Options{}, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return "http://" + l.Addr().String()
}

func get(t *testing.T, url, accept string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	return do(t, r)
}

func do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// example is an evening of a small operator, on which everything happens.
func example() report.Status {
	now := start.Add(26*time.Hour + 3*time.Minute)
	client := func(id uint64, addr string, watched time.Duration, lag, skips uint64) report.Client {
		seconds := uint64(watched / time.Second)
		return report.Client{
			ID: id, Tag: "TCP://" + addr, Addr: addr, Since: now.Add(-watched), Bytes: seconds * 1_000_000, Rate: 8_030_000,
			Lag: lag, Skips: skips, Skipped: skips * 5 << 20,
		}
	}
	source := func(tag, state string, datagrams uint64) report.Source {
		return report.Source{Tag: tag, State: state, Legs: []report.Leg{{Tag: tag, Datagrams: datagrams}}}
	}
	sports := report.Channel{
		Name: "sports", Tag: "UDP://239.1.1.1:5000|UDP://239.2.1.1:5000", State: "live", Pinned: true, Format: "ts", Since: now.Add(-2 * time.Hour),
		Bytes: 7_220_000_000, Rate: 8_040_000, History: 10_050_000,
		Sources: []report.Source{
			{
				Tag: "UDP://239.1.1.1:5000|UDP://239.2.1.1:5000", State: "on air", RTP: true, RTPLost: 12, Reordered: 5, Late: 2, Duplicates: 7, Continuity: 31,
				Legs: []report.Leg{
					{Tag: "UDP://239.1.1.1:5000", Datagrams: 5_480_000, Lost: 1402},
					{Tag: "UDP://239.2.1.1:5000", Datagrams: 911_000, Dropped: "its packets differ from those of the other leg"},
				},
			},
			source("UDP://239.3.1.1:5000", "standby", 0),
		},
		Health:  &report.Health{Continuity: 31, PCRJump: 1},
		Streams: []report.Stream{{Program: 1, PID: 256, Codec: "h264"}, {Program: 1, PID: 257, Codec: "aac"}, {Program: 1, PID: 258, Codec: "ac3"}},
		Clients: []report.Client{
			client(3, "192.168.10.23:40112", 12*time.Second, 20_000, 0),
			client(1, "192.168.10.15:50905", 2*time.Hour, 48_000, 0),
			client(2, "[fd12:3456:789a::1c4e]:61002", 41*time.Minute, 9_300_000, 2),
		},
	}
	news := report.Channel{
		Tag: "UDP://10.0.0.7@232.7.7.7:5000", State: "live", Format: "ts", Since: now.Add(-9 * time.Minute), Bytes: 2_100_000_000, Rate: 15_200_000,
		History: 19_000_000, Sources: []report.Source{source("UDP://10.0.0.7@232.7.7.7:5000", "on air", 1_500_000)}, Health: &report.Health{},
		Streams: []report.Stream{{Program: 7, PID: 512, Codec: "h265"}, {Program: 7, PID: 513, Codec: "type 0x06"}},
		Clients: []report.Client{client(9, "192.168.10.40:33218", 9*time.Minute, 64_000, 0)},
	}
	regional := report.Channel{
		Name: "regional", Tag: "UDP://239.4.1.1:5000", State: "backup", Format: "ts", Since: now.Add(-3 * time.Hour), Bytes: 5_100_000_000, Rate: 4_020_000,
		History: 5_000_000, Sources: []report.Source{
			source("UDP://239.4.1.1:5000", "trial", 220), source("UDP://239.4.1.2:5000", "failed", 0), source("UDP://239.4.1.3:5000", "on air", 312_000),
		},
		Streams: []report.Stream{{Program: 1, PID: 256, Codec: "mpeg2video"}},
		Clients: []report.Client{client(14, "192.168.10.90:33218", 19*time.Minute, 64_000, 0)},
	}
	regional.Sources[0].Continuity = 4
	regional.Sources[0].Legs = append(regional.Sources[0].Legs, report.Leg{Tag: "UDP://239.4.2.1:5000"})
	regional.Sources[1].Error = "join 239.4.1.2 on eth1: no such device"
	regional.Sources[2].Continuity, regional.Sources[2].Legs[0].KernelLost = 9, 77
	radio := report.Channel{
		Tag: "UDP://[ff15::8]:6000", State: "lingering", Format: "ts", Since: now.Add(-30 * time.Minute), Bytes: 28_000_000, Rate: 131_000,
		History: 163_000, Sources: []report.Source{source("UDP://[ff15::8]:6000", "on air", 21_000)},
		Streams: []report.Stream{{Program: 1, PID: 100, Codec: "mp2"}},
	}
	gone := report.Channel{
		Tag: "UDP://239.8.8.8:1234", State: "silent", Format: "ts", Since: now.Add(-time.Hour), Bytes: 700_000_000, History: 9_000_000,
		Sources: []report.Source{source("UDP://239.8.8.8:1234", "on air", 521_000)}, Health: &report.Health{SyncLoss: 1, PAT: 2, PMT: 2},
		Clients: []report.Client{client(21, "192.168.10.78:51000", time.Minute, 0, 0)},
	}
	ending := report.Channel{Tag: "UDP://239.8.8.9:1234", State: "closed", Format: "raw", Since: now.Add(-time.Hour), Bytes: 700_000, History: 900_000}
	joining := report.Channel{
		Tag: "UDP://239.9.9.9:1234", State: "joining", Since: now.Add(-time.Second), Sources: []report.Source{source("UDP://239.9.9.9:1234", "trial", 0)},
		Health:  &report.Health{},
		Clients: []report.Client{client(11, "192.168.10.77:51000", time.Second, 0, 0)},
	}
	joining.Clients[0].Bytes, joining.Clients[0].Rate = 0, 0
	return report.Status{
		Name: "sluice", Version: "1.0.0", PID: 2101, Started: start, Now: now,
		Engines: []report.Engine{
			{ID: "1", PID: 2103, Version: "1.0.0", Started: start, Channels: []report.Channel{sports, radio, regional}},
			{ID: "2", PID: 2188, Version: "1.0.0", Started: now.Add(-11 * time.Minute), Channels: []report.Channel{news, joining, gone, ending}},
			{ID: "3", PID: 2105, Version: "0.9.9", Started: start, Error: "did not answer in time"},
		},
		Totals: report.Totals{Channels: 7, Clients: 7, RateIn: 23_371_000, RateOut: 32_120_000, Refused: report.Refused{Egress: 17, PerAddress: 1, ChannelClients: 4}},
	}
}

// text is what a reader of a page sees of it, tags and the head gone.
func text(page string) string {
	_, body, _ := strings.Cut(page, "<body>")
	body, _, _ = strings.Cut(body, "<script>")
	body = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
	return strings.Join(strings.Fields(strings.ReplaceAll(body, "\u202f", " ")), " ")
}

func TestIssue1StatusPage(t *testing.T) {
	url := serve(t, example(), "127.0.0.1:0")
	r, body := get(t, url+"/status", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	seen := text(body)
	for _, want := range []string{
		"sluice 1.0.0 process 2101 up 1 d 2 h", "Channels 7 Clients 7 In 23.4 Mbit/s Out 32.1 Mbit/s Refused by 1 limits.per_address 17 limits.egress 4 max_clients Engine 1",
		"Engine 1 3 channels process 2103",
		"sports live pinned 8.04 Mbit/s ts open 2 h 0 min 6.72 GiB received 9.58 MiB held h264 256 aac 257 ac3 258",
		"on air UDP://239.1.1.1:5000|UDP://239.2.1.1:5000 RTP 6 391 000 datagrams 12 lost in RTP 2 late 5 reordered 7 repeated " +
			"UDP://239.1.1.1:5000 5 480 000 datagrams 1 402 missing " +
			"UDP://239.2.1.1:5000 911 000 datagrams dropped: its packets differ from those of the other leg " +
			"standby UDP://239.3.1.1:5000 not received Health 31 continuity errors 1 PCR jump",
		"3 clients for sent rate behind skips 192.168.10.15:50905 2 h 0 min 6.71 GiB 8.03 Mbit/s 46.9 KiB, 0.05 s 0 [fd12:3456:789a::1c4e]:61002",
		"8.87 MiB, 9.3 s 2",
		"on air UDP://10.0.0.7@232.7.7.7:5000 1 500 000 datagrams Health no faults",
		"regional backup the first source does not deliver 4.02 Mbit/s",
		"trial UDP://239.4.1.1:5000 received, not sent 220 datagrams 4 continuity errors " +
			"UDP://239.4.1.1:5000 220 datagrams UDP://239.4.2.1:5000 0 datagrams nothing has come on this leg " +
			"failed UDP://239.4.1.2:5000 join 239.4.1.2 on eth1: no such device " +
			"on air UDP://239.4.1.3:5000 312 000 datagrams 9 continuity errors 77 lost by the kernel 1 client",
		"UDP://[ff15::8]:6000 lingering nobody watches any more 131 kbit/s", "No client.",
		"UDP://239.8.8.8:1234 silent nothing comes 0 bit/s", "Health 1 sync loss 2 PAT errors 2 PMT errors",
		"UDP://239.9.9.9:1234 joining nothing has come yet 0 bit/s",
		"trial UDP://239.9.9.9:1234 received, not sent 1 client", "UDP://239.8.8.9:1234 closed clients get what is left 0 bit/s raw",
		"51000 1 min 0 s 57.2 MiB 8.03 Mbit/s 0 B 0", // no time without a rate
		"This engine did not answer in time. What is shown is what it last told. No channel runs here.",
	} {
		if !strings.Contains(seen, want) {
			t.Errorf("not on the page: %q", want)
		}
	}
	if t.Failed() {
		t.Log(seen)
	}
	if m := regexp.MustCompile(`(src|href)="(/|https?:)[^"]*"`).FindString(body); m != "" {
		t.Errorf("%s is not relative", m)
	}
}

// Style and script pass the page's own policy, and nothing else does.
func TestPolicy(t *testing.T) {
	url := serve(t, example(), "127.0.0.1:0")
	r, body := get(t, url+"/status", "*/*")
	policy := r.Header.Get("Content-Security-Policy")
	for _, tag := range []string{"style", "script"} {
		parts := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
		if len(parts) != 1 || !strings.Contains(policy, tag+"-src '"+hash(parts[0][1])+"'") {
			t.Errorf("%d times <%s>, or not the one of %s", len(parts), tag, policy)
		}
	}
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(body, "style=") {
		t.Errorf("policy %s", policy)
	}
}

func TestIssue1StatusJSON(t *testing.T) {
	st := example()
	url := serve(t, st, "127.0.0.1:0")
	for _, c := range []struct{ query, accept string }{{"", "application/json"}, {"?format=json", "text/html"}, {"?format=json", ""}} {
		r, body := get(t, url+"/status"+c.query, c.accept)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Vary") != "Accept" {
			t.Fatalf("%v: %d %v", c, r.StatusCode, r.Header)
		}
		var got report.Status
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ordered(st), got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c, diff)
		}
		if first := got.Engines[0].Channels[2].Clients[0].Addr; first != "192.168.10.15:50905" {
			t.Errorf("%v: the first client of sports is %s", c, first)
		}
		if strings.Contains(body, "null") {
			t.Error("a list is null")
		}
	}
	if first := st.Engines[0].Channels[0].Clients[0].ID; first != 3 {
		t.Error("the service's own status was put in order")
	}
	if r, body := get(t, url+"/status?format=html", "application/json"); r.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(body, "<main>") {
		t.Errorf("format=html: %v", r.Header)
	}
}

func TestPaths(t *testing.T) {
	url := serve(t, report.Status{}, "127.0.0.1:0")
	for _, c := range []struct {
		method, path string
		status       int
		body         string // part of it
	}{
		{"GET", "/ping", 200, "pong\n"},
		{"HEAD", "/ping", 200, ""},
		{"GET", "/", 302, ""},
		{"GET", "/status", 200, "No engine is attached"},
		{"GET", "/status?format=json", 200, `"engines": []`},
		{"GET", "/status?format=xml", 400, "format=json"},
		{"HEAD", "/status", 200, ""},
		{"POST", "/status", 405, "want GET, HEAD"},
		{"DELETE", "/ping", 405, ""},
		{"GET", "/ping/", 404, ""},
		{"GET", "/udp/239.1.1.1:5000", 404, "/status"},
		{"GET", "/favicon.ico", 404, ""},
		{"GET", "/%2e%2e/status", 404, ""},
	} {
		r, err := http.NewRequest(c.method, url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, body := do(t, r)
		if answer.StatusCode != c.status || !strings.Contains(body, c.body) || c.method == "HEAD" && body != "" {
			t.Errorf("%s %s: %d %q", c.method, c.path, answer.StatusCode, body)
		}
		if (c.status == 302) != (answer.Header.Get("Location") == "status") || (c.status == 405) != (answer.Header.Get("Allow") == "GET, HEAD") {
			t.Errorf("%s %s: %v", c.method, c.path, answer.Header)
		}
	}
}

// Words of engines and senders are shown, never obeyed.
func TestHostileWords(t *testing.T) {
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(1)>'{{.}}` + "\x00\xff"
	st := example()
	e := &st.Engines[0]
	e.ID, e.Version, e.Error = bad, bad, bad
	ch := &e.Channels[0]
	ch.Tag, ch.State, ch.Format, ch.Streams[0].Codec = bad, bad, bad, bad
	ch.Name, ch.Clients[0].Tag, ch.Clients[0].Addr = bad, bad, bad
	source := &ch.Sources[0]
	source.Tag, source.State, source.Error, source.Legs[0].Tag, source.Legs[0].Dropped = bad, bad, bad, bad, bad
	_, body := get(t, serve(t, st, "127.0.0.1:0")+"/status", "*/*")
	if n := strings.Count(body, "<script>"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if strings.Contains(body, "<img") || strings.Contains(body, `"><`+"script") {
		t.Error("a tag came through")
	}
	if n := strings.Count(body, "&lt;script&gt;alert(1)"); n < 13 {
		t.Errorf("shown only %d times", n)
	}
}

func TestManyClients(t *testing.T) {
	st := example()
	st.Engines[0].Channels[0].Clients = make([]report.Client, 5000)
	_, body := get(t, serve(t, st, "127.0.0.1:0")+"/status", "*/*")
	if n := strings.Count(body, `<th scope="row"`); n != maxShown+4 {
		t.Errorf("%d clients shown", n)
	}
	if seen := text(body); !strings.Contains(seen, "5000 clients for") || !strings.Contains(seen, "and 4900 more") {
		t.Error("the rest is not mentioned")
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{rate(0), "0 bit/s"},
		{rate(999), "999 bit/s"},
		{rate(1000), "1.00 kbit/s"},
		{rate(8_040_000), "8.04 Mbit/s"},
		{rate(99_949_999), "99.9 Mbit/s"},
		{rate(999_900), "1.00 Mbit/s"},
		{rate(100e6), "100 Mbit/s"},
		{rate(25e9), "25.0 Gbit/s"},
		{size(0), "0 B"},
		{size(999), "999 B"},
		{size(1023), "1.00 KiB"},
		{size(10 << 20), "10.0 MiB"},
		{size(1 << 63), "8192 PiB"},
		{span(0), "0 s"},
		{span(-time.Hour), "0 s"},
		{span(59 * time.Second), "59 s"},
		{span(61 * time.Second), "1 min 1 s"},
		{span(3 * time.Hour), "3 h 0 min"},
		{span(49*time.Hour + time.Minute), "2 d 1 h"},
		{plural(0, "client"), "0 clients"},
		{plural(1, "client"), "1 client"},
		{plural(3, "loss"), "3 losses"},
		{number(0), "0"},
		{number(999), "999"},
		{number(1000), "1 000"},
		{number(18446744073709551615), "18 446 744 073 709 551 615"},
		{behind(0, 8_000_000), "0 B, 0.00 s"},
		{behind(10<<20, 8_000_000), "10.0 MiB, 10.5 s"},
		{behind(1<<20, 0), "1.00 MiB"},
	} {
		if got := strings.ReplaceAll(c.got, "\u202f", " "); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
