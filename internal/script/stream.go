package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/dop251/goja"

	"sluice/internal/logs"
)

const (
	bufferSize = 32 << 10              // bytes of the ArrayBuffer of read and write
	pieceSize  = 16 << 10              // bytes of a body between two calls of throttle
	againAfter = 20 * time.Millisecond // read is asked again when it had nothing
	maxDelay   = time.Minute           // that throttle may ask for at one go
)

// Serve answers with what the script reads, or gives it the body of an upload (Answer.Streamed), and then answers. The headers of the
// answer are w's already. An *Error: nothing has been written yet. Any other: the answer has begun and cannot be finished, so the caller
// ends the connection.
func (x *Exchange) Serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		return x.take(w, r)
	}
	out := &opener{ResponseWriter: w, status: x.Answer.Status, length: x.Answer.length}
	if r.Method == http.MethodHead || !hasBody(x.Answer.Status) {
		out.open()
		return nil
	}
	return x.give(r.Context(), out)
}

// give answers with what the script reads.
func (x *Exchange) give(ctx context.Context, out *opener) error {
	pace := pace{x: x, ctx: ctx, total: x.Answer.length, before: out.flush}
	buffer := make([]byte, bufferSize)
	since := time.Now()
	for {
		err := pace.wait()
		n := 0
		if err == nil {
			n, err = x.read(ctx, buffer)
		}
		switch {
		case err != nil:
			return out.failure(err)
		case n > 0:
			since = time.Now()
			if _, err := out.Write(buffer[:n]); err != nil {
				return out.failure(err)
			}
			pace.done += int64(n)
			continue
		case n == 0:
			out.open()
			if x.Answer.length >= 0 && pace.done != x.Answer.length {
				return fmt.Errorf("the script has said Content-Length: %d and has read %d bytes", x.Answer.length, pace.done)
			}
			return nil
		}
		if time.Since(since) > x.hook.conf.Park {
			return out.failure(errStuck)
		}
		out.flush()
		if err := sleep(ctx, againAfter); err != nil {
			return out.failure(err)
		}
	}
}

// opener writes the head of the answer when it is sure that there is one.
type opener struct {
	http.ResponseWriter
	status int
	length int64 // negative = nobody knows
	opened bool
}

func (o *opener) open() {
	if o.opened {
		return
	}
	o.opened = true
	if o.length >= 0 && hasBody(o.status) {
		o.Header().Set("Content-Length", strconv.FormatInt(o.length, 10))
	}
	o.WriteHeader(o.status)
}

// hasBody says whether an answer of a status has a body (RFC 9110, 6.4.1).
func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

func (o *opener) Write(p []byte) (int, error) {
	o.open()
	return o.ResponseWriter.Write(p)
}

// flush has the client get what there is, before there is nothing for a while.
func (o *opener) flush() {
	o.open()
	_ = http.NewResponseController(o.ResponseWriter).Flush() // the next Write fails if the client has gone
}

