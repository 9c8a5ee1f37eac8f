package mp4

import (
	"fmt"
	"math"
)

// Scanner finds the boxes of the outermost level in a stream that is cut anywhere. The zero Scanner stands at the first byte.
type Scanner struct {
	at   int64 // of the next byte of the stream
	box  int64 // of the first byte of the box whose head is awaited
	head [maxHead]byte
	have int   // bytes of head
	last bool  // the box that goes to the end of the file has begun
	err  error // stays
}

// Write takes the next bytes; found is called for each box whose head is complete, with its place from the first byte on. It fails when
// found does, and for a length that cannot be; then it goes on failing.
func (s *Scanner) Write(p []byte, found func(at int64, b Box) error) error {
	for s.err == nil && len(p) > 0 && !s.last {
		if skip := s.box + int64(s.have) - s.at; skip > 0 {
			n := min(skip, int64(len(p)))
			s.at += n
			p = p[n:]
			continue
		}
		n := s.need(p)
		s.at += int64(n)
		p = p[n:]
		s.err = s.step(found)
	}
	return s.err
}

// need takes of p what the head may still want: no byte beyond it, since the next box may begin there.
func (s *Scanner) need(p []byte) int {
	want := shortHead
	if s.have >= shortHead {
		want = headSize(s.head[:shortHead])
	}
	n := copy(s.head[s.have:want], p)
	s.have += n
	return n
}

// headSize says how long the head is that begins with these eight bytes.
func headSize(b []byte) int {
	n := shortHead
	if b[0] == 0 && b[1] == 0 && b[2] == 0 && b[3] == 1 {
		n = longHead
	}
	if string(b[4:8]) == "uuid" {
		n += userType
	}
	return n
}

// step tells of the box if its head is complete, and goes on to the next.
func (s *Scanner) step(found func(at int64, b Box) error) error {
	b, ok, err := ParseHead(s.head[:s.have])
	if err != nil {
		return fmt.Errorf("at byte %d: %w", s.box, err)
	}
	if !ok {
		return nil
	}
	if b.Size > math.MaxInt64-s.box {
		return fmt.Errorf("at byte %d: a %q box of %d bytes", s.box, b.Type, b.Size)
	}
	if err := found(s.box, b); err != nil {
		return err
	}
	s.box, s.have, s.last = s.box+b.Size, 0, b.Size == 0
	return nil
}
