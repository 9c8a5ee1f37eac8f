package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sluice/internal/object"
	"sluice/internal/store"
)

// Recorder writes a channel into an object of a store, which grows meanwhile and is complete when the channel has ended. It is one
// goroutine's at a time.
type Recorder struct {
	Channels Channels
	Channel  string // as in Query
	Store    store.Store
	Name     string        // of the object
	Again    time.Duration // after the channel's end it is recorded anew, in place of what is there; 0 = it is not

	object store.Upload // what grows; nil = nothing
}

// Run records until the channel, or ctx, has ended; then it returns nil, and the object is complete. A channel that cannot be had or
// breaks off, and a store that does not take it, are errors that leave the object growing: the next Run goes on in it. It is a new one only
// when somebody has removed the old one.
func (r *Recorder) Run(ctx context.Context) error {
	for {
		err := r.once(ctx)
		if err != nil || r.Again <= 0 {
			return err
		}
		select {
		case <-time.After(r.Again):
		case <-ctx.Done():
			return nil
		}
	}
}

// Size is how many bytes there are of what grows.
func (r *Recorder) Size() int64 {
	if r.object == nil {
		return 0
	}
	return r.object.Written()
}

// End completes the object that a Run has left growing, if there is one.
func (r *Recorder) End() error {
	if r.object == nil {
		return nil
	}
	_, err := r.object.End()
	r.object = nil
	if err != nil {
		return fmt.Errorf("record %s: finish %s: %w", r.Channel, r.Name, err)
	}
	return nil
}

func (r *Recorder) once(ctx context.Context) error {
	s, err := r.Channels.Watch(ctx, Query{Channel: r.Channel})
	switch {
	case err != nil && ctx.Err() != nil:
		return r.End()
	case err != nil:
		return fmt.Errorf("record %s: %w", r.Channel, err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if r.object == nil {
		if r.object, err = r.Store.Create(r.Name, store.Create{Type: s.Type, Size: -1, Keep: true}); err != nil {
			return fmt.Errorf("record %s: begin %s: %w", r.Channel, r.Name, err)
		}
	}
	read, written := copyTo(r.object, s)
	switch {
	case written != nil:
		if errors.Is(written, object.ErrAborted) {
			r.object.Abort(written)
			r.object = nil
		}
		return fmt.Errorf("record %s: write %s: %w", r.Channel, r.Name, written)
	case read != nil && ctx.Err() == nil:
		return fmt.Errorf("record %s into %s: %w", r.Channel, r.Name, read)
	}
	return r.End()
}

// copyTo copies a channel to its end. Each error says its side's; that of a channel that has ended is nil.
func copyTo(w io.Writer, s *Stream) (read, written error) {
	b := make([]byte, bufferSize)
	for {
		n, err := s.Read(b)
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				return nil, err
			}
		}
		if err != nil {
			return broken(err), nil
		}
	}
}
