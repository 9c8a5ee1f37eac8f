package serve

import (
	"net/http"
	"strings"
	"time"
)

// state is what conditions are compared with: what the object is now.
type state struct {
	tag      string    // entity tag; "" = it has none
	modified time.Time // in whole seconds, as a header says it; zero = it is not known
}

// judge evaluates the conditions of a request for an object that is there, in the order of RFC 9110, 13.2.2: 0 (go on), 304 or 412.
func (s state) judge(r *http.Request) int {
	h := r.Header
	if match := h.Values("If-Match"); len(match) > 0 {
		if !s.among(match, strong) {
			return http.StatusPreconditionFailed
		}
	} else if t, ok := date(h, "If-Unmodified-Since"); ok && s.changedSince(t) {
		return http.StatusPreconditionFailed
	}
	if match := h.Values("If-None-Match"); len(match) > 0 {
		if s.among(match, weak) {
			return http.StatusNotModified
		}
	} else if t, ok := date(h, "If-Modified-Since"); ok && !s.modified.IsZero() && !s.changedSince(t) {
		return http.StatusNotModified
	}
	return 0
}

// rangeHolds evaluates If-Range (13.1.5): whether a range is of the object as the client knows it.
func (s state) rangeHolds(r *http.Request) bool {
	condition := strings.TrimSpace(r.Header.Get("If-Range"))
	if condition == "" {
		return true
	}
	if tag, rest := cutTag(condition); tag != "" && rest == "" {
		return strong(tag, s.tag)
	}
	t, err := http.ParseTime(condition)
	return err == nil && !s.modified.IsZero() && t.Equal(s.modified)
}

// changedSince says whether the object is newer; one whose age is not known is not.
func (s state) changedSince(t time.Time) bool { return !s.modified.IsZero() && s.modified.After(t) }

// date reads the date of a condition; one that is none counts as not there.
func date(h http.Header, name string) (time.Time, bool) {
	text := h.Get(name)
	if text == "" {
		return time.Time{}, false
	}
	t, err := http.ParseTime(text)
	return t, err == nil
}

// among says whether a list of tags has the object's; "*" has that of any object. What comes after something that
// is no tag is not looked at.
func (s state) among(lines []string, same func(a, b string) bool) bool {
	list := strings.Join(lines, ",")
	if strings.TrimSpace(list) == "*" {
		return true
	}
	for tag, rest := nextTag(list); tag != ""; tag, rest = nextTag(rest) {
		if same(tag, s.tag) {
			return true
		}
	}
	return false
}

// strong is the strong comparison of 8.8.3.2.
func strong(a, b string) bool { return a == b && a != "" && a[0] == '"' }

// weak is the weak comparison of 8.8.3.2.
func weak(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/") && a != ""
}

// nextTag takes the next tag from a list; "" when there is none.
func nextTag(list string) (tag, rest string) {
	return cutTag(strings.TrimLeft(list, ", \t"))
}

// cutTag takes a tag from the beginning of a text; "" when there is none.
func cutTag(text string) (tag, rest string) {
	opaque := strings.TrimPrefix(text, "W/")
	if !strings.HasPrefix(opaque, `"`) {
		return "", text
	}
	end := strings.IndexByte(opaque[1:], '"')
	if end < 0 {
		return "", text
	}
	n := len(text) - len(opaque) + end + 2
	return text[:n], text[n:]
}
