package file

import (
	"errors"
	"fmt"
	"io"
	"os"

	"sluice/internal/lineup"
	"sluice/internal/media/audio"
	"sluice/internal/media/ts"
)

// clockOf is the clock that f is delivered by; nil for none. f is at its beginning then.
func clockOf(f *os.File, pace lineup.Pace) (clock, error) {
	switch {
	case pace.Bitrate > 0:
		return &rateClock{bitrate: pace.Bitrate}, nil
	case pace.Clock == lineup.NoClock:
		return nil, nil
	}
	is, err := lookAt(f)
	if err != nil {
		return nil, err
	}
	switch {
	case pace.Clock == lineup.PCRClock || pace.Clock == lineup.AutoClock && is.transport:
		if !is.ticks {
			return nil, errNoClock
		}
		return &pcrClock{}, nil
	case is.audio:
		return &frameClock{}, nil
	case pace.Clock == lineup.FrameClock:
		return nil, errNoFrames
	}
	return nil, nil
}

// content is what a file shows at its beginning.
type content struct {
	transport bool // it is a transport stream,
	ticks     bool // whose clock goes
	audio     bool // there are frames of MPEG audio or AAC
}

const (
	// audioBytes is how far behind a tag the first frames of audio are.
	audioBytes = 128 << 10
	// audioFrames are so many frames of audio in a row that nothing else looks like them.
	audioFrames = 4
)

// lookAt looks into f until it is clear what it is, clockBytes at most and behind a tag, and leaves it at its beginning.
func lookAt(f *os.File) (content, error) {
	var (
		is      content
		scanner audio.Scanner
		framer  ts.Framer
		pace    ts.Pace
		out     []byte
	)
	if err := behindTag(f); err != nil {
		return is, err
	}
	buf := make([]byte, audioBytes)
	for range clockBytes / audioBytes {
		n, err := io.ReadFull(f, buf)
		if heard := scanner.Write(buf[:n]); !is.audio {
			last, _ := scanner.Last()
			is.audio = heard > 0 && heard >= audioFrames*last.Duration
		}
		out = framer.Append(out[:0], buf[:n])
		is.transport = is.transport || len(out) > 0
		for i := 0; i < len(out) && !is.ticks; i += ts.PacketSize {
			_, ok := pace.Tick(out[i : i+ts.PacketSize])
			is.ticks = ok && pace.Steady()
		}
		switch {
		case is.ticks || is.audio && !is.transport, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return is, rewind(f)
		case err != nil:
			return is, fmt.Errorf("read: %w", err)
		}
	}
	return is, rewind(f)
}

// behindTag leaves f behind the tag that it begins with, if it does.
func behindTag(f *os.File) error {
	head := make([]byte, 10)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read: %w", err)
	}
	_, err = f.Seek(int64(audio.TagSize(head[:n])), io.SeekStart)
	return err
}
