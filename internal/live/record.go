package live

import (
	"context"
	"fmt"
	"io"
	"time"

	"sluice/internal/store"
)

// Record writes a channel into an object of a store, which grows meanwhile and is complete when the channel, or ctx, has ended. Then it
// begins anew after again, if that is positive, in place of what is there; else it returns nil, as it does when ctx has ended. A channel that
// cannot be had or breaks off, and a store that does not take it, are errors; the object is broken off for its readers then, and what was
// written stays until something takes its place.
func Record(ctx context.Context, c Channels, channel string, st store.Store, name string, again time.Duration) error {
	for {
		err := recordOnce(ctx, c, channel, st, name)
		if err != nil || again <= 0 {
			return err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil
		}
	}
}

func recordOnce(ctx context.Context, c Channels, channel string, st store.Store, name string) error {
	s, err := c.Watch(ctx, Query{Channel: channel})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("record %s: %w", channel, err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	u, err := st.Create(name, store.Create{Type: s.Type, Size: -1, Keep: true})
	if err != nil {
		return fmt.Errorf("record %s: begin %s: %w", channel, name, err)
	}
	read, written := copyTo(u, s)
	switch {
	case written != nil:
		u.Abort(written)
		return fmt.Errorf("record %s: write %s: %w", channel, name, written)
	case read != nil && ctx.Err() == nil:
		u.Abort(read)
		return fmt.Errorf("record %s into %s: %w", channel, name, read)
	}
	if _, err := u.End(); err != nil {
		return fmt.Errorf("record %s: finish %s: %w", channel, name, err)
	}
	return nil
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
