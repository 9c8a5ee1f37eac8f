package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// relayService is a relay that does nothing but note what it is told.
type relayService struct {
	report.Relay
	told []string
}

func (s *relayService) Status() report.Relay { return s.Relay }

func (s *relayService) Order(pool, remote string, state *string, weight *int) error {
	switch {
	case !hasRemote(s.Relay, pool, remote):
		return fmt.Errorf("pool %s has no remote %q", pool, remote)
	case state != nil && *state != "draining":
		return fmt.Errorf("no state %q", *state)
	case weight != nil && *weight < 0:
		return fmt.Errorf("no weight %d", *weight)
	}
	word := "order " + pool + " " + remote
	if state != nil {
		word += " state " + *state
	}
	if weight != nil {
		word += fmt.Sprintf(" weight %d", *weight)
	}
	s.told = append(s.told, word)
	return nil
}

func (s *relayService) Kill(id uint64) bool {
	found := slices.ContainsFunc(s.Sessions, func(x report.RelaySession) bool { return x.ID == id })
	if found {
		s.told = append(s.told, fmt.Sprintf("kill %d", id))
	}
	return found
}

// serveRelay runs the admin port of a relay until the test ends.
func serveRelay(t *testing.T, s RelayService) string {
	t.Helper()
	testkit.NoLeaks(t)
	return serveHandler(t, Relay(s), "127.0.0.1:0")
}

// relayExample is a relay to which everything happens.
func relayExample() report.Relay {
	now := start.Add(26*time.Hour + 3*time.Minute)
	remote := func(name string, sessions int, total uint64) report.RelayRemote {
		return report.RelayRemote{
			Name: name, Address: name, Weight: 1, State: "enabled", Up: true, Since: start, Sessions: sessions, Total: total,
			Up64: total * 1 << 10, Down64: total * 300 << 10, ConnectTime: 0.00042,
		}
	}
	slow, sick, leaving, spare := remote("10.0.0.2:80", 100, 911_000), remote("10.0.0.3:80", 0, 17), remote("leaving", 3, 4000), remote("[fd00::5]:80", 0, 0)
	slow.Ejected, slow.Until, slow.Failures, slow.LastError, slow.MaxConns = true, now.Add(12*time.Second), 1402, "connect to 10.0.0.2:80: connection refused", 100
	sick.Up, sick.Reason, sick.Since, sick.State = false, "no answer in 2s", now.Add(-3*time.Minute), "disabled"
	leaving.Address, leaving.State, leaving.Weight, leaving.Ordered = "10.0.0.4:80", "draining", 5, true
	spare.Backup, spare.Ejected, spare.Until = true, true, now.Add(-time.Second)
	return report.Relay{
		Name: "sluice relay", Version: "1.0.0", PID: 2101, Started: start, Now: now,
		Listeners: []report.RelayListener{
			{
				Name: "web", Addresses: []string{"0.0.0.0:80", "[::]:80"}, Sessions: 9, Accepted: 1_234_567,
				Refused: map[string]uint64{"limit": 7, "denied": 3, "header": 0, "hello": 0},
			},
			{Name: "signal", Addresses: []string{"sctp://0.0.0.0:2905"}, Error: "listen on sctp://0.0.0.0:2905: protocol not supported", Refused: map[string]uint64{}},
			{Name: "full", Addresses: []string{"unix:/run/full.sock"}, Paused: true, Refused: map[string]uint64{}},
		},
		Pools: []report.RelayPool{
			{Name: "app", Balance: "least", Waiting: 2, Remotes: []report.RelayRemote{remote("10.0.0.1:80", 4, 1_200_000), slow, sick, leaving, spare}},
			{Name: "named", Balance: "maglev", Remotes: []report.RelayRemote{}},
		},
		Sessions: []report.RelaySession{
			{ID: 7, Listener: "web", Client: "192.0.2.7:50905", Pool: "app", Remote: "10.0.0.1:80", Since: now.Add(-2 * time.Hour), Quiet: 61.5, Up: 1 << 20, Down: 5 << 30},
			{ID: 9, Listener: "web", Client: "[2001:db8::9]:4711", Pool: "app", Remote: "leaving", Since: now.Add(-time.Minute), TLS: true},
			{ID: 12, Listener: "web", Client: "192.0.2.8:1", Since: now},
		},
		Totals: report.RelayTotals{
			Sessions: 3, Accepted: 1_234_567, Connected: 1_200_000, Up: 7 << 30, Down: 5 << 40,
			Ended:        map[string]uint64{"client": 900_000, "remote": 300_000, "no-remote": 12, "full": 2, "limit": 7, "denied": 3, "error": 0, "new": 1},
			ConnectFails: 1402, AcceptErrors: 1, Spliced: 4 << 40, Copied: 1 << 40, Pipes: 6,
			ConnectTime:    []uint64{700_000, 900_000, 1_000_000, 1_100_000, 1_150_000, 1_160_000, 1_170_000, 1_180_000, 1_190_000, 1_195_000, 1_199_000, 1_199_500, 1_199_900, 1_199_950, 1_200_000},
			ConnectSeconds: 840.5,
		},
	}
}

