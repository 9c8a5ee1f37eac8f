package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// pollTime is how often a file is looked at where nothing tells that it has changed.
const pollTime = 250 * time.Millisecond

// follower delivers a file once, and what is appended to it, until it has not grown for
// growth, shrinks, or its name leads to another one or nowhere.
type follower struct {
	file   *os.File
	place  place
	growth time.Duration

	read int64 // bytes
}

// pump is a pipe.Pump.
func (f *follower) pump(ctx context.Context, w io.Writer) error {
	buf := make([]byte, chunk)
	if err := f.copy(w, buf); err != nil || f.growth == 0 {
		return err
	}
	watch := newWatch(f.file)
	defer watch.close()
	for grew := time.Now(); ctx.Err() == nil; {
		last := f.last(time.Since(grew))
		before := f.read
		if err := f.copy(w, buf); err != nil || last {
			return err
		}
		if f.read > before {
			grew = time.Now()
		}
		watch.wait(ctx, min(pollTime, f.growth))
	}
	return ctx.Err()
}

// copy delivers what there is.
func (f *follower) copy(w io.Writer, buf []byte) error {
	for {
		n, err := f.file.Read(buf)
		f.read += int64(n)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
	}
}

// last says that nothing is waited for any more once what there is now has been delivered:
// quiet is for how long nothing was appended.
func (f *follower) last(quiet time.Duration) bool {
	open, err := f.file.Stat()
	if err != nil || open.Size() < f.read {
		return true
	}
	named, err := f.place.stat()
	return err != nil || !os.SameFile(open, named) || quiet >= f.growth && open.Size() == f.read
}

// sleep returns after d, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
