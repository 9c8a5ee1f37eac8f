// Package hls reads what an origin has to know of playlists (RFC 8216bis, draft-pantos-hls-rfc8216bis-16): how far a media
// playlist has come, which part it announces, and what a request may wait for. It makes no playlists.
package hls

import "time"

// Playlist is what a media playlist says.
type Playlist struct {
	Sequence   int64         // EXT-X-MEDIA-SEQUENCE
	Segments   int           // complete segments in it, with those that a delta update leaves out
	Parts      int           // parts after the last complete segment
	Target     time.Duration // EXT-X-TARGETDURATION, at most an hour
	PartTarget time.Duration // PART-TARGET of EXT-X-PART-INF; 0 = none
	CanBlock   bool          // CAN-BLOCK-RELOAD=YES: a request may wait
	Hints      []string      // URIs of EXT-X-PRELOAD-HINT, as they are written
	Ended      bool          // EXT-X-ENDLIST
	PartsOf    map[int64]int // how many parts a complete segment lists, by media sequence number; nil = none does
}

// last is the media sequence number of the last complete segment.
func (p *Playlist) last() int64 { return p.Sequence + int64(p.Segments) - 1 }

// Has says whether p has what b waits for: the segment or the part, or a later one. A playlist that has ended has
// all: nothing is to be waited for (6.2.5.2).
func (p *Playlist) Has(b Block) bool {
	b = p.rolled(b)
	switch next := p.last() + 1; {
	case p.Ended || b.Sequence < next:
		return true
	case b.Sequence == next:
		return b.Part >= 0 && b.Part < p.Parts
	}
	return false
}

// Reasonable says whether b is so near that it may be waited for; else the answer is 400 (6.2.5.2). Near is a segment
// up to two beyond the last complete one, and a part not more than the Advance Part Limit beyond the last part. How
// many parts the segment will have that is begun now is not known: of a part in the one after it, those before it
// in its own segment count.
func (p *Playlist) Reasonable(b Block) bool {
	b = p.rolled(b)
	next := p.last() + 1
	if p.Ended || b.Sequence < next {
		return true
	}
	ahead := int64(b.Part) + 1
	if b.Sequence == next {
		ahead -= int64(p.Parts)
	}
	return b.Sequence <= next+1 && ahead <= p.advance()
}

// rolled is b, or part 0 of the next segment when b is a part that its segment, complete already, does not have.
func (p *Playlist) rolled(b Block) Block {
	if parts, known := p.PartsOf[b.Sequence]; known && b.Part >= parts {
		return Block{Sequence: b.Sequence + 1}
	}
	return b
}

// advance is the Advance Part Limit: three parts, or three seconds of parts when they are shorter than one.
func (p *Playlist) advance() int64 {
	if p.PartTarget <= 0 || p.PartTarget >= time.Second {
		return 3
	}
	return int64((3*time.Second + p.PartTarget - 1) / p.PartTarget)
}

// Patience is how long a request may be waited for before the answer is 503: three target durations (6.2.5.2).
func (p *Playlist) Patience() time.Duration { return 3 * p.Target }
