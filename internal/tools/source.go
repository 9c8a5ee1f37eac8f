package tools

import (
	"errors"
	"fmt"
	"io"

	"sluice/internal/media/ts"
)

// ErrNotTS says that a file holds no transport stream.
var ErrNotTS = errors.New("no MPEG transport stream: want packets of 188 bytes that start with 0x47")

// source reads the packets of a file, of any size, round after round when it loops.
type source struct {
	file io.ReadSeeker
	loop bool
	// clocked says that the stream must tell the time: a loop without a clock ends after
	// its first round.
	clocked bool

	framer  ts.Framer
	looper  looper
	chunk   []byte // as read
	whole   []byte // cut into packets
	packets []byte // the part of chunk or whole that is still to be given
	given   uint64 // in this round
	skipped uint64 // bytes that were no packets, of all rounds
}

func newSource(file io.ReadSeeker, loop bool) *source {
	return &source{file: file, loop: loop, chunk: make([]byte, 512*ts.PacketSize)}
}

// next returns the next packet, which may be changed until the next call. The end is
// io.EOF; a looping source has none.
func (s *source) next() (ts.Packet, error) {
	for len(s.packets) == 0 {
		if err := s.read(); err != nil {
			return nil, err
		}
	}
	p := ts.Packet(s.packets[:ts.PacketSize])
	s.packets = s.packets[ts.PacketSize:]
	s.given++
	s.looper.pass(p)
	return p, nil
}

func (s *source) read() error {
	n, err := s.file.Read(s.chunk)
	if b := s.chunk[:n]; s.framer.Pass(b) {
		s.packets = b
	} else if n > 0 {
		s.whole = s.framer.Append(s.whole[:0], b)
		s.packets = s.whole
	}
	switch {
	case len(s.packets) > 0 || err == nil:
		return nil // an error comes again
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read the stream: %w", err)
	case s.given == 0:
		return ErrNotTS
	}
	s.skipped += s.framer.Skipped()
	if !s.loop {
		return io.EOF
	}
	return s.turn()
}

// turn begins the next round.
func (s *source) turn() error {
	if s.clocked && s.looper.clock.step == 0 {
		return ErrNoClock
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("loop: go back to the beginning: %w", err)
	}
	s.looper.turn()
	s.framer, s.given = ts.Framer{}, 0
	return nil
}
