package gws

import (
	"net"
	"net/http"
	"time"

	"sluice/internal/httpx"
)

// serveElsewhere gives a request to whom it is for: he asks his own guard, takes his time, and
// keeps his own log. A client that takes nothing of the answer is ended as any other.
func serveElsewhere(conf *Config, w http.ResponseWriter, r *http.Request) *refusal {
	control := http.NewResponseController(w)
	if err := unhurried(control); err != nil {
		return &refusal{code: http.StatusInternalServerError, text: "this connection cannot carry the request", hint: err.Error()}
	}
	whole := false
	defer func() {
		if conn, _ := r.Context().Value(connKey{}).(net.Conn); !whole {
			httpx.Reset(conn, r)
		}
	}()
	conf.Elsewhere.ServeHTTP(&taken{w, control, conf.Stall}, r)
	whole = true
	_ = control.SetWriteDeadline(time.Now().Add(conf.Stall)) // of what net/http still holds
	return nil
}

// taken is an answer of which a client takes each piece in its time; between two pieces there may be any.
type taken struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

// Unwrap is for http.ResponseController.
func (t *taken) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// Write implements http.ResponseWriter.
func (t *taken) Write(p []byte) (n int, err error) {
	t.timed(func() { n, err = t.ResponseWriter.Write(p) })
	return n, err
}

// FlushError is for http.ResponseController.
func (t *taken) FlushError() (err error) {
	t.timed(func() { err = t.control.Flush() })
	return err
}

// timed calls f, which writes. HTTP/2 ends a stream when its time is over, written or not: so there is none behind it.
func (t *taken) timed(f func()) {
	_ = t.control.SetWriteDeadline(time.Now().Add(t.stall)) // it is there: unhurried has set it
	f()
	_ = t.control.SetWriteDeadline(time.Time{})
}
