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
	"fmt"
	"io"
	"io/fs"
	"sync"
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

// Body is where the bytes are: a file (*os.File is one), or Memory. One writer appends, any
// number read what was written before.
type Body interface {
	io.Writer
	io.ReaderAt
	// Close is called once, when the object has ended and its last reader has gone.
	Close() error
}

// Object is a whole that grows. Its readers and its writer may be in any goroutine; the
// writer is one at a time.
type Object struct {
	body    Body
	buffers sync.Pool // of *[pieceSize]byte

	mu    sync.Mutex // guards what is below
	size  int64      // bytes that readers may have
	state State
	why   error         // of Aborted
	users int           // readers, and a Write that is under way: they need the body
	gone  bool          // the body is closed
	more  chan struct{} // closed when there is more, or an end; nil = nobody waits
}

// New makes an object of nothing in body, which it owns.
func New(body Body) *Object { return &Object{body: body} }

// Of makes a complete object of the size bytes that are in body, which it owns.
func Of(body Body, size int64) *Object { return &Object{body: body, size: size, state: Complete} }

// Write appends. It fails when the body does (the writer then says Abort) and when the object
// has ended, with ErrAborted if somebody else has broken it off.
func (o *Object) Write(p []byte) (int, error) {
	if err := o.begin(); err != nil {
		return 0, err
	}
	n, err := o.body.Write(p)
	o.mu.Lock()
	o.size += int64(n)
	if n > 0 {
		o.wakeLocked()
	}
	o.mu.Unlock()
	o.release()
	return n, err
}

// Grow takes note that the body has size bytes now, which others have written. It is for bodies that the Object
// does not write itself; less than there was, and an end before, change nothing.
func (o *Object) Grow(size int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state == Growing && size > o.size {
		o.size = size
		o.wakeLocked()
	}
}

// begin claims the body for a Write.
func (o *Object) begin() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch o.state {
	case Aborted:
		return o.reasonLocked()
	case Complete:
		return fmt.Errorf("write to a complete object: %w", fs.ErrClosed)
	}
	o.users++
	return nil
}

// End makes the object complete. What was ended before stays as it is.
func (o *Object) End() { o.finish(Complete, nil) }

// Abort breaks the object off; why is what readers get besides ErrAborted. What was ended
// before stays as it is. Besides the writer anybody may break an object off.
func (o *Object) Abort(why error) { o.finish(Aborted, why) }

func (o *Object) finish(state State, why error) {
	o.mu.Lock()
	if o.state != Growing {
		o.mu.Unlock()
		return
	}
	o.state, o.why = state, why
	o.users++ // given back by release, which closes the body if there is nobody else
	o.wakeLocked()
	o.mu.Unlock()
	o.release()
}

// Progress is how much there is now, in bytes, and what has become of it.
func (o *Object) Progress() (size int64, state State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size, o.state
}

// Wait waits until there are more than beyond bytes, until the object has ended, or until
// ctx has: that one's error only.
func (o *Object) Wait(ctx context.Context, beyond int64) (size int64, state State, err error) {
	for {
		o.mu.Lock()
		size, state = o.size, o.state
		if size > beyond || state != Growing {
			o.mu.Unlock()
			return size, state, nil
		}
		if o.more == nil {
			o.more = make(chan struct{})
		}
		more := o.more
		o.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return size, state, ctx.Err()
		}
	}
}

// wakeLocked wakes who waits.
func (o *Object) wakeLocked() {
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
}

// reasonLocked is the error of an object that was broken off.
func (o *Object) reasonLocked() error {
	if o.why == nil {
		return ErrAborted
	}
	return fmt.Errorf("%w: %w", ErrAborted, o.why)
}

// release lets go of the body; the last one that does closes it if the object has ended. What
// Close says is of no use to anybody: a writer that must know whether its bytes have arrived
// asks the body before End.
func (o *Object) release() {
	o.mu.Lock()
	o.users--
	last := o.users == 0 && o.state != Growing
	o.gone = last
	o.mu.Unlock()
	if last {
		_ = o.body.Close()
	}
}
