package serve

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"sluice/internal/object"
)

// layout is an answer of known length: what of an object it has, in which order, and what stands between.
type layout struct {
	status       int
	kind         string // Content-Type
	contentRange string // "" = it has none
	pieces       []piece
	tail         string
}

// piece is some bytes of an object, and what comes before them.
type piece struct {
	head    string
	from, n int64
}

// arrange lays an answer out for the ranges that were asked for (none = everything) of an object of so many bytes; false
// when it has nothing of any.
func arrange(spans []span, size int64, kind string, concat bool) (layout, bool) {
	whole := layout{status: http.StatusOK, kind: kind, pieces: []piece{{n: size}}}
	var pieces []piece
	var sum int64
	for _, s := range spans {
		from, n, ok := s.in(size)
		if !ok {
			continue
		}
		pieces = append(pieces, piece{from: from, n: n})
		if sum += n; sum > size {
			return whole, true
		}
	}
	switch {
	case len(spans) == 0:
		return whole, true
	case len(pieces) == 0:
		return layout{}, false
	case len(pieces) == 1 || concat:
		return concatenated(pieces, strconv.FormatInt(size, 10), kind), true
	}
	return multipart(pieces, size, kind, rand.Text()), true
}

// concatenated is one range, or several as GPAC sends them: one behind the other. size is that of the object, "*" when it is not known.
func concatenated(pieces []piece, size, kind string) layout {
	ranges := make([]string, len(pieces))
	for i, p := range pieces {
		ranges[i] = fmt.Sprintf("%d-%d/%s", p.from, p.from+p.n-1, size)
	}
	return layout{
		status: http.StatusPartialContent, kind: kind, pieces: pieces,
		contentRange: "bytes " + strings.Join(ranges, ", "),
	}
}

// multipart is several ranges as multipart/byteranges (RFC 9110, 14.6).
func multipart(pieces []piece, size int64, kind, boundary string) layout {
	for i := range pieces {
		p := &pieces[i]
		p.head = fmt.Sprintf("\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n",
			boundary, kind, p.from, p.from+p.n-1, size)
	}
	pieces[0].head = strings.TrimPrefix(pieces[0].head, "\r\n")
	return layout{
		status: http.StatusPartialContent, kind: "multipart/byteranges; boundary=" + boundary, pieces: pieces,
		tail: "\r\n--" + boundary + "--\r\n",
	}
}

// length is how long the body is.
func (l layout) length() int64 {
	n := int64(len(l.tail))
	for _, p := range l.pieces {
		n += int64(len(p.head)) + p.n
	}
	return n
}

func (l layout) writeHeader(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", l.kind)
	h.Set("Content-Length", strconv.FormatInt(l.length(), 10))
	if l.contentRange != "" {
		h.Set("Content-Range", l.contentRange)
	}
	w.WriteHeader(l.status)
}

// writeBody writes the pieces of content; io.EOF or io.ErrUnexpectedEOF when that has become shorter. What is a file goes through io.ReaderFrom,
// what is in memory is not copied.
func (l layout) writeBody(w io.Writer, content io.ReadSeeker) error {
	for _, p := range l.pieces {
		if p.head != "" {
			if _, err := io.WriteString(w, p.head); err != nil {
				return err
			}
		}
		if err := p.write(w, content); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, l.tail)
	return err
}

// write writes the bytes of a piece.
func (p piece) write(w io.Writer, content io.ReadSeeker) error {
	if section, ok := content.(*object.Section); ok {
		_, err := section.WriteRange(w, p.from, p.n)
		return err
	}
	if _, err := content.Seek(p.from, io.SeekStart); err != nil {
		return err
	}
	_, err := io.CopyN(w, content, p.n)
	return err
}
