package admin

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"sluice/internal/report"
)

// scrape reads /metrics as Prometheus does: each series of ours by its name and labels, and the
// names of all families.
func scrape(t *testing.T, at string) (series map[string]float64, families []string) {
	t.Helper()
	r, body := get(t, at+"/metrics", "text/plain;version=0.0.4")
	if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain; version=0.0.4") || r.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v\n%s", r.StatusCode, r.Header, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	series = make(map[string]float64)
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "sluice_") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		var value model.SampleValue
		if err := value.UnmarshalJSON([]byte(`"` + strings.TrimSpace(line[at:]) + `"`)); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		series[strings.TrimPrefix(line[:at], "sluice_relay_")] = float64(value)
	}
	return series, slices.Sorted(maps.Keys(all))
}

func TestLine54RelayMetrics(t *testing.T) {
	got, families := scrape(t, serveRelay(t, &relayService{Relay: relayExample()}))
	for name, want := range map[string]float64{
		`info{version="1.0.0"}`:                                                1,
		`draining`:                                                             0,
		`sessions`:                                                             3,
		`accepted_total`:                                                       1_234_567,
		`connected_total`:                                                      1_200_000,
		`ended_total{cause="client"}`:                                          900_000,
		`ended_total{cause="no-remote"}`:                                       12,
		`ended_total{cause="error"}`:                                           0,
		`bytes_total{direction="up"}`:                                          7 << 30,
		`bytes_total{direction="down"}`:                                        5 << 40,
		`moved_bytes_total{by="splice"}`:                                       4 << 40,
		`moved_bytes_total{by="copy"}`:                                         1 << 40,
		`pipes`:                                                                6,
		`connect_failures_total`:                                               1402,
		`accept_errors_total`:                                                  1,
		`connect_seconds_bucket{le="0.0005"}`:                                  700_000,
		`connect_seconds_bucket{le="10"}`:                                      1_199_950,
		`connect_seconds_bucket{le="+Inf"}`:                                    1_200_000,
		`connect_seconds_count`:                                                1_200_000,
		`connect_seconds_sum`:                                                  840.5,
		`listener_up{listener="web"}`:                                          1,
		`listener_up{listener="signal"}`:                                       0,
		`listener_paused{listener="full"}`:                                     1,
		`listener_sessions{listener="web"}`:                                    9,
		`pool_waiting{pool="app"}`:                                             2,
		`pool_waiting{pool="named"}`:                                           0,
		`listener_accepted_total{listener="web"}`:                              1_234_567,
		`listener_refused_total{cause="limit",listener="web"}`:                 7,
		`remote_up{pool="app",remote="10.0.0.1:80"}`:                           1,
		`remote_up{pool="app",remote="10.0.0.3:80"}`:                           0,
		`remote_ejected{pool="app",remote="10.0.0.2:80"}`:                      1,
		`remote_state{pool="app",remote="leaving",state="draining"}`:           1,
		`remote_state{pool="app",remote="leaving",state="enabled"}`:            0,
		`remote_weight{pool="app",remote="leaving"}`:                           5,
		`remote_sessions{pool="app",remote="10.0.0.2:80"}`:                     100,
		`remote_max_sessions{pool="app",remote="10.0.0.2:80"}`:                 100,
		`remote_connected_total{pool="app",remote="10.0.0.2:80"}`:              911_000,
		`remote_connect_failures_total{pool="app",remote="10.0.0.2:80"}`:       1402,
		`remote_connect_average_seconds{pool="app",remote="10.0.0.2:80"}`:      0.00042,
		`remote_bytes_total{direction="up",pool="app",remote="10.0.0.1:80"}`:   1_200_000 << 10,
		`remote_bytes_total{direction="down",pool="app",remote="10.0.0.1:80"}`: 1_200_000 * 300 << 10,
	} {
		if is, ok := got[name]; !ok || is != want {
			t.Errorf("%s is %v (there: %v), want %v", name, is, ok, want)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if !slices.Contains(families, name) {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range got {
		if strings.Contains(name, "192.0.2.") || strings.Contains(name, "2001:db8") {
			t.Errorf("%s names a client", name)
		}
	}
}

// TestRelayMetricsAreWhole: every metric is there, the manual has it, and its name is one that
// Prometheus' own linter likes.
func TestRelayMetricsAreWhole(t *testing.T) {
	manual, err := os.ReadFile("../../docs/relay-admin.md")
	if err != nil {
		t.Fatal(err)
	}
	_, families := scrape(t, serveRelay(t, &relayService{Relay: relayExample()}))
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(sluice_relay_[a-z_]+)").FindAllSubmatch(manual, -1) {
		told = append(told, string(row[1]))
	}
	slices.Sort(told)
	ours := slices.DeleteFunc(families, func(name string) bool { return !strings.HasPrefix(name, "sluice_relay_") })
	if !slices.Equal(told, ours) {
		t.Errorf("docs/relay-admin.md has\n%q\nthere are\n%q", told, ours)
	}
	_, body := get(t, serveRelay(t, &relayService{Relay: relayExample()})+"/metrics", "")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if len(ours) != len(relayFamilies())+1 {
		t.Errorf("%d metrics, want %d", len(ours), len(relayFamilies())+1)
	}
}

// TestRelayMetricsOddNames: names may be anything, the metrics can be read.
func TestRelayMetricsOddNames(t *testing.T) {
	st := report.Relay{
		Version:   "\"}\n\\",
		Listeners: []report.RelayListener{{Name: "a\xffb"}, {Name: ""}},
		Pools:     []report.RelayPool{{Name: "grün {x}", Remotes: []report.RelayRemote{{Name: "unix:@\x01\"\n"}}}},
	}
	got, _ := scrape(t, serveRelay(t, &relayService{Relay: st}))
	for _, name := range []string{
		`info{version="\"}\n\\"}`, "listener_up{listener=\"a\uFFFDb\"}", `listener_up{listener=""}`,
		"remote_weight{pool=\"grün {x}\",remote=\"unix:@\x01\\\"\\n\"}", `connect_seconds_count`,
	} {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s in %v", name, got)
		}
	}
}

// TestRelayMetricsNeverGoBack: a sum of bytes that goes back would be a restart to Prometheus.
func TestRelayMetricsNeverGoBack(t *testing.T) {
	s := &relayService{}
	at := serveRelay(t, s)
	for _, c := range []struct{ up, down, wantUp, wantDown uint64 }{
		{100, 1000, 100, 1000},
		{60, 1100, 100, 1100},
		{160, 900, 160, 1100},
	} {
		s.Totals.Up, s.Totals.Down = c.up, c.down
		got, _ := scrape(t, at)
		if up, down := got[`bytes_total{direction="up"}`], got[`bytes_total{direction="down"}`]; up != float64(c.wantUp) || down != float64(c.wantDown) {
			t.Errorf("%+v: %v and %v", c, up, down)
		}
	}
}
