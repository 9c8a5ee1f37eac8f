package serve

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Content codings (RFC 9110, 8.4.1).
const (
	identity = ""
	gzipped  = "gzip"
	deflated = "deflate"
)

// maxKept is the largest buffer that is kept for the next answer, in bytes.
const maxKept = 1 << 20

// The writers of the codings, and what they write into, are costly to make.
var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	zlibWriters = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}
	buffers     = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

// coding is how an answer is compressed: what the client likes best, for text that is worth it and not too long. Ranges
// are of the object as it is.
func (a *answer) coding(kind string, size int64) string {
	o := &a.options
	ranged := a.r.Header.Get("Range") != "" && !o.NoRange && a.r.Method == http.MethodGet
	switch h := a.w.Header(); {
	case ranged || a.info.Growing || h.Get("Content-Encoding") != "":
		return identity
	case size == 0 || size < o.CompressMin || size > o.CompressMax || !compressible(kind):
		return identity
	}
	return accepted(a.r.Header.Values("Accept-Encoding"))
}

// vary says that the answer depends on what the client accepts, if an object of that kind may be compressed.
func (a *answer) vary(kind string) {
	if a.options.CompressMax > 0 && compressible(kind) {
		a.w.Header().Add("Vary", "Accept-Encoding")
	}
}

// codedTag is the entity tag of a compressed form. It is weak: another version of this program may compress otherwise.
func codedTag(tag, coding string) string {
	opaque := strings.TrimSuffix(strings.TrimPrefix(tag, "W/"), `"`)
	return fmt.Sprintf(`W/%s-%s"`, opaque, coding)
}

// compressed answers with the compressed form of an object. The object is read piece by piece; its compressed form is kept
// until its length is known.
func (a *answer) compressed(content io.ReadSeeker, size int64, kind, coding string) error {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	if err := compress(b, content, size, coding); err != nil {
		return a.unreadable(err)
	}
	h := a.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Encoding", coding)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	a.w.WriteHeader(http.StatusOK)
	if a.r.Method != http.MethodHead {
		if _, err := a.w.Write(b.Bytes()); err != nil {
			a.abort() // net/http (HTTP/2) may be reading from the buffer still: it is not put back
		}
	}
	if b.Cap() <= maxKept {
		buffers.Put(b)
	}
	return nil
}

// compressor is a writer of a coding.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// compress writes size bytes of content to w.
func compress(w io.Writer, content io.ReadSeeker, size int64, coding string) error {
	pool := &gzipWriters
	if coding == deflated {
		pool = &zlibWriters
	}
	c := pool.Get().(compressor)
	defer pool.Put(c)
	c.Reset(w)
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.CopyN(c, content, size); err != nil {
		return err
	}
	return c.Close()
}

// compressible says whether what is of a type shrinks: text, in whatever dress.
func compressible(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "+json") ||
		slices.Contains(plainText, kind)
}

// plainText are types of text that do not look so.
var plainText = []string{
	"application/json", "application/xml", "application/javascript", "application/ecmascript",
	"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl",
}

// accepted is the coding that a client likes best (RFC 9110, 12.5.3); of equals the first of gzip, deflate, none.
func accepted(lines []string) string {
	weights := map[string]float64{}
	for element := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, parameters, _ := strings.Cut(element, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "x-gzip" {
			name = gzipped
		}
		weights[name] = weight(parameters)
	}
	best, most := identity, weights["identity"]
	for _, coding := range []string{deflated, gzipped} {
		w, said := weights[coding]
		if !said {
			w = weights["*"]
		}
		if w > 0 && w >= most {
			best, most = coding, w
		}
	}
	return best
}

// weight reads the parameter q; 1 when there is none, 0 (not wanted) when it is no number from 0 to 1.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		w, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(w >= 0 && w <= 1) {
			return 0
		}
		return w
	}
	return 1
}
