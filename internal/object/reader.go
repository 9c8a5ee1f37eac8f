package object

import (
	"context"
	"fmt"
	"io"
	"io/fs"
)

// pieceSize is how many bytes are borrowed to carry a piece from a body to a reader.
const pieceSize = 32 << 10

// sender is a body that writes its bytes without a buffer of ours.
type sender interface {
	// send writes the bytes from from up to to to w.
	send(w io.Writer, from, to int64) (int64, error)
}

// Reader reads what is there and waits for what is not. Of one goroutine, but for ReadAt.
// As long as it is not closed the body stays, so it also serves to hold an object.
type Reader struct {
	object *Object
	at     int64
	to     int64 // negative = to the end
	closed bool
}

// Reader makes a reader of the bytes from from up to to (exclusive; negative = to the end,
// wherever that will be). It must be closed. It fails with fs.ErrClosed when the body has gone:
// the object has ended and had no reader.
func (o *Object) Reader(from, to int64) (*Reader, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone {
		return nil, fmt.Errorf("read an object that has gone: %w", fs.ErrClosed)
	}
	o.users++
	return &Reader{object: o, at: from, to: to}, nil
}

// Close lets go of the object. Twice is once.
func (r *Reader) Close() {
	if !r.closed {
		r.closed = true
		r.object.release()
	}
}

// ReadAt reads what is there anywhere in the object, whatever the range of the Reader is; it
// does not wait. Any number of goroutines may call it until the Reader is closed.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	size, _ := r.object.Progress()
	if off >= size {
		return 0, io.EOF
	}
	there := p[:min(int64(len(p)), size-off)]
	n, err := r.object.body.ReadAt(there, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Copy writes the bytes to w as they come and calls flush (which may be nil) each time before it waits.
// It returns nil at the end, ErrAborted wrapped with the reason, io.ErrUnexpectedEOF when the object is complete before to
// (or before from), the error of ctx while it waits, or that of w. Nothing is kept while it waits.
func (r *Reader) Copy(ctx context.Context, w io.Writer, flush func() error) (int64, error) {
	var sent int64
	flushed := true
	for r.to < 0 || r.at < r.to {
		size, state := r.object.Progress()
		switch {
		case size > r.at:
			n, err := r.send(w, r.at, r.reach(size))
			r.at += n
			sent += n
			if err != nil {
				return sent, err
			}
			flushed = false
			continue
		case state == Aborted:
			return sent, r.object.reason()
		case state == Complete:
			return sent, r.end(size)
		}
		if flush != nil && !flushed {
			if err := flush(); err != nil {
				return sent, err
			}
			flushed = true
			continue // something may have come meanwhile
		}
		if _, _, err := r.object.Wait(ctx, r.at); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// reach is how far a reader may go in an object of so many bytes.
func (r *Reader) reach(size int64) int64 {
	if r.to < 0 {
		return size
	}
	return min(size, r.to)
}

// end is the outcome where a complete object has no more.
func (r *Reader) end(size int64) error {
	if r.to < 0 && r.at == size {
		return nil
	}
	return io.ErrUnexpectedEOF
}

// send writes the bytes from from up to to, which are there.
func (r *Reader) send(w io.Writer, from, to int64) (int64, error) {
	o := r.object
	if s, ok := o.body.(sender); ok {
		return s.send(w, from, to)
	}
	buffer, _ := o.buffers.Get().(*[pieceSize]byte)
	if buffer == nil {
		buffer = new([pieceSize]byte)
	}
	var sent int64
	for at := from; at < to; {
		piece := buffer[:min(pieceSize, to-at)]
		if _, err := o.body.ReadAt(piece, at); err != nil {
			o.buffers.Put(buffer)
			return sent, fmt.Errorf("read what was written before: %w", err)
		}
		n, err := w.Write(piece)
		sent += int64(n)
		at += int64(n)
		if err != nil {
			return sent, err // net/http (HTTP/2) may be reading from the buffer still
		}
	}
	o.buffers.Put(buffer)
	return sent, nil
}

// Section is the beginning of an object, as far as it is there; it can be read until its Reader is closed. Of one goroutine.
type Section struct {
	*io.SectionReader
	reader *Reader
}

// Section makes one of size bytes, which are there.
func (r *Reader) Section(size int64) *Section {
	return &Section{io.NewSectionReader(r, 0, size), r}
}

// WriteRange writes the n bytes from from on to w, from memory without copying them first. It fails as w does, and with
// io.ErrUnexpectedEOF when the section has less.
func (s *Section) WriteRange(w io.Writer, from, n int64) (int64, error) {
	to := min(from+n, s.Size())
	sent, err := s.reader.send(w, from, to)
	if err == nil && sent < n {
		err = io.ErrUnexpectedEOF
	}
	return sent, err
}

func (o *Object) reason() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reasonLocked()
}
