// Package receive takes uploads: PUT, POST and DELETE of one object.
//
//	PUT, POST  201 new, 200 replaced, Content-Location
//	           400 Content-Range, a body that is not as it says   408 it stopped coming   409 somebody else writes it
//	           411 no length and not chunked (HTTP/1)   413 too long   416 bad ranges   507 no space
//	DELETE     200, 204 nothing there, 403 a directory
//
// Answers have Content-Length, always, so that the connection can be used again.
package receive

import (
	"io"
	"net/http"
	"time"

	"sluice/internal/store"
)

// Options are how uploads are taken.
type Options struct {
	MaxSize int64         // maxs: bytes of an object; 0 = no limit
	Stall   time.Duration // an upload that sends nothing for so long is broken off; 0 = never
	Keep    bool          // what breaks off stays (on_abort=keep)
	Whole   bool          // nothing is seen before it is complete (cte=0)
	Ingest  bool          // DASH-IF Live Media Ingest 1.2: its status codes, init before media, folders that become empty go
	Points  []string      // publishing points of Ingest: directories of the store, the only ones that take uploads; none = the whole store is one
}

// Receiver takes uploads into stores. It knows which tracks have had their initialization (Options.Ingest).
type Receiver struct{}

// New makes a Receiver; all its state is bounded.
func New(o Options) *Receiver { panic("not built yet") }

// Put takes the body of r as the object name, which stands at path for clients, and answers. It returns what was received, in bytes, and why it was not taken.
func (x *Receiver) Put(w http.ResponseWriter, r *http.Request, st store.Store, name, path string) (received int64, err error) {
	panic("not built yet")
}

// Delete removes an object, and answers.
func (x *Receiver) Delete(w http.ResponseWriter, r *http.Request, st store.Store, name string) error {
	panic("not built yet")
}

// Body is the body of an upload that is not stored (source mode): dechunked, gunzipped where it says so, each Read bounded by the
// time of Options.Stall and none by Options.MaxSize. Its Read gives io.EOF only at the end of a body that is complete. Nothing has been
// answered; errors, also those of Read, are for Refuse: 400 Content-Range, 411 no length, 415 an unknown coding, 416 Range.
func (x *Receiver) Body(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	panic("not built yet")
}

// Taken answers an upload that was taken: 201, or 200 when it replaced something. path is where it stands for clients, not encoded.
func Taken(w http.ResponseWriter, path string, replaced bool) { panic("not built yet") }

// Refuse answers with what err means to the client: an error of this package or of a store. On HTTP/1 the connection is closed when some of
// the body was not read.
func Refuse(w http.ResponseWriter, r *http.Request, err error) { panic("not built yet") }
