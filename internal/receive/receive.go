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
// time of Options.Stall. The error of its Read is io.EOF only at the end of a body that is complete.
func (x *Receiver) Body(w http.ResponseWriter, r *http.Request) (BodyReader, error) {
	panic("not built yet")
}

// BodyReader is io.Reader.
type BodyReader interface{ Read(p []byte) (int, error) }
