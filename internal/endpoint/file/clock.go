package file

import (
	"errors"
	"fmt"
	"time"

	"sluice/internal/media/audio"
	"sluice/internal/media/ts"
)

// clock says when the parts of a file are due. What it tells goes on where the file begins
// again.
type clock interface {
	// cut takes the next bytes of the file, and delivers the parts that they complete. due is
	// counted from the first part.
	cut(b []byte, deliver func(part []byte, due time.Duration) error) error
	// rest delivers what is left at the end of the file.
	rest(deliver func(part []byte, due time.Duration) error) error
	// again is told that the file begins again. It is an error if no time has passed in all
	// of it.
	again() error
}

// clockBytes is how much may be between two ticks of the clock of a transport stream.
const clockBytes = 4 << 20

var errNoClock = fmt.Errorf("no clock (PCR) in %d MiB: it cannot be delivered at its own speed", clockBytes>>20)

// pcrClock is that of a transport stream: what stands behind a tick is delivered as one part,
// when that tick is due.
type pcrClock struct {
	framer ts.Framer
	pace   ts.Pace
	told   bool          // the time has gone on since the beginning of the file
	held   []byte        // the part behind the last tick
	due    time.Duration // of that part
	out    []byte
}

func (c *pcrClock) cut(b []byte, deliver func([]byte, time.Duration) error) error {
	c.out = c.framer.Append(c.out[:0], b)
	for i := 0; i < len(c.out); i += ts.PacketSize {
		p := ts.Packet(c.out[i : i+ts.PacketSize])
		if due, ok := c.pace.Tick(p); ok {
			if err := c.rest(deliver); err != nil {
				return err
			}
			c.told = c.told || due > c.due
			c.due = due
		}
		if c.held = append(c.held, p...); len(c.held) > clockBytes {
			return errNoClock
		}
	}
	return nil
}

func (c *pcrClock) rest(deliver func([]byte, time.Duration) error) error {
	err := deliver(c.held, c.due)
	c.held = c.held[:0]
	return err
}

func (c *pcrClock) again() error {
	if !c.told {
		return errNoClock
	}
	c.framer, c.told = ts.Framer{}, false
	return nil
}

const (
	// framePiece is about a frame, in bytes.
	framePiece = 1 << 10
	// frameBytes is how much may be between two frames: a tag with pictures.
	frameBytes = 32 << 20
)

var errNoFrames = errors.New("no frames of MPEG audio or AAC: it cannot be delivered at its own speed")

// frameClock is that of audio: a piece is due when the frames before it have been heard.
type frameClock struct {
	scanner audio.Scanner
	now     time.Duration
	began   time.Duration // now, at the beginning of the file
	silent  int           // bytes since a frame
}

func (c *frameClock) cut(b []byte, deliver func([]byte, time.Duration) error) error {
	for len(b) > 0 {
		piece := b[:min(len(b), framePiece)]
		b = b[len(piece):]
		if err := deliver(piece, c.now); err != nil {
			return err
		}
		c.silent += len(piece)
		if lasts := c.scanner.Write(piece); lasts > 0 {
			c.now += lasts
			c.silent = 0
		}
		if c.silent > frameBytes {
			return errNoFrames
		}
	}
	return nil
}

func (c *frameClock) rest(func([]byte, time.Duration) error) error { return nil }

func (c *frameClock) again() error {
	last, _ := c.scanner.Last() // nothing followed the one behind it, so it was not counted
	if c.now == c.began {
		return errNoFrames
	}
	c.now += last.Duration
	c.scanner, c.began, c.silent = audio.Scanner{}, c.now, 0
	return nil
}

// ratePieces is into how many pieces the bytes of a second are cut, if these are not too small
// then.
const ratePieces = 50

// rateClock is a number of bits a second.
type rateClock struct {
	bitrate int64
	sent    int64 // bytes
	began   int64 // sent, at the beginning of the file
}

func (c *rateClock) cut(b []byte, deliver func([]byte, time.Duration) error) error {
	size := int(min(max(c.bitrate/8/ratePieces, ts.PacketSize), chunk))
	for len(b) > 0 {
		piece := b[:min(len(b), size)]
		b = b[len(piece):]
		if err := deliver(piece, lasts(c.sent, c.bitrate)); err != nil {
			return err
		}
		c.sent += int64(len(piece))
	}
	return nil
}

// lasts is how long so many bytes take at a bit rate.
func lasts(bytes, bitrate int64) time.Duration {
	bits := bytes * 8
	return time.Duration(bits/bitrate)*time.Second + time.Duration(float64(bits%bitrate)/float64(bitrate)*float64(time.Second))
}

func (c *rateClock) rest(func([]byte, time.Duration) error) error { return nil }

func (c *rateClock) again() error {
	if c.sent == c.began {
		return errors.New("the file is empty")
	}
	c.began = c.sent
	return nil
}
