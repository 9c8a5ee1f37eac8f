package serve

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
)

// maxSpans is how many ranges a request may have; one with more is answered with the whole object (RFC 9110, 14.2
// permits it). So are several ranges that are longer than the object together: they overlap. With both, no request
// costs more than the object and some headers.
const maxSpans = 64

// span is a range as it was asked for, before it is known how long the object is.
type span struct {
	first int64 // none = the span is the last so many bytes
	last  int64 // inclusive; none = wherever the object ends
}

const none int64 = -1

// closed says whether both ends are said.
func (s span) closed() bool { return s.first != none && s.last != none }

// open says whether the span is all from some place on.
func (s span) open() bool { return s.first != none && s.last == none }

// spans are the ranges that the answer is to have; none = the whole object.
func (a *answer) spans(now state) ([]span, error) {
	if a.r.Method != http.MethodGet || a.options.NoRange || !now.rangeHolds(a.r) {
		return nil, nil
	}
	return parseRange(a.r.Header.Get("Range"))
}

// parseRange reads a Range header (RFC 9110, 14.1.2); none when there is none, when its unit is not bytes, or when
// it has too many ranges. "bytes=0-3, bytes=10-13" counts as "bytes=0-3,10-13": GPAC's clients say it so.
func parseRange(header string) ([]span, error) {
	unit, list, ok := strings.Cut(header, "=")
	if !ok || !isBytes(unit) {
		return nil, nil
	}
	var spans []span
	for element := range strings.SplitSeq(list, ",") {
		if unit, rest, ok := strings.Cut(element, "="); ok && isBytes(unit) && len(spans) > 0 {
			element = rest
		}
		element = strings.Trim(element, " \t")
		if element == "" {
			continue
		}
		if len(spans) == maxSpans {
			return nil, nil
		}
		s, err := parseSpan(element)
		if err != nil {
			return nil, err
		}
		spans = append(spans, s)
	}
	if len(spans) == 0 {
		return nil, errors.New("the Range header has no range")
	}
	return spans, nil
}

func isBytes(unit string) bool { return strings.EqualFold(strings.Trim(unit, " \t"), "bytes") }

// parseSpan reads first-last, first- or -length.
func parseSpan(text string) (span, error) {
	bad := fmt.Errorf("%.40q is no range: want first-last, first- or -length", text)
	from, to, ok := strings.Cut(text, "-")
	if !ok || from == "" && to == "" {
		return span{}, bad
	}
	s := span{first: none, last: none}
	if from != "" {
		if s.first, ok = position(from); !ok {
			return span{}, bad
		}
	}
	if to != "" {
		if s.last, ok = position(to); !ok || s.last < s.first {
			return span{}, bad
		}
	}
	return s, nil
}

// position reads digits. A number beyond all sizes is one that is just so.
func position(text string) (n int64, ok bool) {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n, (math.MaxInt64-9)/10)
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// in is the span in an object of so many bytes, cut where that ends; false when there is nothing of it.
func (s span) in(size int64) (from, n int64, ok bool) {
	switch {
	case s.first == none:
		n = min(s.last, size)
		return size - n, n, n > 0
	case s.first >= size:
		return 0, 0, false
	case s.last == none || s.last >= size:
		return s.first, size - s.first, true
	}
	return s.first, s.last - s.first + 1, true
}