// failure is an *Error only if nothing has been written.
func (o *opener) failure(err error) error {
	if o.opened {
		return errors.New("the answer of the script broke off: " + err.Error())
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{http.StatusInternalServerError, err}
}

// read has the script put bytes into buffer: how many, 0 at the end, less if there are none yet.
func (x *Exchange) read(ctx context.Context, buffer []byte) (int, error) {
	got := 0
	err := x.call(ctx, func() error {
		f, ok := goja.AssertFunction(x.req.Get("read"))
		if !ok {
			return errors.New("read is no function any more")
		}
		if x.buffer == (goja.ArrayBuffer{}) || x.buffer.Detached() {
			x.buffer = x.engine.vm.NewArrayBuffer(make([]byte, bufferSize))
		}
		value, err := f(x.req, x.engine.vm.ToValue(x.buffer))
		if err != nil {
			return err
		}
		n := value.ToInteger()
		if n > int64(len(x.buffer.Bytes())) {
			return fmt.Errorf("read says it has put %d bytes into %d", n, len(x.buffer.Bytes()))
		}
		got = int(max(n, -1))
		copy(buffer, x.buffer.Bytes()[:max(got, 0)])
		return nil
	})
	if err != nil {
		return 0, err
	}
	return got, nil
}

// take gives the script the body of an upload, then answers.
func (x *Exchange) take(w http.ResponseWriter, r *http.Request) error {
	pace := pace{x: x, ctx: r.Context(), total: r.ContentLength, before: func() {}}
	buffer := make([]byte, bufferSize)
	for {
		if err := pace.wait(); err != nil {
			return err
		}
		n, err := r.Body.Read(buffer)
		if n > 0 {
			if err := x.write(r.Context(), buffer[:n]); err != nil {
				return err
			}
			pace.done += int64(n)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return &Error{http.StatusRequestEntityTooLarge, err}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return &Error{http.StatusRequestTimeout, fmt.Errorf("the upload: %w", err)}
		}
		if err != nil {
			return &Error{http.StatusBadRequest, fmt.Errorf("the upload broke off: %w", err)}
		}
	}
	if err := x.write(r.Context(), nil); err != nil {
		return err
	}
	out := &opener{ResponseWriter: w, status: x.Answer.Status, length: int64(len(x.Answer.Body))}
	out.open()
	if !hasBody(x.Answer.Status) {
		return nil
	}
	_, err := io.WriteString(w, x.Answer.Body)
	return err
}

// write gives the script a copy of bytes of a body; nil is its end.
func (x *Exchange) write(ctx context.Context, p []byte) error {
	whole := append([]byte(nil), p...)
	return x.call(ctx, func() error {
		f, ok := goja.AssertFunction(x.req.Get("write"))
		if !ok {
			return errors.New("write is no function any more")
		}
		bytes := goja.Null()
		if p != nil {
			bytes = x.engine.vm.ToValue(x.engine.vm.NewArrayBuffer(whole))
		}
		_, err := f(x.req, bytes)
		return err
	})
}

// pace asks the script before each piece of a body how long to wait.
type pace struct {
	x      *Exchange
	ctx    context.Context
	before func() // called before it waits
	done   int64
	total  int64 // negative = nobody knows
}

// wait waits as long as throttle wants it. A throttle that fails throttles nothing.
func (p *pace) wait() error {
	if !p.x.Answer.Throttle {
		return nil
	}
	var delay int64
	done, total := p.done, max(p.total, 0) // a call that is not waited for any more may yet run
	err := p.x.call(p.ctx, func() error {
		f, ok := goja.AssertFunction(p.x.req.Get("throttle"))
		if !ok {
			return nil
		}
		vm := p.x.engine.vm
		value, err := f(p.x.req, vm.ToValue(done), vm.ToValue(total))
		if err == nil {
			delay = value.ToInteger()
		}
		return err
	})
	if errors.Is(err, errGone) {
		return err
	}
	if err != nil {
		p.x.hook.limited.Warn("the script has failed in throttle", logs.Error, err)
		return nil
	}
	if delay <= 0 {
		return nil
	}
	p.before()
	return sleep(p.ctx, time.Duration(min(delay, maxDelay.Milliseconds()))*time.Millisecond)
}

// sleep waits, or returns errGone when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errGone
	}
}

// Writer is w slowed down as the script wants it (Answer.Throttle): throttle(done, total) says how many milliseconds to wait before
// each 16 KiB, a minute at most. What is read from a file still goes by sendfile.
func (x *Exchange) Writer(w http.ResponseWriter, total int64) http.ResponseWriter {
	return &paced{ResponseWriter: w, pace: pace{x: x, ctx: x.asked.HTTP.Context(), total: total, before: func() {}}}
}

type paced struct {
	http.ResponseWriter
	pace pace
}

// Unwrap is for http.ResponseController.
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *paced) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		if err := p.pace.wait(); err != nil {
			return written, err
		}
		n, err := p.ResponseWriter.Write(b[:min(len(b), pieceSize)])
		written, p.pace.done, b = written+n, p.pace.done+int64(n), b[n:]
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// ReadFrom implements io.ReaderFrom. Each piece is an io.LimitedReader of the file itself: the only one that net/http sees through.
func (p *paced) ReadFrom(src io.Reader) (written int64, err error) {
	limit, limited := src.(*io.LimitedReader)
	if !limited {
		limit = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	for limit.N > 0 {
		if err := p.pace.wait(); err != nil {
			return written, err
		}
		piece := &io.LimitedReader{R: limit.R, N: min(limit.N, pieceSize)}
		n, err := io.Copy(p.ResponseWriter, piece)
		limit.N -= n
		written, p.pace.done = written+n, p.pace.done+n
		if err != nil || piece.N > 0 {
			return written, err
		}
	}
	return written, nil
}
