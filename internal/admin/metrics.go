package admin

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics serves the numbers of c, and those of this process, in the text format of Prometheus.
func metrics(c prometheus.Collector) http.Handler {
	all := prometheus.NewRegistry()
	all.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(all, promhttp.HandlerOpts{})
}

// family is a metric with all its labels, made of a status, so that nothing is counted twice. Label values
// are names of the configuration and words of this program, never what a client says.
type family[T any] struct {
	name   string // behind the prefix of all
	kind   prometheus.ValueType
	labels []string
	help   string
	tell   func(T, say)
}

// say tells a value, with the values of all labels.
type say func(value float64, labels ...string)

// families are the metrics of one status.
type families[T any] struct {
	list  []family[T]
	descs []*prometheus.Desc // of list
}

func describe[T any](prefix string, list []family[T]) families[T] {
	f := families[T]{list: list}
	for _, one := range list {
		f.descs = append(f.descs, prometheus.NewDesc(prefix+one.name, one.help, one.labels, nil))
	}
	return f
}

// Describe implements prometheus.Collector.
func (f *families[T]) Describe(to chan<- *prometheus.Desc) {
	for _, d := range f.descs {
		to <- d
	}
}

// collect tells what a status says. Prometheus knows a series once: of those with the same labels, such as a server that is
// pushed to as two users, it gets the sum.
func (f *families[T]) collect(st T, to chan<- prometheus.Metric) {
	type series struct {
		value  float64
		labels []string
	}
	for i, one := range f.list {
		all := make(map[string]series)
		one.tell(st, func(value float64, labels ...string) {
			for j := range labels {
				labels[j] = strings.ToValidUTF8(labels[j], "\uFFFD")
			}
			key := strings.Join(labels, "\xff") // which is in none
			all[key] = series{all[key].value + value, labels}
		})
		for _, s := range all {
			to <- prometheus.MustNewConstMetric(f.descs[i], one.kind, s.value, s.labels...)
		}
	}
}

// one is a metric without labels.
func one[T any](value func(T) float64) func(T, say) {
	return func(st T, s say) { s(value(st)) }
}

// counts tells counts by cause; before are the values of the labels before that.
func counts(by map[string]uint64, s say, before ...string) {
	for cause, n := range by {
		s(float64(n), append(before[:len(before):len(before)], cause)...)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
