package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sluice/internal/media/ts"
)

// findBytes is how much of a file is looked through for its clock; as much may be between two
// ticks of it.
const findBytes = 4 << 20

var errNoClock = fmt.Errorf("no clock (PCR) in %d MiB: it cannot be delivered at its own speed", findBytes>>20)

// findClock says whether f has a clock, and leaves it at its beginning.
func findClock(f *os.File) error {
	var (
		framer ts.Framer
		clock  ts.Pace
		out    []byte
	)
	buf := make([]byte, chunk)
	for range findBytes / chunk {
		n, err := f.Read(buf)
		out = framer.Append(out[:0], buf[:n])
		for i := 0; i < len(out); i += ts.PacketSize {
			if _, ok := clock.Tick(out[i : i+ts.PacketSize]); ok && clock.Steady() {
				return rewind(f)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
	return errNoClock
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// maxBehind is how late a broadcast catches up; beyond that it goes on as if it had been in
// time.
const maxBehind = time.Second

// broadcast delivers a file over and over, each part of it when the tick before it is due:
// the first at once.
type broadcast struct {
	file *os.File

	framer ts.Framer
	clock  ts.Pace
	began  time.Time
	told   bool          // the time has gone on since the beginning of the file
	held   []byte        // the part behind the last tick
	due    time.Duration // of that part
	out    []byte
}

// pump is a pipe.Pump.
func (b *broadcast) pump(ctx context.Context, w io.Writer) error {
	b.began = time.Now()
	buf := make([]byte, chunk)
	for ctx.Err() == nil {
		n, err := b.file.Read(buf)
		b.out = b.framer.Append(b.out[:0], buf[:n])
		if err := b.deliver(ctx, w); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			err = b.again()
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
	return ctx.Err()
}

// again goes back to the beginning of the file.
func (b *broadcast) again() error {
	info, err := b.file.Stat()
	switch {
	case err != nil:
		return err
	case !b.told || info.Size() == 0:
		return errNoClock // it was written over
	}
	b.framer, b.told = ts.Framer{}, false
	return rewind(b.file)
}

// deliver writes the packets in out as they are due.
func (b *broadcast) deliver(ctx context.Context, w io.Writer) error {
	for i := 0; i < len(b.out); i += ts.PacketSize {
		p := ts.Packet(b.out[i : i+ts.PacketSize])
		if due, ok := b.clock.Tick(p); ok {
			if err := b.flush(ctx, w); err != nil {
				return err
			}
			b.told = b.told || due > b.due
			b.due = due
		}
		if b.held = append(b.held, p...); len(b.held) > findBytes {
			return errNoClock
		}
	}
	return ctx.Err()
}

// flush writes what is held as soon as it is due.
func (b *broadcast) flush(ctx context.Context, w io.Writer) error {
	behind := time.Since(b.began) - b.due
	switch {
	case behind > maxBehind:
		b.began = b.began.Add(behind)
	case behind < 0:
		sleep(ctx, -behind)
	}
	_, err := w.Write(b.held)
	b.held = b.held[:0]
	return err
}
