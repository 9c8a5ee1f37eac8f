// Package receive takes uploads: PUT, POST and DELETE of one object.
//
//	PUT, POST  201 new, 200 replaced, Content-Location
//	           400 Content-Range, a body that is not as it says   403 no name, not permitted
//	           404 a range of what is not there   408 it stopped coming   409 somebody else writes it, it is a directory
//	           411 no length and not chunked (HTTP/1)   413 too long   415 a coding that is not gzip   416 bad ranges   507 no space
//	ingest     200 an empty body: nothing is stored   404 no publishing point   412 media before its initialization   415 no media
//	DELETE     200, 204 nothing there, 403 a directory
//
// What comes is appended at once, and readers have it at once. What breaks off breaks its readers, before it is answered.
// Answers have Content-Length, always. After one of 200, 201 or 204 the connection can be used again; who was refused while he still had
// something to say loses it (HTTP/1).
package receive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"sluice/internal/object"
	"sluice/internal/store"
)

// Options are how uploads are taken.
type Options struct {
	MaxSize int64         // maxs: bytes of an object, decoded; 0 = no limit
	Stall   time.Duration // an upload that sends nothing for so long, or an eighth longer, is broken off; 0 = never
	Keep    bool          // what breaks off stays (on_abort=keep), but not what is too long
	Ingest  bool          // DASH-IF Live Media Ingest 1.2: its status codes, init before media, folders that become empty go
	Points  []string      // publishing points of Ingest: directories of the store, the only ones that take uploads; none = the whole store is one
}

// Receiver takes uploads into stores. It knows which tracks have had their initialization (Options.Ingest).
type Receiver struct {
	o        Options
	initWait time.Duration
	tracks   tracks
	buffers  sync.Pool // of *[bufferSize]byte
}

// bufferSize is the most that is appended at once, in bytes.
const bufferSize = 64 << 10

// New makes a Receiver; all its state is bounded.
func New(o Options) *Receiver {
	return &Receiver{o: o, initWait: initWait, buffers: sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

// Put takes the body of r as the object name, which stands at path for clients, and answers. With Options.Ingest the path may be that of a
// directory (with a slash at its end): an empty request is answered, and nothing else taken. It returns what was received, in bytes
// (decoded), and why it was not taken. The server of r must not limit the time of the whole request.
func (x *Receiver) Put(w http.ResponseWriter, r *http.Request, st store.Store, name, path string) (received int64, err error) {
	u := upload{Receiver: x, r: r, st: st, name: name, directory: strings.HasSuffix(path, "/")}
	replaced, err := u.take(w)
	switch {
	case err != nil:
		Refuse(w, r, err)
	case u.empty:
		answer(w, http.StatusOK)
	default:
		Taken(w, path, replaced)
	}
	return u.received, err
}

// Delete removes an object, and answers.
func (x *Receiver) Delete(w http.ResponseWriter, r *http.Request, st store.Store, name string) error {
	err := st.Remove(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		answer(w, http.StatusNoContent)
		return nil
	case errors.Is(err, store.ErrIsDir):
		err = &refusal{status: http.StatusForbidden, text: "it is a directory", cause: err}
	}
	if err != nil {
		Refuse(w, r, err)
		return err
	}
	if x.o.Ingest {
		x.tracks.forget(st, name)
		dir := path.Dir(name)
		stays, _ := x.point(dir) // "" = none above it
		st.RemoveEmpty(dir, stays)
	}
	answer(w, http.StatusOK)
	return nil
}

// Body is the body of an upload that is not stored (source mode): dechunked, gunzipped where it says so, each Read bounded by the
// time of Options.Stall and none by Options.MaxSize. Its Read gives io.EOF only at the end of a body that is complete. Nothing has been
// answered; errors, also those of Read, are for Refuse: 400 Content-Range, 411 no length, 415 an unknown coding, 416 Range.
func (x *Receiver) Body(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	if r.Header.Get("Range") != "" {
		return nil, refuse(http.StatusRequestedRangeNotSatisfiable, "a channel has no ranges")
	}
	return openBody(w, r, 0, x.o.Stall)
}

// upload is one that is being taken. Of the goroutine of its request.
type upload struct {
	*Receiver
	r         *http.Request
	st        store.Store
	name      string
	directory bool // its path is that of a directory: Options.Ingest lets nothing but an empty request go there
	body      io.Reader
	received  int64
	empty     bool // Options.Ingest: there was nothing to store
}

// take takes the upload; nothing has been answered when it returns.
func (u *upload) take(w http.ResponseWriter) (replaced bool, err error) {
	if u.o.Ingest && !u.hasPoint() {
		return false, refuse(http.StatusNotFound, "there is no publishing point here")
	}
	if u.body, err = openBody(w, u.r, u.o.MaxSize, u.o.Stall); err != nil {
		return false, err
	}
	buf := u.buffers.Get().(*[bufferSize]byte)
	defer u.buffers.Put(buf)
	switch ranges := u.r.Header.Get("Range"); {
	case ranges != "":
		return true, u.patch(ranges, buf[:])
	case u.o.Ingest:
		return u.ingest(buf[:])
	}
	return u.create(buf[:], 0, nil)
}

// create makes the object of what buf has already, and of what comes until the body ends; ended is what has ended it already.
func (u *upload) create(buf []byte, have int, ended error) (replaced bool, err error) {
	to, err := u.st.Create(u.name, store.Create{
		Type:   contentType(u.r),
		Hidden: store.Manifest(u.name),
		Keep:   u.o.Keep,
		Size:   announced(u.r),
	})
	if err != nil {
		return false, err
	}
	if err := u.copy(to, buf, have, ended); err != nil {
		if errors.Is(err, errTooLong) {
			to.Discard(err)
		} else {
			to.Abort(err)
		}
		return false, err
	}
	replaced, err = to.End()
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", object.ErrAborted, err)
	}
	return replaced, err
}

// copy writes what comes, each piece at once.
func (u *upload) copy(to io.Writer, buf []byte, have int, ended error) error {
	for {
		if u.received += int64(have); have > 0 {
			if _, err := to.Write(buf[:have]); err != nil {
				return err
			}
		}
		if ended == io.EOF {
			return nil
		}
		if ended != nil {
			return ended
		}
		have, ended = u.body.Read(buf)
	}
}
