package serve

import (
	"fmt"
	"math"
	"net/http"
	"strings"

	"sluice/internal/object"
)

// toTheEnd is more than any object has: who waits for that waits until it has ended.
const toTheEnd = math.MaxInt64

// growing answers with an object that was growing when it was opened. Its conditions are those of an object without an entity
// tag and a date: only "*" is true of it (RFC 9110, 13.1.1, 13.1.2).
func (a *answer) growing(o *object.Object) error {
	hold, err := o.Reader(0, -1) // what ends meanwhile stays
	if err != nil {
		return a.unreadable(err)
	}
	defer hold.Close()
	if status := a.state.judge(a.r); status != 0 {
		a.prepare()
		a.unfulfilled(status)
		return nil
	}
	spans, err := a.spans(a.state)
	if err != nil {
		a.unsatisfiable(-1, err.Error())
		return nil
	}
	if len(spans) == 1 && spans[0] == (span{0, none}) && !a.takesOpen() {
		spans = nil // all there is, as many players ask for it by habit: it may come as it comes
	}
	size, was, err := o.Wait(a.r.Context(), a.beyond(spans))
	switch {
	case err != nil:
		a.refuse(http.StatusServiceUnavailable, "the object is not complete yet")
		return fmt.Errorf("wait for %s: %w", a.info.Name, err)
	case was == object.Aborted:
		a.refuse(http.StatusNotFound, "the object was broken off by its writer")
		return nil
	case was == object.Complete:
		return a.complete(hold.Section(size), size)
	case len(spans) == 1 && spans[0].closed():
		a.section(hold, spans[0])
	default:
		a.stream(o, spans, size)
	}
	return nil
}

// beyond is how many bytes an object must have more than for the head of an answer to be true: of what is sent as it comes
// none, of a closed range its last, of an open one its first. All else waits for the end.
func (a *answer) beyond(spans []span) int64 {
	switch get := a.r.Method == http.MethodGet; {
	case a.options.Whole, get && !a.r.ProtoAtLeast(1, 1):
		return toTheEnd // HTTP/1.0 cannot say that a transfer was broken off
	case len(spans) == 0:
		return -1
	case len(spans) == 1 && spans[0].closed():
		return spans[0].last
	case len(spans) == 1 && spans[0].open() && a.takesOpen():
		return spans[0].first
	}
	return toTheEnd
}

// takesOpen says whether the client takes a range without an end, "bytes 500-/*": RFC 9110 does not know it.
func (a *answer) takesOpen() bool {
	if !a.options.OpenRange {
		return false
	}
	switch strings.ToLower(a.r.Header.Get("X-Allow-Open-Partial-Range")) {
	case "1", "true", "yes":
		return true
	}
	return strings.HasPrefix(a.r.UserAgent(), "GPAC/")
}

// section sends a closed range of an object that has it, but is not complete.
func (a *answer) section(content *object.Reader, s span) {
	kind := a.prepare()
	l := concatenated([]piece{{from: s.first, n: s.last - s.first + 1}}, "*", kind)
	a.send(content.Section(s.last+1), l)
}

// stream sends an object as it comes: all of it, or from the beginning of an open range. Of size bytes it is known that they are there.
func (a *answer) stream(o *object.Object, spans []span, size int64) {
	h, status, from := a.w.Header(), http.StatusOK, int64(0)
	h.Set("Content-Type", a.prepare())
	if len(spans) == 1 {
		status, from = http.StatusPartialContent, spans[0].first
		h.Set("Content-Range", fmt.Sprintf("bytes %d-/*", from))
	}
	a.w.WriteHeader(status)
	if a.r.Method == http.MethodHead {
		return
	}
	flush := http.NewResponseController(a.w).Flush
	if size == from {
		_ = flush() // the client is to know that there is an answer; if it is gone the first Write tells
	}
	content, err := o.Reader(from, -1)
	if err == nil {
		defer content.Close()
		_, err = content.Copy(a.r.Context(), a.w, flush)
	}
	if err != nil {
		a.abort()
	}
}

// prepare sets what every answer says of an object that is not complete, and finds its Content-Type.
func (a *answer) prepare() (kind string) {
	kind, _ = a.kind(nil) // nothing is read
	a.vary(kind)
	setDefault(a.w.Header(), "Cache-Control", "no-cache")
	return kind
}
