// Package hls reads what an origin has to know of playlists (RFC 8216bis): how far a media playlist has come, which part it
// announces, and what a request may wait for. It makes no playlists.
package hls

import "time"

// Playlist is what a media playlist says.
type Playlist struct {
	Sequence  int64         // EXT-X-MEDIA-SEQUENCE
	Segments  int           // complete segments in it
	Parts     int           // parts after the last complete segment
	Target    time.Duration // EXT-X-TARGETDURATION
	PartHold  time.Duration // PART-TARGET of EXT-X-PART-INF; 0 = none
	CanBlock  bool          // CAN-BLOCK-RELOAD=YES
	Hints     []string      // URIs of EXT-X-PRELOAD-HINT, as they are written
	Ended     bool          // EXT-X-ENDLIST
	LastParts map[int64]int // parts of each segment that lists them, by media sequence number
}

// Parse reads a media playlist; an error for a multivariant one or none at all.
func Parse(text []byte) (Playlist, error) { panic("not built yet") }

// Block is what a request for a playlist waits for: _HLS_msn, and _HLS_part (-1 = none).
type Block struct {
	Sequence int64
	Part     int
}

// ParseBlock reads the query of a request; nil, nil when it says nothing. An error is answered with 400.
func ParseBlock(query string) (*Block, error) { panic("not built yet") }

// Has says whether p has what b waits for.
func (p *Playlist) Has(b Block) bool { panic("not built yet") }

// Reasonable says whether b is not too far ahead (two segments, or the parts of one more): else 400.
func (p *Playlist) Reasonable(b Block) bool { panic("not built yet") }

// Patience is how long b is waited for: three target durations.
func (p *Playlist) Patience() time.Duration { panic("not built yet") }
