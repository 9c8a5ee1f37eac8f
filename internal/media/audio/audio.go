// Package audio finds the frames of MPEG audio (ISO 11172-3, 13818-3: MP1, MP2, MP3) and of AAC in ADTS (ISO 13818-7), for their time: how long a frame
// lasts, at what rate it was coded.
package audio

import "time"

// Frame is the head of a frame.
type Frame struct {
	Size       int // bytes, with its head
	Duration   time.Duration
	SampleRate int // Hz
	Channels   int
	Bitrate    int // bit/s; of AAC that of this frame
	AAC        bool
}

// ParseFrame reads the head of a frame at the beginning of b; false if there is none.
func ParseFrame(b []byte) (Frame, bool) { panic("not built yet") }

// Scanner follows the frames of a stream; tags (ID3) and rubbish between them are passed over. A frame counts when another one follows it.
type Scanner struct{}

// Write takes the next bytes, and returns how long the frames last that it completed.
func (s *Scanner) Write(p []byte) time.Duration { panic("not built yet") }

// Last is the last frame; false before the first.
func (s *Scanner) Last() (Frame, bool) { panic("not built yet") }
