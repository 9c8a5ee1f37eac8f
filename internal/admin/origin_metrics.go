package admin

import (
	"maps"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/report"
)

// originCollector makes metrics of the status of an origin.
type originCollector struct {
	families[report.Origin]
	service OriginService
}

func newOriginCollector(s OriginService) *originCollector {
	return &originCollector{describe("sluice_origin_", originFamilies()), s}
}

// Collect implements prometheus.Collector.
func (c *originCollector) Collect(to chan<- prometheus.Metric) { c.collect(c.service.Status(), to) }

func originFamilies() []family[report.Origin] {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	path, sink, push := []string{"path"}, []string{"sink"}, []string{"push", "to"}
	return []family[report.Origin]{
		{"info", gauge, []string{"version"}, "The version of the program; always 1.", func(st report.Origin, s say) { s(1, st.Build) }},
		{"draining", gauge, nil, "1 while the origin ends and what is being answered may go on.", one(func(st report.Origin) float64 { return flag(st.Draining) })},
		{"connections", gauge, nil, "Connections of clients.", one(func(st report.Origin) float64 { return float64(st.Connections) })},
		{"connections_refused_total", counter, nil, "Connections beyond a limit.", one(func(st report.Origin) float64 { return float64(st.Refused) })},
		{"requests_total", counter, []string{"status_class"}, "Requests that were answered, by the class of the status.", requests},
		{"requests_active", gauge, nil, "Requests that are being answered.", one(func(st report.Origin) float64 { return float64(st.Active) })},
		{"requests_waiting", gauge, nil, "Requests that are held until something is there; they count as active, too.", one(func(st report.Origin) float64 { return float64(st.Waiting) })},
		{"sent_bytes_total", counter, nil, "Bytes of bodies that were sent.", one(func(st report.Origin) float64 { return float64(st.Sent) })},
		{"received_bytes_total", counter, nil, "Bytes of bodies that were received.", one(func(st report.Origin) float64 { return float64(st.Received) })},
		{"growing", gauge, nil, "Objects that are being written.", one(func(st report.Origin) float64 { return float64(st.Growing) })},
		{"uploads_aborted_total", counter, nil, "Uploads that broke off.", one(func(st report.Origin) float64 { return float64(st.Aborted) })},
		{"channel_uploads", gauge, nil, "Uploads that are channels.", one(func(st report.Origin) float64 { return float64(st.Uploads) })},

		{"store_objects", gauge, path, "Objects that are in memory, or that are being written to a directory.", stores(func(m report.OriginMount) float64 { return float64(m.Objects) })},
		{"store_bytes", gauge, path, "Bytes of these objects (store_objects); of memory what is taken of its limit.", stores(func(m report.OriginMount) float64 { return float64(m.Bytes) })},

		{"sink_clients", gauge, sink, "Clients of a channel under a path.", func(st report.Origin, s say) {
			for _, one := range st.Sinks {
				s(float64(one.Clients), one.Path)
			}
		}},

		{"push_failing", gauge, push, "1 if the server has failed since it last took something.", pushes(func(p report.OriginPush) float64 { return flag(p.Error != "") })},
		{"push_objects_total", counter, push, "Objects that were uploaded.", pushes(func(p report.OriginPush) float64 { return float64(p.Objects) })},
		{"push_sent_bytes_total", counter, push, "Bytes that were sent, also of what was begun anew.", pushes(func(p report.OriginPush) float64 { return float64(p.Bytes) })},
		{"push_failed_total", counter, push, "Objects that were given up.", pushes(func(p report.OriginPush) float64 { return float64(p.Failed) })},
		{"push_retries_total", counter, push, "Failures after which it was tried again.", pushes(func(p report.OriginPush) float64 { return float64(p.Retries) })},
		{"push_queue", gauge, push, "Objects that wait to be uploaded.", pushes(func(p report.OriginPush) float64 { return float64(p.Queue) })},
	}
}

// requests tells of answers; the usual classes are there before the first one.
func requests(st report.Origin, s say) {
	all := map[string]uint64{"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0}
	maps.Copy(all, st.Statuses)
	counts(all, s)
}

// stores tells of the place of each mount, once: several may have the same.
func stores(value func(report.OriginMount) float64) func(report.Origin, say) {
	return func(st report.Origin, s say) {
		told := make(map[string]bool)
		for _, m := range st.Mounts {
			if !told[m.Path] {
				told[m.Path] = true
				s(value(m), m.Path)
			}
		}
	}
}

func pushes(value func(report.OriginPush) float64) func(report.Origin, say) {
	return func(st report.Origin, s say) {
		for _, p := range st.Pushes {
			s(value(p), p.Name, p.To)
		}
	}
}
