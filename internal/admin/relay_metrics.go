package admin

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/report"
)

// relayMetrics serves the numbers of s.
func relayMetrics(s RelayService) http.Handler { return metrics(newRelayCollector(s)) }

// relayCollector makes metrics of the status of a relay.
type relayCollector struct {
	families[report.Relay]
	service RelayService
	connect *prometheus.Desc

	mu       sync.Mutex // guards what follows
	up, down uint64     // the most bytes that were told
}

func newRelayCollector(s RelayService) *relayCollector {
	return &relayCollector{
		families: describe("sluice_relay_", relayFamilies()), service: s,
		connect: prometheus.NewDesc("sluice_relay_connect_seconds", "How long connecting to remotes took.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *relayCollector) Describe(to chan<- *prometheus.Desc) {
	c.families.Describe(to)
	to <- c.connect
}

// Collect implements prometheus.Collector.
func (c *relayCollector) Collect(to chan<- prometheus.Metric) {
	st := c.service.Status()
	c.neverLess(&st.Totals)
	c.collect(st, to)
	to <- connectTimes(c.connect, st.Totals)
}

// neverLess keeps sums over sessions from going back, which Prometheus takes for a restart: a
// session that ends while they are made can be missing in one.
func (c *relayCollector) neverLess(t *report.RelayTotals) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up, c.down = max(c.up, t.Up), max(c.down, t.Down)
	t.Up, t.Down = c.up, c.down
}

func connectTimes(d *prometheus.Desc, t report.RelayTotals) prometheus.Metric {
	count, buckets := uint64(0), make(map[float64]uint64, len(report.ConnectBuckets))
	for i, n := range t.ConnectTime {
		if i < len(report.ConnectBuckets) {
			buckets[report.ConnectBuckets[i]] = n
		}
		count = n
	}
	return prometheus.MustNewConstHistogram(d, count, t.ConnectSeconds, buckets)
}

func relayFamilies() []family[report.Relay] {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	listener, pool, remote := []string{"listener"}, []string{"pool"}, []string{"pool", "remote"}
	return []family[report.Relay]{
		{"info", gauge, []string{"version"}, "The version of the program; always 1.", func(st report.Relay, s say) { s(1, st.Version) }},
		{"draining", gauge, nil, "1 while the relay ends and sessions may go on.", one(func(st report.Relay) float64 { return flag(st.Draining) })},
		{"sessions", gauge, nil, "Sessions that run.", total(func(t report.RelayTotals) float64 { return float64(t.Sessions) })},
		{"accepted_total", counter, nil, "Clients that were accepted.", total(func(t report.RelayTotals) float64 { return float64(t.Accepted) })},
		{"connected_total", counter, nil, "Sessions that got a remote.", total(func(t report.RelayTotals) float64 { return float64(t.Connected) })},
		{"ended_total", counter, []string{"cause"}, "Sessions that ended, by cause.", func(st report.Relay, s say) { counts(st.Totals.Ended, s) }},
		{"bytes_total", counter, []string{"direction"}, "Bytes that were relayed: up to remotes, down to clients.", func(st report.Relay, s say) {
			s(float64(st.Totals.Up), "up")
			s(float64(st.Totals.Down), "down")
		}},
		{"moved_bytes_total", counter, []string{"by"}, "Bytes that I/O threads moved: by splice, which stay in the kernel, or by copy.", func(st report.Relay, s say) {
			s(float64(st.Totals.Spliced), "splice")
			s(float64(st.Totals.Copied), "copy")
		}},
		{"pipes", gauge, nil, "Pipes that exist for splice.", total(func(t report.RelayTotals) float64 { return float64(t.Pipes) })},
		{"connect_failures_total", counter, nil, "Connections to remotes that could not be made.", total(func(t report.RelayTotals) float64 { return float64(t.ConnectFails) })},
		{"accept_errors_total", counter, nil, "Clients that could not be accepted.", total(func(t report.RelayTotals) float64 { return float64(t.AcceptErrors) })},

		{"listener_up", gauge, listener, "1 if all sockets of the listener are open.", listeners(func(l report.RelayListener) float64 { return flag(l.Error == "") })},
		{"listener_paused", gauge, listener, "1 while overload keeps clients out.", listeners(func(l report.RelayListener) float64 { return flag(l.Paused) })},
		{"listener_sessions", gauge, listener, "Sessions that run.", listeners(func(l report.RelayListener) float64 { return float64(l.Sessions) })},
		{"listener_accepted_total", counter, listener, "Clients that were accepted.", listeners(func(l report.RelayListener) float64 { return float64(l.Accepted) })},
		{"listener_refused_total", counter, []string{"listener", "cause"}, "Clients that were not let in, by cause.", func(st report.Relay, s say) {
			for _, l := range st.Listeners {
				counts(l.Refused, s, l.Name)
			}
		}},

		{"pool_waiting", gauge, pool, "Sessions in the queue.", pools(func(p report.RelayPool) float64 { return float64(p.Waiting) })},

		{"remote_up", gauge, remote, "1 if the remote is up, as its check finds it, or has none.", remotes(func(r report.RelayRemote) float64 { return flag(r.Up) })},
		{"remote_ejected", gauge, remote, "1 while the remote is left out since connections failed.", remotes(func(r report.RelayRemote) float64 { return flag(r.Ejected) })},
		{"remote_state", gauge, []string{"pool", "remote", "state"}, "1 for the state that the remote was ordered to have.", remoteStates},
		{"remote_weight", gauge, remote, "The weight that counts.", remotes(func(r report.RelayRemote) float64 { return float64(r.Weight) })},
		{"remote_sessions", gauge, remote, "Sessions that run.", remotes(func(r report.RelayRemote) float64 { return float64(r.Sessions) })},
		{"remote_max_sessions", gauge, remote, "Sessions that may run at once; 0 is no limit.", remotes(func(r report.RelayRemote) float64 { return float64(r.MaxConns) })},
		{"remote_connected_total", counter, remote, "Sessions that were connected.", remotes(func(r report.RelayRemote) float64 { return float64(r.Total) })},
		{"remote_connect_failures_total", counter, remote, "Connections that could not be made.", remotes(func(r report.RelayRemote) float64 { return float64(r.Failures) })},
		{"remote_connect_average_seconds", gauge, remote, "How long connecting takes, a moving average.", remotes(func(r report.RelayRemote) float64 { return r.ConnectTime })},
		{"remote_bytes_total", counter, []string{"pool", "remote", "direction"}, "Bytes of sessions: up to the remote, down from it.", func(st report.Relay, s say) {
			for _, p := range st.Pools {
				for _, r := range p.Remotes {
					s(float64(r.Up64), p.Name, r.Name, "up")
					s(float64(r.Down64), p.Name, r.Name, "down")
				}
			}
		}},
	}
}

func total(value func(report.RelayTotals) float64) func(report.Relay, say) {
	return func(st report.Relay, s say) { s(value(st.Totals)) }
}

func listeners(value func(report.RelayListener) float64) func(report.Relay, say) {
	return func(st report.Relay, s say) {
		for _, l := range st.Listeners {
			s(value(l), l.Name)
		}
	}
}

func pools(value func(report.RelayPool) float64) func(report.Relay, say) {
	return func(st report.Relay, s say) {
		for _, p := range st.Pools {
			s(value(p), p.Name)
		}
	}
}

func remotes(value func(report.RelayRemote) float64) func(report.Relay, say) {
	return func(st report.Relay, s say) {
		for _, p := range st.Pools {
			for _, r := range p.Remotes {
				s(value(r), p.Name, r.Name)
			}
		}
	}
}

func remoteStates(st report.Relay, s say) {
	for _, p := range st.Pools {
		for _, r := range p.Remotes {
			for _, state := range []string{"enabled", "draining", "disabled"} {
				s(flag(r.State == state), p.Name, r.Name, state)
			}
		}
	}
}
