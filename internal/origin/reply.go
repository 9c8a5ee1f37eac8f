package origin

import (
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// reply is the answer to one request: it counts, and keeps the ways of net/http (io.ReaderFrom, http.ResponseController).
//
// On HTTP/1 the connection itself sees to it that the client takes something (conn.Write). On HTTP/2 a stream may stand still while its
// connection does not, so each write is given its time here.
type reply struct {
	http.ResponseWriter
	head   func(status int) // called once, before the head goes out
	take   time.Duration    // for each write; 0 = not here
	plain  *conn            // of HTTP/1 without TLS; nil = it is not
	bodily bool             // what is written is sent: no HEAD
	status int              // 0 = the head is not written
	sent   int64            // bytes of the body
	total  *atomic.Uint64   // of all answers; counted as they go out, since some have no end
}

// minJoined is from how many bytes on a file is sent by itself: what is less net/http copies behind the head.
const minJoined = 2 << 10

// Unwrap is for http.ResponseController.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *reply) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.head(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *reply) Write(p []byte) (n int, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.timed(func() { n, err = w.ResponseWriter.Write(p) })
	w.count(int64(n))
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (w *reply) ReadFrom(src io.Reader) (int64, error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if err := w.join(src); err != nil {
		return 0, err
	}
	n, err := to.ReadFrom(src)
	w.count(n)
	return n, err
}

// join sends the head of an answer on its way with the file that follows it. net/http would send it by itself, with the file's beginning, which
// it reads for that.
func (w *reply) join(src io.Reader) error {
	part, ok := src.(*io.LimitedReader)
	if !ok || w.plain == nil || part.N < minJoined {
		return nil
	}
	if _, ok := part.R.(*os.File); !ok {
		return nil
	}
	w.plain.joins = true
	defer func() { w.plain.joins = false }()
	return w.FlushError()
}

// FlushError is for http.ResponseController.
func (w *reply) FlushError() (err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.timed(func() { err = http.NewResponseController(w.ResponseWriter).Flush() })
	return err
}

func (w *reply) count(n int64) {
	if w.bodily {
		w.sent += n
		w.total.Add(uint64(n))
	}
}

// timed calls f, which writes. Between two writes there is no limit.
func (w *reply) timed(f func()) {
	if w.take <= 0 {
		f()
		return
	}
	control := http.NewResponseController(w.ResponseWriter)
	_ = control.SetWriteDeadline(time.Now().Add(w.take)) // HTTP/2 knows it
	f()
	_ = control.SetWriteDeadline(time.Time{})
}

// leave gives what net/http still holds of the answer its time.
func (w *reply) leave() {
	if w.take > 0 {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.take))
	}
}

// counted is the body of a request, which is counted as it comes.
type counted struct {
	io.ReadCloser
	total *atomic.Uint64
	begun atomic.Bool // somebody has asked for it
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	c.begun.Store(true)
	n, err := c.ReadCloser.Read(p)
	c.total.Add(uint64(n))
	return n, err
}
