package origin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice/internal/store"
)

// The request log, in the words of GPAC's httpout:
//
//	REQ#12 192.0.2.7 GET /live/seg-3.m4s [range: bytes=0-3] start chunk-transfer
//	REQ#12 GET done: reply 200 - 81234 bytes in 2003 ms at 324 kbps
//	H2 REQ#13 PUT done: error 413 - 0 bytes in 1 ms at 0 bps
//	REQ#14 GET aborted! - 5120 bytes in 230 ms at 178 kbps
//	REQ#15 GET canceled - 5120 bytes in 230 ms at 178 kbps
//	Opening output live/seg-4.m4s
//
// A request starts when its answer does, an upload when it comes. Its bytes are those of the answer's body, of an upload those that came.
// It is aborted by this side (a writer that stopped, an upload that is not taken to its end), canceled by the client. Queries are never told.

const (
	maxLoggedPath  = 512
	maxLoggedField = 128
)

// wants says whether requests of a method are told of.
func (l RequestLog) wants(method string) bool {
	return l.All || slices.Contains(l.Methods, method)
}

// startLine is that of a request.
func startLine(id uint64, client string, r *http.Request, chunked bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s", tagOf(id, r), client, printable(r.Method, maxLoggedField), printable(r.URL.EscapedPath(), maxLoggedPath))
	if v := r.Header.Get("Range"); v != "" {
		fmt.Fprintf(&b, " [range: %s]", printable(v, maxLoggedField))
	}
	if v := r.Header.Get("DASH-IF-Ingest"); v != "" {
		fmt.Fprintf(&b, " [DASH-IF-Ingest: %s]", printable(v, maxLoggedField))
	}
	b.WriteString(" start")
	if chunked {
		b.WriteString(" chunk-transfer")
	}
	return b.String()
}

// ending is how a request has ended.
type ending uint8

const (
	finished ending = iota
	aborted         // by us
	canceled        // by the client
)

// endLine is that of a request that took so long.
func endLine(id uint64, r *http.Request, how ending, status int, bytes int64, took time.Duration) string {
	what := "aborted!"
	switch {
	case how == canceled:
		what = "canceled"
	case how == finished && status >= http.StatusBadRequest:
		what = fmt.Sprintf("done: error %d", status)
	case how == finished:
		what = fmt.Sprintf("done: reply %d", status)
	}
	return fmt.Sprintf("%s %s %s - %d bytes in %d ms at %s", tagOf(id, r), printable(r.Method, maxLoggedField), what, bytes, took.Milliseconds(), rate(bytes, took))
}

func tagOf(id uint64, r *http.Request) string {
	if r.ProtoMajor == 2 {
		return fmt.Sprintf("H2 REQ#%d", id)
	}
	return fmt.Sprintf("REQ#%d", id)
}

// rate is so many bytes in that time, in bits a second.
func rate(bytes int64, took time.Duration) string {
	bps := float64(8*bytes) / max(took, time.Microsecond).Seconds()
	switch {
	case bps >= 1e6:
		return fmt.Sprintf("%.1f mbps", bps/1e6)
	case bps >= 1e3:
		return fmt.Sprintf("%.0f kbps", bps/1e3)
	}
	return fmt.Sprintf("%.0f bps", bps)
}

// printable is s on one line of ASCII, and not longer than that.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		s = s[:most] + "..."
	}
	return s
}

// tell writes a line of the request log.
func (o *Origin) tell(line string) {
	if o.opts.Requests != nil {
		o.opts.Requests(line)
		return
	}
	o.log.LogAttrs(context.Background(), slog.LevelInfo, line)
}

// recordEvent tells of what is written (REC).
func (o *Origin) recordEvent(e store.Event) {
	s := o.site.Load()
	if s == nil || !s.conf.Log.Record {
		return
	}
	what := "Closing"
	switch e.What {
	case store.Began:
		what = "Opening"
	case store.Removed:
		what = "Deleting"
	case store.Ended, store.Aborted:
	}
	o.tell(what + " output " + printable(e.Name, maxLoggedPath))
}
