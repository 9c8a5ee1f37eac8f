package audio

import "time"

// maxPiece is how much is taken in at a time, in bytes.
const maxPiece = 16 << 10

// Scanner follows the frames of a stream; tags (ID3) and rubbish between them are passed over. A frame counts when another one follows it, or a tag. The
// zero Scanner is at the beginning of a stream. It keeps less than 32 KiB.
type Scanner struct {
	held  []byte // what is not decided yet, from where a frame may begin
	skip  int    // bytes of a tag that are still to come
	last  Frame
	known bool // last
}

// Write takes the next bytes, and returns how long the frames last that it completed.
func (s *Scanner) Write(p []byte) time.Duration {
	var lasted time.Duration
	for len(p) > 0 {
		n := min(len(p), maxPiece)
		lasted += s.write(p[:n])
		p = p[n:]
	}
	return lasted
}

func (s *Scanner) write(p []byte) (lasted time.Duration) {
	n := min(s.skip, len(p))
	s.skip -= n
	s.held = append(s.held, p[n:]...)
	at := 0
	for {
		n, duration := s.step(s.held[at:])
		if n == 0 {
			break
		}
		lasted += duration
		s.skip = max(0, at+n-len(s.held))
		at = min(at+n, len(s.held))
	}
	s.held = append(s.held[:0], s.held[at:]...)
	return lasted
}

// step says how many bytes at the beginning of b are decided, and how long they last; no byte while more has to come.
func (s *Scanner) step(b []byte) (n int, lasts time.Duration) {
	if len(b) < headSize {
		return 0, 0
	}
	if n := TagSize(b); n > 0 {
		return n, 0
	}
	f, ok := ParseFrame(b)
	if !ok {
		return rubbish(b), 0
	}
	if len(b) < f.Size+headSize {
		return 0, 0
	}
	next := b[f.Size:]
	if _, ok := ParseFrame(next); !(ok && sameStream(b, next)) && TagSize(next) == 0 && string(next[:3]) != "TAG" {
		return rubbish(b), 0
	}
	s.last, s.known = f, true
	return f.Size, f.Duration
}

// rubbish is how many bytes there are until a frame or a tag may begin behind the first.
func rubbish(b []byte) int {
	n := 1
	for n < len(b) && b[n] != 0xFF && b[n] != 'I' {
		n++
	}
	return n
}

// Last is the last frame; false before the first.
func (s *Scanner) Last() (Frame, bool) { return s.last, s.known }
