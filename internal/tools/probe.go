package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sluice/internal/media/ts"
	"sluice/internal/uri"
)

// ErrProbeURL marks an address that cannot be probed: a mistake of the caller, not of
// the stream.
var ErrProbeURL = errors.New("cannot probe")

// DefaultProbeDuration is how long Probe watches unless told otherwise.
const DefaultProbeDuration = 5 * time.Second

// firstByteTimeout is how long Probe waits for anything at all. It is longer than a
// relay waits for a source that is silent, so that the relay's answer is seen.
const firstByteTimeout = 15 * time.Second

// ProbeOptions say how a stream is probed. The zero value is the usual choice.
type ProbeOptions struct {
	// Duration is how long the stream is watched from its first byte on. If zero,
	// DefaultProbeDuration.
	Duration time.Duration
	// Interface is where a group is joined. If "", the system chooses.
	Interface string
	// Progress is a terminal that shows one line, renewed every second and cleared in
	// the end. If nil, nothing is shown.
	Progress io.Writer
}

// ProbeResult is what Probe found. Its JSON is one object: the fields here and those of
// ts.Analysis beside them; `sluice probe --json` prints it. Valid and Problems speak of
// everything: the answer, the network and the stream. Times are in milliseconds from
// the beginning of the probe.
type ProbeResult struct {
	URL         string   `json:"url"`
	FirstByteMS *float64 `json:"first_byte_ms"` // of the stream; null when none came
	Ended       bool     `json:"ended"`         // the stream ended before the probe did
	// HTTP is null for UDP and RTP.
	HTTP *HTTPResult `json:"http"`
	// Network is null for HTTP.
	Network *NetworkResult `json:"network"`
	ts.Analysis
}

// HTTPResult is the answer of a web server.
type HTTPResult struct {
	Status      int     `json:"status"`
	Reason      string  `json:"reason"` // beside the status: Not Found
	Proto       string  `json:"proto"`
	Location    string  `json:"location"` // where redirects have led; "" without
	ContentType string  `json:"content_type"`
	Server      string  `json:"server"`
	Message     string  `json:"message"` // first line of the body of an error
	ConnectMS   float64 `json:"connect_ms"`
	HeadMS      float64 `json:"head_ms"`
}

// NetworkResult counts datagrams.
type NetworkResult struct {
	Datagrams uint64     `json:"datagrams"`
	Senders   []string   `json:"senders"`    // at most 8
	HostLost  uint64     `json:"host_lost"`  // by this machine, for want of a receive buffer
	Malformed uint64     `json:"malformed"`  // with an RTP header that lies
	RTP       *RTPResult `json:"rtp"`        // null when there is no RTP
	Interface string     `json:"interface"`  // asked for; "" = the system's choice
	Unaligned uint64     `json:"unaligned"`  // datagrams that were not whole packets
	PerPacket float64    `json:"ts_packets"` // in a datagram, average
}

// RTPResult counts RTP packets (RFC 3550).
type RTPResult struct {
	Received   uint64 `json:"received"`
	Lost       uint64 `json:"lost"`
	Duplicates uint64 `json:"duplicates"`
	Reordered  uint64 `json:"reordered"`
	Restarts   uint64 `json:"restarts"` // the sender began anew
}

// Probe receives a stream and judges it. URL is http, https, udp or rtp, as in
// udp://[SOURCE@]GROUP:PORT. A bad stream, and an answer other than 200, is a result;
// the error is for what could not be asked: a bad URL (ErrProbeURL), no connection, no
// answer. Once there is one, the end of ctx ends the probe, and the result is what was
// found until then.
func Probe(ctx context.Context, url string, o ProbeOptions) (ProbeResult, error) {
	if o.Duration < 0 {
		return ProbeResult{}, fmt.Errorf("%w for %s: --duration must be more than 0", ErrProbeURL, o.Duration)
	}
	if o.Duration == 0 {
		o.Duration = DefaultProbeDuration
	}
	scheme, _, _ := strings.Cut(url, "://")
	w := newWatch(url, o)
	var err error
	switch strings.ToLower(scheme) {
	case "http", "https":
		err = w.http(ctx, url)
	case "udp", "rtp":
		var end uri.End
		if end, err = uri.Parse(url); err != nil {
			return ProbeResult{}, fmt.Errorf("%w: %w", ErrProbeURL, err)
		}
		err = w.udp(ctx, end)
	default:
		return ProbeResult{}, fmt.Errorf("%w %q: want http://, https://, udp:// or rtp://", ErrProbeURL, url)
	}
	w.meter.clear()
	if err != nil {
		return ProbeResult{}, fmt.Errorf("probe %s: %w", url, err)
	}
	return w.result(), nil
}

