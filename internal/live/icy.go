package live

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/internal/media/audio"
)

// ICY is the dialect of HTTP that SHOUTcast began and Icecast goes on with. Nobody has published it; what stands here is what
// Icecast sends and players read. A client that says Icy-MetaData: 1 gets a block of metadata behind each icy-metaint bytes of
// the stream: a byte with its length in sixteenths, and the text, filled up with zeros. A block of no length says: as before.

const (
	// titleInterval is how many bytes of the stream are between two blocks of metadata: what Icecast has.
	titleInterval = 16000
	// maxBlock is the longest text of a block, in bytes: 255 sixteenths.
	maxBlock = 255 * 16
)

// wantsTitles reports that a client asks for metadata in the stream.
func wantsTitles(r *http.Request) bool { return r.Header.Get("Icy-Metadata") == "1" }

// titled puts blocks of metadata between the bytes that are written to it.
type titled struct {
	w     io.Writer
	title func() string
	left  int    // bytes until the next block
	told  string // the last text that was not empty
}

func newTitled(w io.Writer, title func() string) *titled {
	return &titled{w: w, title: title, left: titleInterval}
}

// Write implements io.Writer; it returns how much of p was written. A block is written when a byte is to come behind it, so that it
// tells the title of that byte.
func (t *titled) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		if t.left == 0 {
			if _, err := t.w.Write(t.block()); err != nil {
				return written, err
			}
			t.left = titleInterval
		}
		n, err := t.w.Write(p[written:min(len(p), written+t.left)])
		written += n
		t.left -= n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// block is the next one: the title if it is another than before.
func (t *titled) block() []byte {
	text := titleText(t.title())
	if text == t.told || t.told == "" && text == noTitle {
		return []byte{0}
	}
	t.told = text
	b := make([]byte, 1+(len(text)+15)/16*16)
	b[0] = byte((len(text) + 15) / 16)
	copy(b[1:], text)
	return b
}

const (
	titleBegin = "StreamTitle='"
	titleEnd   = "';"
	noTitle    = titleBegin + titleEnd
)

// titleText is the text of a block: one line of UTF-8. There is no way to escape what ends a title, so that is written otherwise; what is too long
// is cut.
func titleText(title string) string {
	title = strings.Map(printable, strings.ToValidUTF8(title, "\uFFFD"))
	title = strings.ReplaceAll(title, titleEnd, "\u2019;")
	const most = maxBlock - len(titleBegin) - len(titleEnd)
	if len(title) > most {
		cut := most
		for !utf8.RuneStart(title[cut]) {
			cut--
		}
		title = title[:cut]
	}
	return titleBegin + title + titleEnd
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7F {
		return ' '
	}
	return r
}

// sound is what the beginning of a stream tells of it; the zero value is: nothing.
type sound struct {
	audio.Frame     // the first
	frames      int // that were seen, one behind the other
	bitrate     int // of these, in bit/s
}

const (
	// soundSize is how much of a stream is looked at to find its frames, in bytes: room for two of the longest.
	soundSize = 16 << 10
	// soundFrames is how many frames are enough for a bit rate: less than half a second.
	soundFrames = 8
	// soundSure is how many, one behind the other, are no accident.
	soundSure = 3
)

// listen finds the first frames of MPEG audio or AAC in b.
func listen(b []byte) sound {
	for i := range b {
		if s := follow(b[i:]); s.frames >= soundSure {
			return s
		}
	}
	return sound{}
}

// follow goes from frame to frame as long as they are of one stream. The last may be cut.
func follow(b []byte) (s sound) {
	size, lasts := 0, time.Duration(0)
	for size < len(b) && s.frames < soundFrames {
		f, ok := audio.ParseFrame(b[size:])
		if !ok || s.frames > 0 && (f.AAC != s.AAC || f.SampleRate != s.SampleRate || f.Channels != s.Channels) {
			break
		}
		if s.frames == 0 {
			s.Frame = f
		}
		s.frames++
		size += f.Size
		lasts += f.Duration
	}
	if lasts > 0 {
		s.bitrate = int(time.Duration(8*size) * time.Second / lasts)
	}
	return s
}

// mediaType is the Content-Type of a stream of such frames; "" = there were none.
func (s sound) mediaType() string {
	switch {
	case s.frames == 0:
		return ""
	case s.AAC:
		return "audio/aac"
	}
	return "audio/mpeg"
}

// info is ice-audio-info; "" = nothing is known.
func (s sound) info() string {
	if s.frames == 0 {
		return ""
	}
	info := fmt.Sprintf("samplerate=%d;bitrate=%d", s.SampleRate, kilobits(s.bitrate))
	if s.Channels > 0 {
		info += ";channels=" + strconv.Itoa(s.Channels)
	}
	return info
}

func kilobits(bits int) int { return (bits + 500) / 1000 }

// icyHeader sets the headers of ICY, spelled as players know them. icy-br is in kbit/s as Icecast has it; GPAC says bit/s.
func icyHeader(h http.Header, s Sink, heard sound) {
	h["icy-pub"] = []string{"1"}
	if s.Name != "" {
		h["icy-name"] = []string{s.Name}
	}
	bitrate := s.Bitrate
	if bitrate == 0 {
		bitrate = kilobits(heard.bitrate)
	}
	if bitrate > 0 {
		h["icy-br"] = []string{strconv.Itoa(bitrate)}
	}
	if info := heard.info(); info != "" {
		h["ice-audio-info"] = []string{info}
	}
	for _, line := range s.Headers {
		h[line[0]] = []string{line[1]}
	}
}
