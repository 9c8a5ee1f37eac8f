package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// maxBehind is how late a broadcast catches up; beyond that it goes on as if it had been in
// time.
const maxBehind = time.Second

// broadcast delivers a file at the speed of a clock, each part of it when it is due: the first
// at once.
type broadcast struct {
	file   *os.File
	clock  clock
	repeat bool // over and over; else once

	began time.Time
}

// pump is a pipe.Pump.
func (b *broadcast) pump(ctx context.Context, w io.Writer) error {
	b.began = time.Now()
	deliver := func(part []byte, due time.Duration) error {
		if err := b.await(ctx, due); err != nil {
			return err
		}
		_, err := w.Write(part)
		return err
	}
	buf := make([]byte, chunk)
	for ctx.Err() == nil {
		n, readErr := b.file.Read(buf)
		if err := b.clock.cut(buf[:n], deliver); err != nil {
			return err
		}
		switch {
		case readErr == nil:
		case !errors.Is(readErr, io.EOF):
			return fmt.Errorf("read: %w", readErr)
		case !b.repeat:
			return b.clock.rest(deliver)
		default:
			if err := b.again(); err != nil {
				return fmt.Errorf("read: %w", err)
			}
		}
	}
	return ctx.Err()
}

// again goes back to the beginning of the file.
func (b *broadcast) again() error {
	if err := b.clock.again(); err != nil {
		return err // it was written over
	}
	return rewind(b.file)
}

// await waits until something is due.
func (b *broadcast) await(ctx context.Context, due time.Duration) error {
	switch behind := time.Since(b.began) - due; {
	case behind > maxBehind:
		b.began = b.began.Add(behind)
	case behind < 0:
		sleep(ctx, -behind)
	}
	return ctx.Err()
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}