// watch is one probe: bytes come in, a result goes out.
type watch struct {
	options  ProbeOptions
	meter    progress
	began    time.Time
	first    time.Duration // arrival of the first byte
	any      bool          // something came
	analyzer ts.Analyzer
	found    ProbeResult // what is not in the analyzer
}

func newWatch(url string, o ProbeOptions) *watch {
	return &watch{
		options: o,
		meter:   progress{to: o.Progress},
		began:   time.Now(),
		found:   ProbeResult{URL: url},
	}
}

func (w *watch) since() time.Duration { return time.Since(w.began) }

// take reads the next bytes of the stream.
func (w *watch) take(b []byte, at time.Duration) {
	if len(b) == 0 {
		return
	}
	if !w.any {
		w.any, w.first = true, at
	}
	w.analyzer.Packets(b, at)
	w.meter.show(func() string {
		r := w.analyzer.Report()
		return fmt.Sprintf("%s  %s, %s, %d continuity errors", at.Round(time.Second), bytesText(r.Bytes), rateText(float64(r.BitRate)), r.Continuity)
	})
}

// remaining is how long the probe still wants to read; 0 or less ends it.
func (w *watch) remaining() time.Duration {
	if !w.any {
		return firstByteTimeout - w.since()
	}
	return w.first + w.options.Duration - w.since()
}

// result joins what the transport told and what the stream told.
func (w *watch) result() ProbeResult {
	r := w.found
	r.Analysis = w.analyzer.Report()
	if w.any {
		r.FirstByteMS = new(milliseconds(w.first))
	}
	switch {
	case r.HTTP != nil && r.HTTP.Status != 200:
		r.Problems = []string{r.HTTP.answer()}
		r.Warnings = []string{}
	case r.HTTP != nil:
		r.judgeHTTP()
	case r.Network != nil:
		r.judgeNetwork()
	}
	r.Valid = len(r.Problems) == 0
	return r
}

func (r *ProbeResult) judgeHTTP() {
	r.warn(r.Ended, "the stream ended after %.1f s", r.DurationMS/1000)
	known := []string{"video/mp2t", "video/mpeg", "application/octet-stream"}
	kind, _, _ := strings.Cut(r.HTTP.ContentType, ";")
	r.warn(!slices.Contains(known, strings.ToLower(strings.TrimSpace(kind))), "Content-Type %q: players may expect video/mp2t", r.HTTP.ContentType)
}

func (r *ProbeResult) judgeNetwork() {
	n := r.Network
	r.problem(n.HostLost > 0, "this machine dropped %d datagrams: errors below may be its own; raise net.core.rmem_max", n.HostLost)
	r.problem(n.Malformed > 0, "%d datagrams with an RTP header that lies", n.Malformed)
	r.warn(len(n.Senders) > 1, "%d senders: %s; name one as udp://SENDER@GROUP:PORT", len(n.Senders), strings.Join(n.Senders, ", "))
	r.warn(n.Unaligned > 0, "%d datagrams do not hold whole packets", n.Unaligned)
	if t := n.RTP; t != nil {
		r.problem(t.Lost > 0, "%d of %d RTP packets lost", t.Lost, t.Lost+t.Received)
		r.problem(t.Reordered > 0, "%d RTP packets came too late, after their successors", t.Reordered)
		r.problem(t.Duplicates > 0, "%d RTP packets came twice", t.Duplicates)
		r.warn(t.Restarts > 0, "the RTP sender began anew %d times", t.Restarts)
	}
}

func (r *ProbeResult) problem(is bool, format string, args ...any) {
	if is {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

func (r *ProbeResult) warn(is bool, format string, args ...any) {
	if is {
		r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
	}
}

// answer is the answer of a server that sends no stream, on one line.
func (h *HTTPResult) answer() string {
	status := strings.TrimSpace(fmt.Sprintf("%d %s", h.Status, h.Reason))
	switch {
	case h.Message == "":
		return "answered " + status
	case strings.HasPrefix(h.Message, status): // as sluice says it
		return "answered " + h.Message
	}
	return "answered " + status + ": " + h.Message
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
