package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"sluice/internal/flow"
	"sluice/internal/report"
	"sluice/internal/testkit"
)

// watchedRelay is a `sluice relay` with a listener named in, and its admin port.
type watchedRelay struct {
	*testkit.Proc
	t     *testing.T
	addr  string // of the listener
	admin string // URL
}

// watchRelay runs a relay to a pool named app, which is as the keys say.
func watchRelay(t *testing.T, app string) *watchedRelay {
	t.Helper()
	file := fileWith(t, "relay.yaml", `
relay:
  admin: 127.0.0.1:0
  listeners: {in: {listen: "127.0.0.1:0", pool: app}}
  pools: {app: {`+app+`}}
`)
	p := sluice(t, "relay", "-T", "-C", file, "--run-dir", runDirOf(t))
	open := p.WaitLine(`msg=ready .*listen=(\S+) admin=(\S+)`)
	return &watchedRelay{Proc: p, t: t, addr: open[1], admin: open[2]}
}

// ask sends a request to the admin port.
func (r *watchedRelay) ask(method, path string) (status int, body string) {
	r.t.Helper()
	request, err := http.NewRequest(method, r.admin+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// order has something done.
func (r *watchedRelay) order(path string) {
	r.t.Helper()
	if status, body := r.ask(http.MethodPost, path); status != http.StatusOK || strings.Count(body, "\n") != 1 {
		r.t.Fatalf("%s: %d %q", path, status, body)
	}
}

func (r *watchedRelay) status() (st report.Relay) {
	r.t.Helper()
	_, body := r.ask(http.MethodGet, "/status?format=json")
	if err := json.Unmarshal([]byte(body), &st); err != nil {
		r.t.Fatal(err)
	}
	return st
}

// shows waits until /metrics has these, by their names behind sluice_relay_ and the values of
// their labels.
func (r *watchedRelay) shows(want map[string]float64) {
	r.t.Helper()
	testkit.Eventually(r.t, func() error {
		_, body := r.ask(http.MethodGet, "/metrics")
		is := samples(r.t, body)
		for series, v := range want {
			if got, ok := is[series]; !ok || got != v {
				return fmt.Errorf("%s is %v (there: %v), want %v", series, got, ok, v)
			}
		}
		return nil
	})
}

// samples are what a text for Prometheus says; of histograms, how many they have counted.
func samples(t *testing.T, body string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	all := make(map[string]float64)
	for name, f := range families {
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(name, "sluice_relay_")
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			all[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// client connects, and reads the letter of the remote that it gets.
func (r *watchedRelay) client() (c net.Conn, remote string) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		r.t.Fatal(err)
	}
	return c, readText(r.t, c, 1)
}

func readText(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// echo is a remote that says its letter and then what it is told, until the test ends.
func echo(t *testing.T, letter string) (addr string) {
	t.Helper()
	l := listenLocal(t)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_, _ = io.WriteString(c, letter)
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// TestLine54MetricsOfARelay: what clients, remotes and checks do is counted once.
func TestLine54MetricsOfARelay(t *testing.T) {
	gone := listenLocal(t)
	gone.Close()
	r := watchRelay(t, fmt.Sprintf("balance: first, remotes: [%q, %q], check: {type: tcp, every: 100ms, fall: 1}",
		echo(t, "a")+" name=a", gone.Addr().String()+" name=gone"))
	r.shows(map[string]float64{
		"remote_up app a": 1, "remote_up app gone": 0, "sessions": 0, "accepted_total": 0, "connect_seconds": 0, "listener_up in": 1, "info " + build(): 1,
	})
	short, _ := r.client()
	_, _ = io.WriteString(short, strings.Repeat("x", 1000))
	readText(t, short, 1000)
	short.Close()
	long, _ := r.client()
	_, _ = io.WriteString(long, strings.Repeat("x", 10))
	readText(t, long, 10)
	r.shows(map[string]float64{
		"sessions": 1, "accepted_total": 2, "connected_total": 2, "connect_seconds": 2, "ended_total client": 1, "ended_total remote": 0,
		"bytes_total up": 1010, "bytes_total down": 1012,
		"listener_sessions in": 1, "listener_accepted_total in": 2,
		"remote_sessions app a": 1, "remote_connected_total app a": 2, "remote_connected_total app gone": 0,
		"remote_bytes_total up app a": 1010, "remote_bytes_total down app a": 1012,
	})
	st := r.status()
	if len(st.Sessions) != 1 || st.Sessions[0].Client != long.LocalAddr().String() || st.Sessions[0].Remote != "a" || st.Sessions[0].Up != 10 || st.PID != r.PID() {
		t.Errorf("%+v", st.Sessions)
	}
	_, page := r.ask(http.MethodGet, "/status")
	for _, want := range []string{long.LocalAddr().String(), `<span class="state down"`, `<span class="state up"`, "connection refused"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if _, body := r.ask(http.MethodGet, "/metrics"); strings.Contains(body, "127.0.0.1") {
		t.Error("a client, or an address that has a name, is in the metrics")
	}
}

// TestLine54Orders: a remote is drained, disabled, weighed and enabled, and a session killed, while others run.
func TestLine54Orders(t *testing.T) {
	r := watchRelay(t, fmt.Sprintf("balance: first, remotes: [%q, %q]", echo(t, "a")+" name=a", echo(t, "b")+" name=b"))
	want := func(remote string) net.Conn {
		t.Helper()
		c, is := r.client()
		if is != remote {
			t.Fatalf("a client got %s, want %s", is, remote)
		}
		return c
	}
	first := want("a")
	r.order("/remote?pool=app&remote=a&state=draining")
	r.shows(map[string]float64{"remote_state app a draining": 1, "remote_state app a enabled": 0, "remote_sessions app a": 1})
	second := want("b")
	r.order("/remote?pool=app&remote=a&state=disabled&weight=7")
	r.shows(map[string]float64{"remote_state app a disabled": 1, "remote_weight app a": 7, "remote_weight app b": 1})
	want("b")
	r.order("/remote?pool=app&remote=a&state=enabled&weight=0")
	r.shows(map[string]float64{"remote_state app a enabled": 1, "remote_weight app a": 1})
	want("a")

	at := fmt.Sprintf("/kill?session=%d", r.status().Sessions[0].ID) // the oldest
	r.order(at)
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the session that was killed goes on")
	}
	r.shows(map[string]float64{"ended_total killed": 1, "sessions": 3})
	_, _ = io.WriteString(second, "z")
	readText(t, second, 1)

	for path, code := range map[string]int{
		at: 404, "/remote?pool=app&remote=c&state=enabled": 404, "/remote?pool=ap&remote=a&state=enabled": 404,
		"/remote?pool=app&remote=a&state=off": 400, "/remote?pool=app&remote=a&weight=-1": 400, "/remote?pool=app&remote=a&weight=1000001": 400,
	} {
		if status, body := r.ask(http.MethodPost, path); status != code || strings.Count(body, "\n") != 1 {
			t.Errorf("%s: %d %q, want %d", path, status, body, code)
		}
	}
}

// TestManualHasTheCauses: each way in which a session can end is explained.
func TestManualHasTheCauses(t *testing.T) {
	text, err := os.ReadFile("../../docs/relay-admin.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range flow.Causes() {
		if !strings.Contains(string(text), "\n| `"+c.String()+"` | ") {
			t.Errorf("docs/relay-admin.md does not explain the cause %s", c)
		}
	}
}
