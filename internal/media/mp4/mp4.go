// Package mp4 reads the boxes of ISO base media files (ISO 14496-12) from the outside: types and lengths, as they come. It opens none but
// the few that an origin asks about.
package mp4

// Box is the head of a box.
type Box struct {
	Type string // four letters
	Size int64  // with its head; 0 = to the end of the file
	Head int    // bytes of its head
}

// ParseHead reads the head of a box; false when b is too short. An error for a length that cannot be.
func ParseHead(b []byte) (Box, bool, error) { panic("not built yet") }

// Scanner finds the boxes of the outermost level in a stream that is cut anywhere.
type Scanner struct{}

// Write takes the next bytes; found is called for each box whose head is complete, with its place from the first byte on.
func (s *Scanner) Write(p []byte, found func(at int64, b Box) error) error { panic("not built yet") }

// Kind says what a file is by its first boxes.
type Kind uint8

// The kinds.
const (
	Unknown Kind = iota
	Init         // ftyp … moov, no moof
	Media        // styp or moof first
)

// KindOf says it of the first bytes; sure is false when more are needed.
func KindOf(b []byte) (k Kind, sure bool) { panic("not built yet") }
