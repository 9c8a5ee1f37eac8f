// Package serve answers GET and HEAD for one object: complete ones with conditions, ranges and
// compression, growing ones as they come.
//
//	complete  200 206 304 412 416   Content-Length, ETag, Last-Modified, Accept-Ranges
//	growing   200 206 416           chunked (HTTP/1.1) or DATA (HTTP/2), no length, no ETag, no-cache
//
// A growing object that is broken off breaks the transfer (http.ErrAbortHandler): it never looks complete.
package serve

import (
	"net/http"

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
	panic("not built yet")
}

// TypeOf is the Content-Type of an object by its name, else the uploader's, else "" (then its first bytes say).
// Table 6 of DASH-IF Live Media Ingest 1.2, and what else is of the web.
func TypeOf(name, uploaders string) string { panic("not built yet") }

// List answers with a listing of a directory; names are escaped. path is what the client asked for, footer the last line.
func List(w http.ResponseWriter, r *http.Request, path string, list []store.Info, footer string) {
	panic("not built yet")
}
