// Package object is a whole that grows: one writer appends to it, any number of readers
// follow, from any place, and it ends or is broken off. An upload in progress, the file of a
// file sink, what the memory store holds and the parts of a segment are all this one thing.
//
//	writer ─► Write … End, or Abort
//	readers ─► Wait until there is more, then Read; each its own place, none holds another up
//
// A waiting reader costs its goroutine and nothing else: no buffer, no timer.
package object

import (
	"context"
	"errors"
	"io"
)

// State is what has become of an object.
type State uint8

// The states.
const (
	Growing State = iota
	Complete
	Aborted // it never becomes complete
)

// ErrAborted is what readers of a broken-off object get where there is no more; never io.EOF.
var ErrAborted = errors.New("the object was broken off by its writer")

// Body is where the bytes are: a file, or memory. One writer appends, any number read what
// was written before.
type Body interface {
	io.Writer
	io.ReaderAt
	// Close is called once, when the object has ended and its last reader has gone.
	Close() error
}

// Object is a whole that grows. Its readers and its writer may be in any goroutine; the
// writer is one at a time.
type Object struct{ todo }

type todo struct{}

// New makes an object of nothing in body, which it owns.
func New(body Body) *Object { panic("not built yet") }

// Write appends. It fails when the body does (the writer then says Abort) and when the object has ended.
func (o *Object) Write(p []byte) (int, error) { panic("not built yet") }

// End makes the object complete. Once only, End or Abort.
func (o *Object) End() { panic("not built yet") }

// Abort breaks the object off; why is what readers get besides ErrAborted.
func (o *Object) Abort(why error) { panic("not built yet") }

// Progress is how much there is now, in bytes, and what has become of it.
func (o *Object) Progress() (size int64, state State) { panic("not built yet") }

// Wait waits until there are more than beyond bytes, until the object has ended, or until
// ctx has: that one's error only.
func (o *Object) Wait(ctx context.Context, beyond int64) (size int64, state State, err error) {
	panic("not built yet")
}

// Reader makes a reader of the bytes from from up to to (exclusive; negative = to the end,
// wherever that will be). It must be closed. It fails with fs.ErrClosed when the body has gone:
// the object has ended and had no reader.
func (o *Object) Reader(from, to int64) (*Reader, error) { panic("not built yet") }

// Reader reads what is there and waits for what is not. Of one goroutine.
type Reader struct{ todo }

// Copy writes the bytes to w as they come and calls flush (which may be nil) each time before it waits.
// It returns nil at the end, ErrAborted wrapped with the reason, io.ErrUnexpectedEOF when the object is complete before to,
// the error of ctx while it waits, or that of w. Nothing is kept while it waits.
func (r *Reader) Copy(ctx context.Context, w io.Writer, flush func() error) (int64, error) {
	panic("not built yet")
}

// Close lets go of the object. Twice is once.
func (r *Reader) Close() { panic("not built yet") }
