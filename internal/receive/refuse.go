package receive

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"sluice/internal/httpx"
	"sluice/internal/object"
	"sluice/internal/store"
)

// refusal is an upload that is not taken.
type refusal struct {
	status int
	text   string    // for the client
	header [2]string // of the answer; none if empty
	cause  error     // nil = the text says it all
}

func (r *refusal) Error() string {
	if r.cause == nil {
		return r.text
	}
	return r.text + ": " + r.cause.Error()
}

func (r *refusal) Unwrap() error { return r.cause }

func refuse(status int, text string) error { return &refusal{status: status, text: text} }

var errTooLong = refuse(http.StatusRequestEntityTooLarge, "it is longer than this server takes")

// refusalOf is what err means to a client. What went wrong inside is not told.
func refusalOf(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	for _, c := range []struct {
		is     error
		status int
		text   string
	}{
		{store.ErrName, http.StatusForbidden, "this is no name of an object, or it leaves the store"},
		{store.ErrDenied, http.StatusForbidden, "the server may not write here"},
		{store.ErrBusy, http.StatusConflict, "somebody else is writing it"},
		{store.ErrIsDir, http.StatusConflict, "it is a directory"},
		{store.ErrNotDir, http.StatusConflict, "a part of its path is an object, not a directory"},
		{object.ErrAborted, http.StatusConflict, "somebody has removed it while it was written"},
		{store.ErrFull, http.StatusInsufficientStorage, "there is no room for it"},
		{fs.ErrNotExist, http.StatusNotFound, "it is not there"},
	} {
		if errors.Is(err, c.is) {
			return &refusal{status: c.status, text: c.text}
		}
	}
	return &refusal{status: http.StatusInternalServerError, text: "the server could not do it"}
}

// linger is how long a client that was refused may go on sending before the connection is closed under it: it is to see the answer.
const linger = 2 * time.Second

// pause is how long such a client may send nothing: then the answer has come to it, or it does not wait for one.
const pause = 300 * time.Millisecond

// Refuse is Deny with what err means to the client: an error of this package or of a store.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	why := refusalOf(err)
	if why.header[0] != "" {
		w.Header().Set(why.header[0], why.header[1])
	}
	Deny(w, r, why.status, why.text)
}

// Deny answers with an error, at once, whatever of the request has come. On HTTP/1 the connection is closed after an answer to a request
// with a body: what comes of it yet is thrown away, for so long as linger says at most.
func Deny(w http.ResponseWriter, r *http.Request, status int, text string) {
	closes := r.ProtoMajor == 1 && r.Body != http.NoBody
	if closes {
		w.Header().Set("Connection", "close")
		w.Header().Del("Keep-Alive")
	}
	httpx.Error(w, status, text)
	if closes && status != http.StatusRequestTimeout {
		throwAway(w, r)
	}
}

// throwAway sends the answer and reads what the client sends yet: a connection that is closed on unread bytes is reset, and the
// answer with it.
func throwAway(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if c.Flush() != nil {
		return
	}
	b := make([]byte, 32<<10)
	for end := time.Now().Add(linger); time.Now().Before(end); {
		if c.SetReadDeadline(time.Now().Add(pause)) != nil {
			return // net/http closes as it does
		}
		if _, err := r.Body.Read(b); err != nil {
			return
		}
	}
}

// Taken answers an upload that was taken: 201, or 200 when it replaced something. path is where it stands for clients, not encoded.
func Taken(w http.ResponseWriter, path string, replaced bool) {
	w.Header().Set("Content-Location", (&url.URL{Path: path}).EscapedPath())
	status := http.StatusCreated
	if replaced {
		status = http.StatusOK
	}
	answer(w, status)
}

// answer answers without a body.
func answer(w http.ResponseWriter, status int) {
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", "0")
	}
	w.WriteHeader(status)
}
