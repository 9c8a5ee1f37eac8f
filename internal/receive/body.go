package receive

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
)

// openBody checks the head of an upload and returns its body as it is meant: without its coding, at most limit bytes (0 = no limit), each
// Read within stall. Nothing is read yet, so a client that waits for 100 Continue has none. Read gives io.EOF only at the end of a body
// that is complete; all its other errors are refusals.
func openBody(w http.ResponseWriter, r *http.Request, limit int64, stall time.Duration) (io.Reader, error) {
	if err := checkHead(r); err != nil {
		return nil, err
	}
	var body io.Reader = &patient{body: r.Body, rc: http.NewResponseController(w), stall: stall}
	coded := isCoded(r)
	if limit <= 0 {
		if coded {
			body = &gunzip{coded: body}
		}
		return body, nil
	}
	if coded {
		body = &gunzip{coded: &capped{body, codedLimit(limit)}}
	}
	if r.ContentLength > limit && !coded || r.ContentLength > codedLimit(limit) {
		return nil, errTooLong
	}
	return &capped{body, limit}, nil
}

// checkHead says what is wrong with how the body is announced.
func checkHead(r *http.Request) error {
	switch {
	case r.Header.Get("Content-Range") != "": // RFC 9110, 14.5: a server that does not know it must not take a part for the whole
		return refuse(http.StatusBadRequest, "Content-Range is not for uploads: name the part by Range")
	case r.ProtoMajor == 1 && r.ContentLength == 0 && r.Header.Get("Content-Length") == "":
		return refuse(http.StatusLengthRequired, "an upload has Content-Length or is chunked")
	case !isCoded(r) && !isPlain(r):
		return &refusal{
			status: http.StatusUnsupportedMediaType, text: "a body may be coded with gzip, or not at all",
			header: [2]string{"Accept-Encoding", "gzip"}, // RFC 9110, 15.5.16
		}
	}
	return nil
}

// isCoded says whether the body is gzip.
func isCoded(r *http.Request) bool {
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "gzip", "x-gzip":
		return len(r.Header["Content-Encoding"]) == 1
	}
	return false
}

// isPlain says whether the body has no coding.
func isPlain(r *http.Request) bool {
	c := strings.Join(r.Header["Content-Encoding"], ",")
	return c == "" || strings.EqualFold(c, "identity")
}

// announced is how long the object will be, in bytes; -1 if that is not known.
func announced(r *http.Request) int64 {
	if isCoded(r) {
		return -1
	}
	return r.ContentLength
}

// contentType is what the uploader says that it is; "" if nothing, or nothing that can be read.
func contentType(r *http.Request) string {
	t := r.Header.Get("Content-Type")
	if _, _, err := mime.ParseMediaType(t); err != nil || len(t) > 256 {
		return ""
	}
	return t
}

// codedLimit is how long a body of gzip can be that is not longer than limit without: deflate makes it longer by 5 bytes of 16 KiB at most,
// gzip by its head and tail. Beyond it there is nothing in it.
func codedLimit(limit int64) int64 { return limit + limit>>10 + 1<<10 }

// Patient is the body of an upload that somebody else takes: a Read that gets nothing for stall, or an eighth longer, fails with
// os.ErrDeadlineExceeded; 0 = never.
func Patient(w http.ResponseWriter, body io.Reader, stall time.Duration) io.Reader {
	return &patient{body: body, rc: http.NewResponseController(w), stall: stall}
}

// patient is a body whose Read waits no longer than stall, or an eighth longer: the deadline is not renewed each time, since on HTTP/2 that
// is a message to another goroutine.
type patient struct {
	body  io.Reader
	rc    *http.ResponseController
	stall time.Duration // 0 = it waits
	renew time.Time     // the deadline is good until then; zero = none was set
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.hold(time.Now()); err != nil {
		return 0, err
	}
	n, err := p.body.Read(b)
	switch {
	case err == nil:
	case err == io.EOF: // as it is: what wraps it is no end
		// The connection goes on: what comes next on it has its own time.
		if err := p.rc.SetReadDeadline(time.Time{}); err != nil {
			return n, fmt.Errorf("lift the deadline of an upload: %w", err)
		}
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &refusal{status: http.StatusRequestTimeout, text: fmt.Sprintf("nothing has come for %v", p.stall), cause: err}
	default:
		err = &refusal{status: http.StatusBadRequest, text: "the body broke off, or is not as it says", cause: err}
	}
	return n, err
}

// hold sets the deadline when it is time to. The first one takes the place of the server's.
func (p *patient) hold(now time.Time) error {
	if !p.renew.IsZero() && (p.stall <= 0 || now.Before(p.renew)) {
		return nil
	}
	p.renew = now.Add(p.stall / 8)
	var deadline time.Time
	if p.stall > 0 {
		deadline = p.renew.Add(p.stall)
	}
	if err := p.rc.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("set the deadline of an upload: %w", err)
	}
	return nil
}

// capped fails when more than left bytes come.
type capped struct {
	body io.Reader
	left int64
}

func (c *capped) Read(b []byte) (int, error) {
	n, err := c.body.Read(b)
	if c.left -= int64(n); c.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// gunzip is what a body of gzip holds; one of no bytes holds none. What was flushed can be read before more comes.
type gunzip struct {
	coded io.Reader
	plain *gzip.Reader // nil = nothing was read yet
}

func (g *gunzip) Read(b []byte) (n int, err error) {
	if g.plain == nil {
		if g.plain, err = gzip.NewReader(g.coded); err != nil {
			return 0, gzipError(err)
		}
	}
	n, err = g.plain.Read(b)
	return n, gzipError(err)
}

// gzipError tells what is wrong with the coding from what is wrong with the body.
func gzipError(err error) error {
	var r *refusal
	if err == nil || err == io.EOF || errors.As(err, &r) { //nolint:errorlint // io.ErrUnexpectedEOF is another one, and gzip wraps none
		return err
	}
	return &refusal{status: http.StatusBadRequest, text: "the body is not the gzip that it says", cause: err}
}
