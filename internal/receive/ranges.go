package receive

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"sluice/internal/store"
)

// span is a part of an object, in bytes; end is the first one behind it.
type span struct{ at, end int64 }

// maxSpans bounds what one request may describe.
const maxSpans = 256

var errRange = refuse(http.StatusRequestedRangeNotSatisfiable, "Range of an upload is bytes=FIRST-LAST,FIRST-LAST…")

// parseSpans reads the Range of an upload: bytes=0-1,4-5 or bytes=0-1,bytes=4-5. Each part has a first and a last byte, since the body is cut
// by them. The parts stay in order and may overlap: what is written later stays.
func parseSpans(s string) (spans []span, total int64, err error) {
	rest, ok := strings.CutPrefix(s, "bytes=")
	if !ok {
		return nil, 0, errRange
	}
	for part := range strings.SplitSeq(rest, ",") {
		part = strings.TrimPrefix(strings.Trim(part, " \t"), "bytes=")
		first, last, ok := strings.Cut(part, "-")
		a, errA := parseOffset(first)
		b, errB := parseOffset(last)
		if !ok || errA != nil || errB != nil || b < a || len(spans) == maxSpans || total > math.MaxInt64-(b+1-a) {
			return nil, 0, errRange
		}
		spans = append(spans, span{a, b + 1})
		total += b + 1 - a
	}
	return spans, total, nil
}

// parseOffset reads an offset: digits only, below 2^63-1.
func parseOffset(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errRange
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n == math.MaxInt64 {
		return 0, errRange
	}
	return n, nil
}

// fit says whether the spans can be written into an object of size bytes: it may become longer, up to limit (0 = none), but without holes.
func fit(spans []span, size, limit int64) error {
	for _, s := range spans {
		switch {
		case s.at > size:
			return refuse(http.StatusRequestedRangeNotSatisfiable, fmt.Sprintf("the object has %d bytes, the range begins at %d", size, s.at))
		case limit > 0 && s.end > limit:
			return errTooLong
		}
		size = max(size, s.end)
	}
	return nil
}

// patch writes the body into the ranges of an object that is there, one after the other: all of it, or nothing.
func (u *upload) patch(ranges string, buf []byte) error {
	spans, total, err := parseSpans(ranges)
	if err != nil {
		return err
	}
	if n := announced(u.r); n >= 0 && n != total {
		return refuse(http.StatusRequestedRangeNotSatisfiable, fmt.Sprintf("the ranges have %d bytes, the body %d", total, n))
	}
	to, err := u.st.Patch(u.name)
	if err != nil {
		return err
	}
	if err := u.fill(to, spans, buf); err != nil {
		to.Abort()
		return err
	}
	return to.End()
}

func (u *upload) fill(to store.Patch, spans []span, buf []byte) error {
	if err := fit(spans, to.Size(), u.o.MaxSize); err != nil {
		return err
	}
	s := spanWriter{to, spans}
	if err := u.copy(&s, buf, 0, nil); err != nil {
		return err
	}
	if len(s.spans) > 0 {
		return refuse(http.StatusBadRequest, "the body is shorter than its ranges")
	}
	return nil
}

// spanWriter writes what comes into spans, each when the one before is full.
type spanWriter struct {
	to    io.WriterAt
	spans []span // what is left
}

func (w *spanWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if len(w.spans) == 0 {
			return n, refuse(http.StatusRequestedRangeNotSatisfiable, "the body is longer than its ranges")
		}
		s := &w.spans[0]
		m, err := w.to.WriteAt(p[n:n+int(min(int64(len(p)-n), s.end-s.at))], s.at)
		n += m
		if err != nil {
			return n, err
		}
		if s.at += int64(m); s.at == s.end {
			w.spans = w.spans[1:]
		}
	}
	return n, nil
}
