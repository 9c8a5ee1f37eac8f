// Package serve answers GET and HEAD for one object: complete ones with conditions, ranges and
// compression, growing ones as they come.
//
//	complete  200 206 304 412 416   Content-Length, ETag, Last-Modified, Accept-Ranges
//	growing   200 206 416           chunked (HTTP/1.1) or DATA (HTTP/2), no length, no ETag, no-cache
//
// A growing object that is broken off breaks the transfer (http.ErrAbortHandler): it never looks complete.
package serve

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/store"
)

// Options are how objects are served.
type Options struct {
	NoRange      bool   // ranges are not looked at
	Concat       bool   // several ranges are one body, one behind the other, not multipart/byteranges
	CompressMax  int64  // zmax: text up to so many bytes is compressed when the client wants it; 0 = never
	CompressMin  int64  // what is smaller is not
	CacheControl string // of complete objects; "" = none said
	NoTag        bool   // neither ETag nor Cache-Control (cache_control=none)
	Whole        bool   // cte=0: a growing object is waited for, and has a length
	OpenRange    bool   // whether who asks for it (X-Allow-Open-Partial-Range, User-Agent GPAC/) gets an open range of a growing object at once
	Type         string // Content-Type for all; "" = TypeOf
}

// Item answers r, a GET or HEAD, with an item, which it closes. Headers that w has already stay. An answer that has begun and cannot be
// finished, whoever is to blame, ends in a panic with http.ErrAbortHandler: no client takes what it has for the whole. An error is for
// logs: the client was told, in its own words, that there is no answer (an object that cannot be read, a wait that ended with its request).
//
// w is net/http's or unwraps to it; complete files go through its io.ReaderFrom (sendfile).
func Item(w http.ResponseWriter, r *http.Request, it *store.Item, o Options) error {
	defer it.Close()
	a := answer{w: w, r: r, info: it.Info, options: o}
	if it.Object != nil {
		return a.growing(it.Object)
	}
	a.state = state{tag: it.Tag, modified: lastModified(it.Modified)}
	return a.complete(it.Content, it.Size)
}

// answer is one answer on its way.
type answer struct {
	w       http.ResponseWriter
	r       *http.Request
	info    store.Info
	options Options
	state   state // of an object that was complete when it was asked for
}

// complete answers with an object all of which is there.
func (a *answer) complete(content io.ReadSeeker, size int64) error {
	kind, err := a.kind(content)
	if err != nil {
		return a.unreadable(err)
	}
	coding := a.coding(kind, size)
	now := a.validators(coding)
	a.describe(kind, now)
	if status := now.judge(a.r); status != 0 {
		a.unfulfilled(status)
		return nil
	}
	if coding != identity {
		return a.compressed(content, size, kind, coding)
	}
	spans, err := a.spans(now)
	if err != nil {
		a.unsatisfiable(size, err.Error())
		return nil
	}
	l, ok := arrange(spans, size, kind, a.options.Concat)
	if !ok {
		a.unsatisfiable(size, fmt.Sprintf("the object has %d bytes", size))
		return nil
	}
	a.send(content, l)
	return nil
}

// send writes an answer of known length.
func (a *answer) send(content io.ReadSeeker, l layout) {
	l.writeHeader(a.w)
	if a.r.Method == http.MethodHead {
		return
	}
	if err := l.writeBody(a.w, content); err != nil {
		a.abort()
	}
}

// kind is the Content-Type: what is said of all, what the name or the uploader says, what the first bytes look like. Of
// an object that is still to come (content is nil) these are not known.
func (a *answer) kind(content io.ReadSeeker) (string, error) {
	if kind := cmp.Or(a.w.Header().Get("Content-Type"), a.options.Type, store.TypeOf(a.info.Name, a.info.Type)); kind != "" {
		return kind, nil
	}
	if content == nil {
		return "application/octet-stream", nil
	}
	return sniff(content)
}

// validators are those of the form that is sent.
func (a *answer) validators(coding string) state {
	s := a.state
	if a.options.NoTag {
		s.tag = ""
	}
	if own := a.w.Header().Get("Etag"); own != "" {
		s.tag = own
	}
	if s.tag != "" && coding != identity {
		s.tag = codedTag(s.tag, coding)
	}
	return s
}

// describe sets what every answer about a complete object says of it, also 304.
func (a *answer) describe(kind string, now state) {
	h := a.w.Header()
	a.vary(kind)
	if now.tag != "" {
		h.Set("Etag", now.tag)
	}
	if !now.modified.IsZero() {
		setDefault(h, "Last-Modified", now.modified.Format(http.TimeFormat))
	}
	if a.options.CacheControl != "" && !a.options.NoTag {
		setDefault(h, "Cache-Control", a.options.CacheControl)
	}
	if !a.options.NoRange {
		setDefault(h, "Accept-Ranges", "bytes")
	}
}

// unfulfilled answers when a condition does not hold: 304 or 412.
func (a *answer) unfulfilled(status int) {
	if status == http.StatusPreconditionFailed {
		a.refuse(status, "the object is not what the condition of the request says")
		return
	}
	h := a.w.Header()
	h.Del("Content-Type")
	h.Del("Content-Encoding")
	h.Del("Content-Length")
	a.w.WriteHeader(status)
}

// unsatisfiable answers a range that an object of so many bytes (negative = it is not known) does not have.
func (a *answer) unsatisfiable(size int64, why string) {
	if size >= 0 {
		a.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	}
	a.refuse(http.StatusRequestedRangeNotSatisfiable, why)
}

// refuse answers with an error: what was said of the object is not true of that.
func (a *answer) refuse(status int, why string) {
	h := a.w.Header()
	h.Del("Etag")
	h.Del("Last-Modified")
	h.Del("Accept-Ranges")
	httpx.Error(a.w, status, why)
}

// unreadable answers when an object cannot be read, and passes the reason on.
func (a *answer) unreadable(err error) error {
	a.refuse(http.StatusInternalServerError, "the object cannot be read")
	return fmt.Errorf("read %s: %w", a.info.Name, err)
}

// abort ends an answer that has begun so that nobody takes it for finished. What has been written is the client's.
func (a *answer) abort() {
	_ = http.NewResponseController(a.w).Flush() // the client may be gone
	panic(http.ErrAbortHandler)
}

// setDefault sets a header that nobody has set.
func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// lastModified is a time as a header can say it: whole seconds; zero when there is nothing to say.
func lastModified(t time.Time) time.Time {
	if t.Unix() <= 0 {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}