func TestLine54RelayPage(t *testing.T) {
	at := serveRelay(t, &relayService{Relay: relayExample()})
	r, body := get(t, at+"/status", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	seen := text(body)
	for _, want := range []string{
		"sluice relay 1.0.0 process 2101 up 1 d 2 h JSON metrics Sessions 3 Accepted 1 234 567 To remotes 7.00 GiB To clients 5.00 TiB",
		"Ended by 900 000 client 300 000 remote 7 limit 3 denied 12 no-remote 2 full 1 new Failures 1 402 failed connections 1 failed accept",
		"web 0.0.0.0:80 [::]:80 open 7 limit 3 denied 1 234 567 9",
		"signal sctp://0.0.0.0:2905 listen on sctp://0.0.0.0:2905: protocol not supported down 0 0 0",
		"full unix:/run/full.sock paused 0 0 0",
		"Pool app least 5 remotes 2 sessions in the queue",
		"10.0.0.1:80 up 1 1 200 000 0 420 µs 1.14 GiB 343 GiB 4",
		"10.0.0.2:80 connect to 10.0.0.2:80: connection refused tried again in 12 s ejected 1 911 000 1 402 420 µs 890 MiB 261 GiB 100 of 100",
		"10.0.0.3:80 no answer in 2s disabled down 1 17",
		"leaving 10.0.0.4:80 draining up 5 4 000",
		"[fd00::5]:80 the next session tries it backup ejected 1 0 0 – 0 B 0 B 0",
		"Pool named maglev 0 remotes There is no remote: the names have no address yet.",
		"192.0.2.7:50905 7 web 10.0.0.1:80 app 2 h 0 min 1 min 1 s 1.00 MiB 5.00 GiB",
		"[2001:db8::9]:4711 TLS 9 web leaving app 1 min 0 s 0 s 0 B 0 B",
		"192.0.2.8:1 12 web – 0 s 0 s 0 B 0 B",
	} {
		if !strings.Contains(seen, want) {
			t.Errorf("not on the page: %q", want)
		}
	}
	if t.Failed() {
		t.Log(seen)
	}
	if strings.Contains(seen, "younger") || strings.Contains(seen, "This relay ends") {
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

func TestRelayPageOfMany(t *testing.T) {
	for _, c := range []struct {
		sessions, listed int
		want             string
	}{
		{101, 101, "and 1 younger ones: JSON has them all"},
		{100_000, 10_000, "and 99900 younger ones: JSON has the oldest 10000"},
	} {
		st := relayExample()
		st.Totals.Sessions, st.Sessions, st.Draining = c.sessions, make([]report.RelaySession, c.listed), true
		_, body := get(t, serveRelay(t, &relayService{Relay: st})+"/status", "*/*")
		seen := text(body)
		if !strings.Contains(seen, c.want) || !strings.Contains(seen, "This relay ends") || !strings.Contains(seen, "[::]:80 closed") {
			t.Errorf("no %q in %q", c.want, seen)
		}
		if n := strings.Count(body, `data-name="quiet"`); n != maxShown {
			t.Errorf("%d sessions shown", n)
		}
	}
}

// Words of clients and remotes are shown, never obeyed.
func TestRelayPageHostileWords(t *testing.T) {
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(1)>'{{.}}` + "\x00\xff"
	st := relayExample()
	st.Version, st.Totals.Ended = bad, map[string]uint64{bad: 1}
	l, p, s := &st.Listeners[0], &st.Pools[0], &st.Sessions[0]
	l.Name, l.Addresses[0], l.Error, l.Refused = bad, bad, bad, map[string]uint64{bad: 1}
	p.Name, p.Balance, s.Listener, s.Client, s.Remote, s.Pool = bad, bad, bad, bad, bad, bad
	r := &p.Remotes[2]
	r.Name, r.Address, r.Reason, r.State, r.LastError, r.Failures = bad, bad+bad, bad, bad, bad, 1
	_, body := get(t, serveRelay(t, &relayService{Relay: st})+"/status", "*/*")
	if n := strings.Count(body, "<script>"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if strings.Contains(body, "<img") || strings.Contains(body, `"><`+"script") {
		t.Error("a tag came through")
	}
	if n := strings.Count(body, "&lt;script&gt;alert(1)"); n < 17 {
		t.Errorf("shown only %d times", n)
	}
}

func TestLine54RelayJSON(t *testing.T) {
	st := relayExample()
	at := serveRelay(t, &relayService{Relay: st})
	for _, c := range []struct{ query, accept string }{{"", "application/json"}, {"?format=json", "text/html"}, {"?format=json", ""}} {
		r, body := get(t, at+"/status"+c.query, c.accept)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Vary") != "Accept" {
			t.Fatalf("%v: %d %v", c, r.StatusCode, r.Header)
		}
		var got report.Relay
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(st, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c, diff)
		}
	}
}

func TestRelayPaths(t *testing.T) {
	s := &relayService{Relay: relayExample()}
	at := serveRelay(t, s)
	const app = "/remote?pool=app&remote=10.0.0.1:80"
	for _, c := range []struct {
		method, path string
		status       int
		body         string // part of it
		told         string // to the relay
	}{
		{"GET", "/", 302, "", ""},
		{"GET", "/ping", 200, "pong\n", ""},
		{"HEAD", "/status", 200, "", ""},
		{"GET", "/status?format=xml", 400, "format=json", ""},
		{"POST", "/status", 405, "want GET, HEAD", ""},
		{"POST", "/metrics", 405, "want GET, HEAD", ""},
		{"HEAD", "/remote", 405, "", ""},
		{"DELETE", "/kill?session=7", 405, "want GET, POST", ""},
		{"GET", "/report", 404, "/metrics", ""},
		{"GET", "/drop?channel=x", 404, "/remote", ""},

		{"POST", app + "&state=draining", 200, "the remote is draining\n", "order app 10.0.0.1:80 state draining"},
		{"GET", app + "&weight=3", 200, "the remote has the weight 3\n", "order app 10.0.0.1:80 weight 3"},
		{"POST", app + "&state=draining&weight=0", 200, "the remote is draining and has the weight of the configuration\n", "order app 10.0.0.1:80 state draining weight 0"},
		{"POST", "/remote?pool=app&remote=" + url.QueryEscape("[fd00::5]:80") + "&weight=2", 200, "weight 2", "order app [fd00::5]:80 weight 2"},
		{"POST", app, 400, "nothing to change", ""},
		{"POST", app + "&state=&weight=", 400, "nothing to change", ""},
		{"POST", app + "&state=gone", 400, `no state "gone"`, ""},
		{"POST", app + "&weight=-1", 400, "no weight -1", ""},
		{"POST", app + "&weight=much", 400, `no weight "much": want a number`, ""},
		{"POST", app + "&weight=99999999999", 400, "want a number", ""},
		{"POST", app + "&state=%zz", 400, "cannot be read", ""},
		{"POST", "/remote?state=draining", 400, "no remote given", ""},
		{"POST", "/remote?pool=app&state=draining", 400, "no remote given", ""},
		{"POST", "/remote?pool=app&remote=x&state=draining", 404, `pool app has no remote "x": want both names exactly as /status shows them`, ""},
		{"POST", "/remote?pool=ap&remote=10.0.0.1:80&state=gone", 404, "want both names", ""},

		{"POST", "/kill?session=7", 200, "session 7 is ended\n", "kill 7"},
		{"GET", "/kill?session=12", 200, "session 12 is ended\n", "kill 12"},
		{"POST", "/kill?session=8", 404, "no session has the id 8", ""},
		{"POST", "/kill?session=-7", 400, "no session given", ""},
		{"POST", "/kill", 400, "no session given", ""},
	} {
		s.told = nil
		r, err := http.NewRequest(c.method, at+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, body := do(t, r)
		if answer.StatusCode != c.status || !strings.Contains(body, c.body) || strings.Join(s.told, ";") != c.told {
			t.Errorf("%s %s: %d %q, told %q", c.method, c.path, answer.StatusCode, body, s.told)
		}
		if c.method != "HEAD" && c.status != 302 && strings.HasPrefix(c.path, "/remote") && strings.Count(body, "\n") != 1 {
			t.Errorf("%s: %q is not one line", c.path, body)
		}
		if c.status == 200 && answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", c.path, answer.Header)
		}
	}
}

// TestRelayOrdersOfOtherSites: a page elsewhere gives no orders through an operator's browser.
func TestRelayOrdersOfOtherSites(t *testing.T) {
	s := &relayService{Relay: relayExample()}
	at := serveRelay(t, s)
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200} {
		for _, order := range []string{"/kill?session=7", "/remote?pool=app&remote=leaving&weight=1"} {
			s.told = nil
			r, err := http.NewRequest(http.MethodPost, at+order, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Sec-Fetch-Site", site)
			if answer, body := do(t, r); answer.StatusCode != want || (want == 200) != (len(s.told) == 1) {
				t.Errorf("%s from %s: %d %q, told %q", order, site, answer.StatusCode, body, s.told)
			}
		}
	}
}
