package hls

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxText is how long a playlist may be, in bytes.
const MaxText = 1 << 20

// maxTarget bounds what a playlist can make others wait.
const maxTarget = time.Hour

// tag is what begins a line that is a tag of HLS.
const tag = "#EXT-X-"

// Parse reads a media playlist; an error for a multivariant one or none at all. Tags that it does not know are
// passed over.
func Parse(text []byte) (Playlist, error) {
	if len(text) > MaxText {
		return Playlist{}, fmt.Errorf("the playlist has %d bytes, more than %d", len(text), MaxText)
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	if strings.TrimRight(first, " \t\r") != "#EXTM3U" {
		return Playlist{}, errors.New("no playlist: its first line is not #EXTM3U")
	}
	s := scanner{}
	for line := range strings.Lines(rest) {
		if err := s.line(strings.TrimSpace(line)); err != nil {
			return Playlist{}, err
		}
	}
	if s.Target == 0 {
		return Playlist{}, errors.New("no media playlist: it has no EXT-X-TARGETDURATION")
	}
	return s.playlist(), nil
}

// scanner is a playlist as far as it was read.
type scanner struct {
	Playlist
	listed []partCount // in the order of the segments; the media sequence number may come late
}

// partCount says that a segment, counted from the first, has parts.
type partCount struct{ segment, parts int }

// playlist is what has been read, when all was.
func (s *scanner) playlist() Playlist {
	if len(s.listed) > 0 {
		s.PartsOf = make(map[int64]int, len(s.listed))
	}
	for _, c := range s.listed {
		s.PartsOf[s.Sequence+int64(c.segment)] = c.parts
	}
	return s.Playlist
}

func (s *scanner) line(line string) error {
	name, value, _ := strings.Cut(line, ":")
	name, known := strings.CutPrefix(name, tag)
	switch {
	case known:
		if err := s.tag(name, value); err != nil {
			return fmt.Errorf("%s%s: %w", tag[1:], name, err)
		}
	case line != "" && line[0] != '#':
		s.segment()
	}
	return nil
}

// segment counts the segment whose URI was read; the parts before it are its own.
func (s *scanner) segment() {
	if s.Parts > 0 {
		s.listed = append(s.listed, partCount{s.Segments, s.Parts})
	}
	s.Segments++
	s.Parts = 0
}

func (s *scanner) tag(name, value string) (err error) {
	switch name {
	case "STREAM-INF", "I-FRAME-STREAM-INF", "MEDIA":
		return errors.New("it is of a multivariant playlist, not of a media playlist")
	case "MEDIA-SEQUENCE":
		s.Sequence, err = number(value, 62)
	case "TARGETDURATION":
		s.Target, err = seconds(value)
	case "PART-INF":
		target, _ := attribute(value, "PART-TARGET")
		s.PartTarget, err = seconds(target)
	case "SERVER-CONTROL":
		can, _ := attribute(value, "CAN-BLOCK-RELOAD")
		s.CanBlock = can == "YES"
	case "SKIP":
		err = s.skip(value)
	case "PART":
		s.Parts++
	case "PRELOAD-HINT":
		if uri, ok := attribute(value, "URI"); ok && uri != "" {
			s.Hints = append(s.Hints, uri)
		}
	case "ENDLIST":
		s.Ended = true
	}
	return err
}

// skip counts the segments that a delta update leaves out.
func (s *scanner) skip(value string) error {
	text, _ := attribute(value, "SKIPPED-SEGMENTS")
	n, err := number(text, 30)
	if err != nil {
		return err
	}
	if s.Segments > 0 {
		return errors.New("it stands behind a segment")
	}
	s.Segments = int(n)
	return nil
}

// number reads a decimal-integer of at most so many bits.
func number(text string, bits int) (int64, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("want a number of at most %d bits, have %.20q", bits, text)
	}
	return int64(n), nil
}

// seconds reads a duration of more than nothing, and at most maxTarget.
func seconds(text string) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	d := time.Duration(0)
	if err == nil && f > 0 && f <= maxTarget.Seconds() { // not so for NaN
		d = time.Duration(f * float64(time.Second))
	}
	if d <= 0 {
		return 0, fmt.Errorf("want seconds above 0, at most %.0f, have %.20q", maxTarget.Seconds(), text)
	}
	return d, nil
}

// attribute finds the value of an attribute in a list (4.2): NAME=VALUE,NAME="quoted, with a comma". Quotes are taken off.
func attribute(list, name string) (value string, ok bool) {
	for list != "" {
		key, rest, found := strings.Cut(list, "=")
		if !found {
			return "", false
		}
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			value, rest, found = strings.Cut(quoted, `"`)
			if !found {
				return "", false
			}
			_, list, _ = strings.Cut(rest, ",")
		} else {
			value, list, _ = strings.Cut(rest, ",")
		}
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}
