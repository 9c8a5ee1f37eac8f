package history

import (
	"fmt"
	"sort"
	"time"
)

// Limits of one History. The zero value keeps 10 s, at most 32 MiB.
type Limits struct {
	Depth time.Duration // how long bytes are kept; if zero, 10 s
	Bytes int64         // at most so many are held; if zero, 32 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Depth == 0 {
		l.Depth = 10 * time.Second
	}
	if l.Bytes == 0 {
		l.Bytes = 32 << 20
	}
	return l
}

// Mark is a point where a reader may begin.
type Mark struct {
	Offset int64
	// At is when its bytes came.
	At time.Duration
	// Preamble is what a reader that begins here gets first. It is not part of the
	// window and is never modified.
	Preamble []byte
}

// History is the window. Make one with New; it is not safe for concurrent use.
type History struct {
	pool   *Pool
	limits Limits
	segs   []segment // oldest first; the last is open for writing
	head   int64
	newest time.Duration // when the last byte came
	marks  []Mark        // by offset, all inside the window
	held   int64         // bytes of memory of all segments
	shared bool          // new segments are files
}

// segment holds the bytes [start, start+used) of the channel.
type segment struct {
	start  int64
	used   int
	newest time.Duration // when its last byte came
	block
}

func (s *segment) end() int64 { return s.start + int64(s.used) }

// New makes an empty history that takes its segments from p.
func New(p *Pool, l Limits) *History { return &History{pool: p, limits: l.withDefaults()} }

// Limit sets other limits; what they no longer keep is Due.
func (h *History) Limit(l Limits) { h.limits = l.withDefaults() }

// Head is the offset behind the newest byte.
func (h *History) Head() int64 { return h.head }

// Tail is the offset of the oldest byte.
func (h *History) Tail() int64 {
	if len(h.segs) == 0 {
		return h.head
	}
	return h.segs[0].start
}

// Held is the number of bytes of memory that the window occupies.
func (h *History) Held() int64 { return h.held }

// Reserve returns free space behind the head, at least n bytes (n at most
// SegmentSize). It stays valid, and is the only place that Commit publishes from,
// until the next Reserve, Commit or Write.
func (h *History) Reserve(n int) []byte {
	if n > SegmentSize {
		panic(fmt.Sprintf("history: %d bytes reserved, a segment has %d", n, SegmentSize))
	}
	if len(h.segs) > 0 {
		if open := &h.segs[len(h.segs)-1]; len(open.mem)-open.used >= n {
			return open.mem[open.used:]
		}
	}
	b := h.pool.get(h.shared)
	h.held += int64(len(b.mem))
	h.segs = append(h.segs, segment{start: h.head, block: b})
	return h.segs[len(h.segs)-1].mem
}

// Commit publishes the first n bytes of what Reserve returned last; they came at now.
func (h *History) Commit(n int, now time.Duration) {
	if n == 0 {
		return
	}
	open := &h.segs[len(h.segs)-1]
	open.used += n // a caller that commits more than it reserved is stopped by the slice bounds of the next read
	open.newest = now
	h.newest = now
	h.head += int64(n)
}

// Write publishes a copy of b, which came at now.
func (h *History) Write(b []byte, now time.Duration) {
	for len(b) > 0 {
		n := copy(h.Reserve(1), b)
		h.Commit(n, now)
		b = b[n:]
	}
}

// Mark adds a point where readers may begin. Points come in the order of their
// offsets; one that is no longer in the window is not kept.
func (h *History) Mark(m Mark) {
	if m.Offset < h.Tail() || m.Offset > h.head {
		return
	}
	h.marks = append(h.marks, m)
}

// Latest returns the newest mark; ok is false when the window has none.
func (h *History) Latest() (m Mark, ok bool) {
	if len(h.marks) == 0 {
		return Mark{}, false
	}
	return h.marks[len(h.marks)-1], true
}

// Before returns the newest mark that came at t or earlier, the oldest when all came
// later; ok is false when the window has none.
func (h *History) Before(t time.Duration) (m Mark, ok bool) {
	if len(h.marks) == 0 {
		return Mark{}, false
	}
	later := sort.Search(len(h.marks), func(i int) bool { return h.marks[i].At > t })
	return h.marks[max(0, later-1)], true
}

// Slices appends to dst the published bytes from off on, at most limit bytes, as the
// pieces in which they stand. off lies between Tail and Head.
func (h *History) Slices(dst [][]byte, off int64, limit int) [][]byte {
	i := len(h.segs) - 1
	for i > 0 && h.segs[i].start > off {
		i--
	}
	for ; i >= 0 && i < len(h.segs) && limit > 0; i++ {
		s := &h.segs[i]
		b := s.mem[off-s.start : s.used]
		if len(b) == 0 {
			break
		}
		b = b[:min(len(b), limit)]
		dst = append(dst, b)
		limit -= len(b)
		off += int64(len(b))
	}
	return dst
}

// Share says whether the segments that are begun from now on are files as well, for
// readers that would rather have the kernel take the bytes from there (sendfile(2)).
// That pays when many read the same; for few a pooled segment costs less. Where the
// system has no such files, or the limit has no room for some of them, nothing changes.
func (h *History) Share(on bool) { h.shared = on && h.limits.Bytes >= 4*sharedSize }

// Extent is a piece of the window that stands in a file.
type Extent struct {
	File   int // descriptor; it is the history's, and open as long as the piece is in the window
	Offset int64
	Length int
}

// Extent returns the published bytes from off on, at most limit of them and not beyond
// their segment. ok is false when that segment is no file, or nothing is there.
func (h *History) Extent(off int64, limit int) (x Extent, ok bool) {
	i := len(h.segs) - 1
	for i > 0 && h.segs[i].start > off {
		i--
	}
	if i < 0 || h.segs[i].file < 0 {
		return Extent{}, false
	}
	at := off - h.segs[i].start
	x = Extent{File: h.segs[i].file, Offset: at, Length: min(h.segs[i].used-int(at), limit)}
	return x, x.Length > 0
}

// Due says whether the oldest segment has to go by the limits of this history: it is
// older than the newest byte by more than the depth (a channel that pauses keeps what
// it has), or the window holds more than it may.
func (h *History) Due() bool {
	return h.Spare() && (h.newest-h.segs[0].newest > h.limits.Depth || h.Held() > h.limits.Bytes)
}

// Spare says whether there is a segment that may be retired: the open one may not.
func (h *History) Spare() bool { return len(h.segs) > 1 }

// AfterRetire is the offset where the window will begin after Retire. The caller moves
// every cursor below it while the bytes are still there.
func (h *History) AfterRetire() int64 { return h.segs[0].end() }

// Retire gives the oldest segment, and the marks in it, back.
func (h *History) Retire() {
	h.held -= int64(len(h.segs[0].mem))
	h.pool.put(h.segs[0].block)
	n := copy(h.segs, h.segs[1:])
	h.segs[n] = segment{}
	h.segs = h.segs[:n]
	old := 0
	for old < len(h.marks) && h.marks[old].Offset < h.Tail() {
		old++
	}
	h.marks = append(h.marks[:0], h.marks[old:]...)
}

// Free gives everything back; the history must not be used afterwards.
func (h *History) Free() {
	for _, s := range h.segs {
		h.pool.put(s.block)
	}
	h.segs, h.marks, h.held = nil, nil, 0
}
